"""Block C: the authorization cache while the CSMS is there, and what it holds."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.authorization import (
    BLOCKED_TOKEN,
    EXPIRED_TOKEN,
    INVALID_TOKEN,
    LOCAL_AND_REMOTE,
    MASTER_GROUP,
    MASTER_TOKEN,
    MESSAGE_TIMEOUT_S,
    TRANSACTION_DURATION_S,
    charges,
    enable_cache,
    expect_authorize_request,
    is_cached,
    no_event,
    present_or_start_remotely,
    set_id_token_status,
)
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload

# What the cache decides


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_08_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Accepted"""
    await enable_cache(bench, local=local)
    await states.id_token_cached(bench)
    await states.ev_connected_pre_session(bench)
    count_before = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == count_before
    assert await charges(bench)


async def refused_after_authorize_again(bench: Bench, id_token: Payload, status: str, *, local: bool) -> None:
    """Cases C_09, C_10 and C_11: a token cached as refused is sent to the CSMS again, and refused again."""
    await enable_cache(bench, local=local)
    set_id_token_status(bench, id_token, status)
    await states.id_token_cached(bench, id_token)
    await is_cached(bench, id_token, status)
    await states.ev_connected_pre_session(bench)
    await present_or_start_remotely(bench, id_token)
    await expect_authorize_request(bench, id_token)
    await no_event(bench)
    assert not await charges(bench)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_09_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Invalid & Not Accepted"""
    await refused_after_authorize_again(bench, INVALID_TOKEN, "Invalid", local=local)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_10_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Restricted"""
    await refused_after_authorize_again(bench, BLOCKED_TOKEN, "Blocked", local=local)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_11_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Expired"""
    await refused_after_authorize_again(bench, EXPIRED_TOKEN, "Expired", local=local)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_12_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Invalid & Accepted"""
    await enable_cache(bench, local=local)
    set_id_token_status(bench, INVALID_TOKEN, "Invalid")
    await states.id_token_cached(bench, INVALID_TOKEN)
    await is_cached(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    set_id_token_status(bench, INVALID_TOKEN, "Accepted")
    await states.authorized(bench, id_token=INVALID_TOKEN)
    await states.energy_transfer_started(bench)
    assert await charges(bench)


@LOCAL_AND_REMOTE
@pytest.mark.parametrize(
    "start_points", ["EVConnected,Authorized", "ParkingBayOccupancy", "EVConnected", "PowerPathClosed"]
)
@case("Core", "C", "C-49")
async def test_tc_c_13_cs(bench: Bench, local: bool, start_points: str) -> None:
    """Authorization through authorization cache - Accepted but cable not connected yet."""
    await enable_cache(bench, local=local)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.id_token_cached(bench)
    await states.parking_bay_occupied(bench)
    count_before = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)  # steps 1 and 2, where the start points want them
    assert not await charges(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == count_before
    assert await charges(bench)


@pytest.mark.parametrize("stop_points", ["EVConnected,Authorized", "EVConnected"])
@case("", "")
async def test_tc_c_14_cs(bench: Bench, stop_points: str) -> None:
    """Authorization through authorization cache - GroupID equal to MasterPassGroupId."""
    await enable_cache(bench)
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    set_id_token_status(bench, MASTER_TOKEN, "Accepted", MASTER_GROUP)
    await states.id_token_cached(bench, MASTER_TOKEN)  # while the group is none of masters, its tokens charge
    await bench.configure("AuthCtrlr", "MasterPassGroupId", MASTER_GROUP["idToken"])
    bench.new_session()
    await states.energy_transfer_started(bench)
    count_before = len(bench.journal.sent("Authorize"))
    await bench.present(MASTER_TOKEN)
    event = await bench.expect_event()
    assert event["triggerReason"] == "StopAuthorized", event
    assert event["idToken"]["idToken"] == MASTER_TOKEN["idToken"], event
    assert event["idToken"]["type"] == MASTER_TOKEN["type"], event
    if event["eventType"] != "Ended" and event["transactionInfo"].get("chargingState") == "Charging":
        event = await bench.expect_event()
    assert (event["eventType"] == "Ended") is ("Authorized" in stop_points), event
    if event["eventType"] == "Ended":
        assert event["transactionInfo"]["stoppedReason"] == "MasterPass", event
    session = bench.session()
    session.authorized, session.charging, session.stop_authorized = False, False, True
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    assert len(bench.journal.sent("Authorize")) == count_before


@LOCAL_AND_REMOTE
@case("Core", "C", "C-59 and C-49")
async def test_tc_c_57_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - AuthCacheDisablePostAuthorize"""
    await enable_cache(bench, local=local)
    await bench.configure("AuthCacheCtrlr", "DisablePostAuthorize", "true")
    set_id_token_status(bench, INVALID_TOKEN, "Invalid")
    await states.id_token_cached(bench, INVALID_TOKEN)
    await is_cached(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    set_id_token_status(bench, INVALID_TOKEN, "Accepted")  # an AuthorizeRequest would be accepted
    await present_or_start_remotely(bench, INVALID_TOKEN)
    await bench.silence("Authorize", for_s=MESSAGE_TIMEOUT_S)
    await no_event(bench)
    assert not await charges(bench)


# What the cache holds


@pytest.mark.parametrize("reset", ["Immediate", None], ids=["reset", "power-cycle"])
@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_32_cs(bench: Bench, local: bool, reset: str | None) -> None:
    """Store Authorization Data in the Authorization Cache - Persistent over reboot"""
    await enable_cache(bench, local=local)
    await states.id_token_cached(bench)
    await states.booted(bench, reset=reset)
    count_before = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    assert bench.session().events[-1]["triggerReason"] == ("Authorized" if local else "RemoteStart")
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == count_before


@LOCAL_AND_REMOTE
@pytest.mark.parametrize("start_points", ["EVConnected,Authorized", "ParkingBayOccupancy", "EnergyTransfer"])
@case("Core", "C", "C-49")
async def test_tc_c_33_cs(bench: Bench, local: bool, start_points: str) -> None:
    """Store Authorization Data in the Authorization Cache - Update on AuthorizeResponse"""
    await enable_cache(bench, local=local)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench)  # steps 1 to 4
    await states.energy_transfer_started(bench)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    # The response to the event does not change what the cache decided when the token was presented.
    set_id_token_status(bench, VALID_TOKEN, "Invalid")
    await states.authorized(bench, cached=True)  # steps 12 and 13
    assert len(bench.journal.sent("Authorize")) == 1
    if start_points == "EnergyTransfer":
        await states.energy_transfer_started(bench)
    event = await bench.expect_event()
    assert event["triggerReason"] == "Deauthorized", event
    assert event["eventType"] == "Ended", event


@LOCAL_AND_REMOTE
@pytest.mark.parametrize(
    ("start_points", "cable_first", "stop_points"),
    [
        ("EVConnected", False, "EVConnected,Authorized"),
        ("PowerPathClosed", False, "EVConnected,Authorized"),
        ("EVConnected,Authorized", True, "EVConnected,Authorized"),
        ("Authorized", True, "EVConnected,Authorized"),
        ("ParkingBayOccupancy", True, "EVConnected,Authorized"),
        ("EVConnected,Authorized", True, "EVConnected"),
    ],
)
@case("Core", "C", "C-49")
async def test_tc_c_34_cs(bench: Bench, local: bool, start_points: str, cable_first: bool, stop_points: str) -> None:
    """Store Authorization Data in the Authorization Cache - Update on TransactionEventResponse"""
    await enable_cache(bench, local=local)
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "true")
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", "0")
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    # The errata leave the cable out of the Before. Where a token starts the transaction, the charging state that
    # Deauthorized asks for needs the cable nevertheless.
    if cable_first:
        await states.ev_connected_pre_session(bench)
    set_id_token_status(bench, VALID_TOKEN, "Invalid")
    count_before = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    await states.deauthorized(bench)
    assert len(bench.journal.sent("Authorize")) == count_before
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    await states.parking_bay_occupied(bench)
    await present_or_start_remotely(bench, VALID_TOKEN)
    await expect_authorize_request(bench, VALID_TOKEN)
    await no_event(bench)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_36_cs(bench: Bench, local: bool) -> None:
    """Store Authorization Data in the Authorization Cache - AuthCacheCtrlr.LocalPreAuthorize = false"""
    await enable_cache(bench, local=local)
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "false")
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    set_id_token_status(bench, VALID_TOKEN, "Invalid")
    await present_or_start_remotely(bench, VALID_TOKEN)
    await expect_authorize_request(bench, VALID_TOKEN)
    await no_event(bench)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-49")
async def test_tc_c_37_cs(bench: Bench, local: bool) -> None:
    """Clear Authorization Data in Authorization Cache - Accepted"""
    await enable_cache(bench, local=local)
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    answer = await bench.call("ClearCache", {})
    assert answer["status"] == "Accepted", answer
    assert await bench.station.get("/api/auth/cache") == []
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench)  # which expects the AuthorizeRequest and the TransactionEventRequest
    await states.energy_transfer_started(bench)


@case("Core", "C", "C-49")
async def test_tc_c_38_cs(bench: Bench) -> None:
    """Clear Authorization Data in Authorization Cache - Rejected"""
    await bench.configure("AuthCacheCtrlr", "Enabled", "false")
    await states.id_token_cached(bench)
    answer = await bench.call("ClearCache", {})
    assert answer["status"] == "Rejected", answer


@case("Core", "C", "C-49 and C-53")
async def test_tc_c_46_cs(bench: Bench) -> None:
    """Store Authorization Data in the Authorization Cache - AuthCacheLifeTime"""
    await enable_cache(bench)
    await bench.configure("AuthCacheCtrlr", "LifeTime", str(int(TRANSACTION_DURATION_S)))
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await states.ev_connected_pre_session(bench)
    await bench.advance(TRANSACTION_DURATION_S)
    await states.authorized(bench, local=True)  # which expects the AuthorizeRequest
