"""Block C: what the local authorization list decides, online and offline."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.authorization import (
    BLOCKED_TOKEN,
    EXPIRED_TOKEN,
    INVALID_TOKEN,
    LOCAL_AND_REMOTE,
    MESSAGE_TIMEOUT_S,
    TRANSACTION_DURATION_S,
    charges,
    energy_wh,
    expect_authorize_request,
    is_cached,
    no_event,
    present_or_start_remotely,
    set_id_token_status,
)
from tests.conformance.bench import GROUP, OTHER_TOKEN, PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload

_PROFILE = "Local Authorization List Management"
_LOCAL_START = "C-30 or C-31 or C-32 or C-34"
_AWAY_S = 40
"""<Configured RetryBackOffWaitMinimum_duration>"""
_BAY = {"TxCtrlr.TxStartPoint": "ParkingBayOccupancy", "TxCtrlr.TxStopPoint": "ParkingBayOccupancy"}
EVERY_START = pytest.mark.parametrize(
    "start_points", ["EVConnected,Authorized", "Authorized", "PowerPathClosed", "ParkingBayOccupancy"]
)


async def enable_local_list(bench: Bench, *, local: bool = True) -> None:
    """Configuration state: the list is used before the CSMS is asked; remote starts are authorized like local ones."""
    bench.local = local
    await bench.configure("LocalAuthListCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("LocalAuthListCtrlr", "DisablePostAuthorize", "false")
    await bench.configure("AuthCtrlr", "AuthorizeRemoteStart", "true")


async def send_list(bench: Bench, *entries: tuple[Payload, str]) -> None:
    """A full list of these tokens with their statuses, all of one group."""
    items = [{"idToken": token, "idTokenInfo": {"status": status, "groupIdToken": GROUP}} for token, status in entries]
    request: Payload = {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": items}
    answer = await bench.call("SendLocalList", request)
    assert answer["status"] == "Accepted", answer


# Online


@LOCAL_AND_REMOTE
@EVERY_START
@case(_PROFILE, "M")
async def test_tc_c_27_cs(bench: Bench, local: bool, start_points: str) -> None:
    """Online authorization through local authorization list - Accepted"""
    await enable_local_list(bench, local=local)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.id_token_local_auth_list(bench)
    await states.authorized(bench, cached=True)  # steps 1 and 2, where the start points want them
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    assert bench.journal.sent("Authorize") == []
    charged_wh = await energy_wh(bench)
    await bench.advance(10.0)
    assert await energy_wh(bench) > charged_wh


async def refused_after_authorize(
    bench: Bench, id_token: Payload, status: str, *, local: bool, connected: bool
) -> None:
    """Cases C_28, C_29 and C_30: a token listed as refused is sent to the CSMS, and refused."""
    await enable_local_list(bench, local=local)
    await states.id_token_local_auth_list(bench, id_token, status)
    if connected:
        await states.ev_connected_pre_session(bench)
    set_id_token_status(bench, id_token, status)
    await present_or_start_remotely(bench, id_token)
    await expect_authorize_request(bench, id_token)
    await no_event(bench)
    assert not await charges(bench)


@LOCAL_AND_REMOTE
@case(_PROFILE, "M")
async def test_tc_c_28_cs(bench: Bench, local: bool) -> None:
    """Online authorization through local authorization list - Invalid & Not Accepted"""
    await refused_after_authorize(bench, INVALID_TOKEN, "Invalid", local=local, connected=False)


@LOCAL_AND_REMOTE
@case(_PROFILE, "M")
async def test_tc_c_29_cs(bench: Bench, local: bool) -> None:
    """Online authorization through local authorization list - Restricted"""
    # The status that the case names is none of AuthorizationStatusEnumType; its purpose says which one is meant.
    await refused_after_authorize(bench, BLOCKED_TOKEN, "Blocked", local=local, connected=True)


@LOCAL_AND_REMOTE
@case(_PROFILE, "M")
async def test_tc_c_30_cs(bench: Bench, local: bool) -> None:
    """Online authorization through local authorization list - Expired"""
    await refused_after_authorize(bench, EXPIRED_TOKEN, "Expired", local=local, connected=True)


@LOCAL_AND_REMOTE
@case(_PROFILE, "M")
async def test_tc_c_31_cs(bench: Bench, local: bool) -> None:
    """Online authorization through local authorization list - Invalid & Accepted"""
    await enable_local_list(bench, local=local)
    await states.id_token_local_auth_list(bench, INVALID_TOKEN, "Invalid")
    await states.authorized(bench, id_token=INVALID_TOKEN)  # which expects the AuthorizeRequest
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    charged_wh = await energy_wh(bench)
    await bench.advance(10.0)
    assert await energy_wh(bench) > charged_wh


@LOCAL_AND_REMOTE
@case(_PROFILE, "C", "LA-3")
async def test_tc_c_58_cs(bench: Bench, local: bool) -> None:
    """Online authorization through local authorization list - LocalAuthListDisablePostAuthorize"""
    await enable_local_list(bench, local=local)
    await bench.configure("LocalAuthListCtrlr", "DisablePostAuthorize", "true")
    await states.id_token_local_auth_list(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)  # so that energy would flow
    await present_or_start_remotely(bench, INVALID_TOKEN)  # an AuthorizeRequest would be accepted
    await bench.silence("Authorize", for_s=MESSAGE_TIMEOUT_S)
    await no_event(bench)
    assert not await charges(bench)


# Groups


@EVERY_START
@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_40_cs(bench: Bench, start_points: str) -> None:
    """Authorization by GroupId - Success with Local Authorization List"""
    await enable_local_list(bench)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await send_list(bench, (VALID_TOKEN, "Accepted"), (OTHER_TOKEN, "Accepted"))
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True, cached=True)  # steps 1 and 2
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True, id_token=OTHER_TOKEN)
    stop = next(event for event in bench.session().events if event["triggerReason"] == "StopAuthorized")
    assert stop["idToken"]["idToken"] == OTHER_TOKEN["idToken"], stop
    assert stop["idToken"]["type"] == OTHER_TOKEN["type"], stop
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    assert bench.journal.sent("Authorize") == []


@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_43_cs(bench: Bench) -> None:
    """Authorization by GroupId - Invalid status with Local Authorization List"""
    await enable_local_list(bench)
    await send_list(bench, (VALID_TOKEN, "Accepted"), (INVALID_TOKEN, "Invalid"))
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    set_id_token_status(bench, INVALID_TOKEN, "Invalid", GROUP)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True, cached=True)  # steps 1 and 2
    await states.energy_transfer_started(bench)
    await bench.present(INVALID_TOKEN)
    await expect_authorize_request(bench, INVALID_TOKEN)
    await no_event(bench)
    assert await charges(bench)


# Offline


async def offline_rules(bench: Bench, *, unknown_ids: bool) -> None:
    """Configuration state that C_21 to C_25 share."""
    await enable_local_list(bench)
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", str(unknown_ids).lower())
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")


async def set_long_reconnect_delay(bench: Bench) -> None:
    """Configuration state of C_22 to C_25: time enough for what is done by hand."""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(_AWAY_S + 60))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(_AWAY_S))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")


async def queue_of(bench: Bench) -> list[Payload]:
    """The TransactionEvents that the station sends when the link is back, without periodic ones."""
    await bench.advance(10.0)
    events = [frame.payload for frame in bench.take("TransactionEvent")]
    return [event for event in events if event["triggerReason"] not in PERIODIC]


@pytest.mark.parametrize("start_points", ["EVConnected,Authorized", "ParkingBayOccupancy", "Authorized"])
@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_21_cs(bench: Bench, start_points: str) -> None:
    """Offline authorization through local authorization list - Accepted"""
    await offline_rules(bench, unknown_ids=False)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.id_token_local_auth_list(bench)
    await states.start_offline_transaction(bench)
    back_at = bench.iso()
    await bench.expect_status("Occupied")
    assert await charges(bench)
    await bench.present()  # the driver ends the charge, and leaves
    await bench.advance(5.0)
    await bench.disconnect_ev()
    session = bench.session()
    if session.bay_occupied:
        await bench.station.parking_bay(bench.evse_id, occupied=False)
    await bench.expect_status("Available")
    events = await queue_of(bench)
    stop = next(event for event in events if event["triggerReason"] == "StopAuthorized")
    before = [event for event in events[: events.index(stop)] if event["timestamp"] < back_at]
    assert before
    assert [event for event in before if event.get("offline") is not True] == []
    assert events[-1]["eventType"] == "Ended", events
    assert bench.journal.sent("Authorize") == []


async def refused_offline(bench: Bench, id_token: Payload, status: str) -> None:
    """Cases C_22, C_23 and C_24: a token that is listed as refused starts nothing while the link is down."""
    await offline_rules(bench, unknown_ids=False)
    await set_long_reconnect_delay(bench)
    await states.id_token_local_auth_list(bench, id_token, status)
    await bench.go_offline()
    if "ParkingBayOccupancy" in bench.start_points:
        await bench.station.parking_bay(bench.evse_id, occupied=True)
    await bench.present(id_token)
    await bench.advance(5.0)
    assert not await charges(bench)
    await bench.accept_reconnect(within_s=3 * _AWAY_S)
    events = await queue_of(bench)
    if "ParkingBayOccupancy" not in bench.start_points:
        assert events == []
        return
    (event,) = events
    assert event["offline"] is True, event
    assert event["triggerReason"] == "EVDetected", event
    assert "idToken" not in event, event


@pytest.mark.parametrize("start_points", ["EVConnected,Authorized", "ParkingBayOccupancy"])
@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_22_cs(bench: Bench, start_points: str) -> None:
    """Offline authorization through local authorization list - Invalid"""
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await refused_offline(bench, INVALID_TOKEN, "Invalid")


@setup(variables=_BAY)
@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_23_cs(bench: Bench) -> None:
    """Offline authorization through local authorization list - Restricted"""
    await refused_offline(bench, BLOCKED_TOKEN, "Blocked")


@setup(variables=_BAY)
@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_24_cs(bench: Bench) -> None:
    """Offline authorization through local authorization list - Expired"""
    await refused_offline(bench, EXPIRED_TOKEN, "Expired")


@case(_PROFILE, "C", _LOCAL_START)
async def test_tc_c_25_cs(bench: Bench) -> None:
    """Offline authorization through local authorization list - Local Authorization List > Authorization Cache"""
    await offline_rules(bench, unknown_ids=True)
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "false")
    await set_long_reconnect_delay(bench)
    await bench.configure("TxCtrlr", "TxStartPoint", "Authorized")  # so that the cable alone starts no transaction
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await states.id_token_local_auth_list(bench, VALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    await bench.go_offline()
    await bench.present(VALID_TOKEN)
    await bench.advance(TRANSACTION_DURATION_S)
    assert not await charges(bench)
    await bench.accept_reconnect(within_s=3 * _AWAY_S)
    await bench.silence("TransactionEvent", for_s=MESSAGE_TIMEOUT_S)
    assert not await charges(bench)
