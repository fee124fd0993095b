"""Block C, authorization: local tokens, groups and the master pass."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.authorization import (
    BLOCKED_TOKEN,
    EXPIRED_TOKEN,
    INVALID_TOKEN,
    LOCAL_START,
    MASTER_GROUP,
    MASTER_TOKEN,
    MESSAGE_TIMEOUT_S,
    charges,
    enable_cache,
    energy_wh,
    expect_authorize_request,
    is_cached,
    no_energy_flows,
    no_event,
    set_id_token_status,
)
from tests.conformance.bench import GROUP, OTHER_TOKEN, PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import Setup

WITHOUT_CABLE_LOCK = "NOT AQ-2 and (C-30 or C-31 or C-32)"


async def refused_at_the_reader(bench: Bench, id_token: Payload, status: str) -> None:
    """Cases C_02, C_06, C_07 and C_56: the CSMS answers this status, and no event follows."""
    await states.authorization_on(bench)
    await states.ev_connected_pre_session(bench)
    set_id_token_status(bench, id_token, status)
    await bench.present(id_token)
    await expect_authorize_request(bench, id_token)
    # The meter values of a transaction that the cable has started come later than that.
    await bench.silence("TransactionEvent", for_s=MESSAGE_TIMEOUT_S)
    await no_energy_flows(bench)


# Tokens that the CSMS refuses


@case("Core", "C", "(C-30 or C-31 or C-32) and NOT AQ-2")
async def test_tc_c_02_cs(bench: Bench) -> None:
    """Local start transaction - Authorization Invalid/Unknown"""
    await refused_at_the_reader(bench, INVALID_TOKEN, "Invalid")


@case("Core", "C", LOCAL_START)
async def test_tc_c_04_cs(bench: Bench) -> None:
    """Local Stop Transaction - Different idToken"""
    await states.authorization_on(bench)
    await states.energy_transfer_started(bench)
    await bench.present(OTHER_TOKEN)
    await expect_authorize_request(bench, OTHER_TOKEN)
    await bench.silence("TransactionEvent", for_s=MESSAGE_TIMEOUT_S, where=lambda event: "idToken" in event)
    events = [frame.payload["eventType"] for frame in bench.journal.sent("TransactionEvent")]
    assert "Ended" not in events
    assert await charges(bench)


@case("Core", "C", WITHOUT_CABLE_LOCK)
async def test_tc_c_06_cs(bench: Bench) -> None:
    """Local start transaction - AuthorizationBlocked"""
    # The status that the case names is none of AuthorizationStatusEnumType; its name says which one is meant.
    await refused_at_the_reader(bench, BLOCKED_TOKEN, "Blocked")


@case("Core", "C", WITHOUT_CABLE_LOCK)
async def test_tc_c_07_cs(bench: Bench) -> None:
    """Local start transaction - Authorization Expired"""
    await refused_at_the_reader(bench, EXPIRED_TOKEN, "Expired")


@case("Core", "C", LOCAL_START)
async def test_tc_c_56_cs(bench: Bench) -> None:
    """Local start transaction - Authorization Unknown"""
    await refused_at_the_reader(bench, INVALID_TOKEN, "Unknown")


# Groups


@case("Core", "C", LOCAL_START)
async def test_tc_c_39_cs(bench: Bench) -> None:
    """Authorization by GroupId - Success"""
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    set_id_token_status(bench, OTHER_TOKEN, "Accepted", GROUP)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True)  # steps 1 to 4
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True, id_token=OTHER_TOKEN, authorize_expected=True)
    stop = next(event for event in bench.session().events if event["triggerReason"] == "StopAuthorized")
    assert stop["idToken"]["idToken"] == OTHER_TOKEN["idToken"], stop
    assert stop["idToken"]["type"] == OTHER_TOKEN["type"], stop
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_41_cs(bench: Bench) -> None:
    """Authorization by GroupId - Success with Authorization Cache"""
    await enable_cache(bench)
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    set_id_token_status(bench, OTHER_TOKEN, "Accepted", GROUP)
    await states.id_token_cached(bench, VALID_TOKEN)
    await states.id_token_cached(bench, OTHER_TOKEN)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await is_cached(bench, OTHER_TOKEN, "Accepted")
    await states.ev_connected_pre_session(bench)
    count_before = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, local=True, cached=True)  # steps 1 and 2
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True, id_token=OTHER_TOKEN)
    stop = next(event for event in bench.session().events if event["triggerReason"] == "StopAuthorized")
    assert stop["idToken"]["idToken"] == OTHER_TOKEN["idToken"], stop
    assert stop["idToken"]["type"] == OTHER_TOKEN["type"], stop
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    assert len(bench.journal.sent("Authorize")) == count_before


@case("Core", "C", LOCAL_START)
async def test_tc_c_42_cs(bench: Bench) -> None:
    """Authorization by GroupId - Not stopped by GroupId"""
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    set_id_token_status(bench, INVALID_TOKEN, "Invalid", GROUP)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True)  # steps 1 to 4
    await states.energy_transfer_started(bench)
    await bench.present(INVALID_TOKEN)
    await expect_authorize_request(bench, INVALID_TOKEN)
    await no_event(bench)
    assert await charges(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_44_cs(bench: Bench) -> None:
    """Authorization by GroupId - Invalid status with Authorization Cache"""
    await enable_cache(bench)
    set_id_token_status(bench, VALID_TOKEN, "Accepted", GROUP)
    set_id_token_status(bench, INVALID_TOKEN, "Invalid", GROUP)
    await states.id_token_cached(bench, VALID_TOKEN)
    await states.id_token_cached(bench, INVALID_TOKEN)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await is_cached(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True, cached=True)  # steps 1 and 2
    await states.energy_transfer_started(bench)
    await bench.present(INVALID_TOKEN)
    await expect_authorize_request(bench, INVALID_TOKEN)
    await no_event(bench)
    assert await charges(bench)


# The master pass


async def configure_master_pass(bench: Bench) -> None:
    """Configuration state: MasterPassGroupId; and the CSMS knows a token of that group."""
    await bench.configure("AuthCtrlr", "MasterPassGroupId", MASTER_GROUP["idToken"])
    set_id_token_status(bench, MASTER_TOKEN, "Accepted", MASTER_GROUP)


async def all_charging(bench: Bench, evse_ids: tuple[int, ...] = (1, 2)) -> None:
    """State is EnergyTransferStarted for EVSE 1 and EVSE 2, each with a token of its own."""
    for evse_id, id_token in zip(evse_ids, (VALID_TOKEN, OTHER_TOKEN), strict=False):
        await states.authorized(bench, local=True, evse_id=evse_id, id_token=id_token)
        await states.energy_transfer_started(bench, evse_id=evse_id)


async def stopped_by_master_pass(bench: Bench, evse_ids: tuple[int, ...]) -> None:
    """Step 3 of C_47 to C_49: each transaction ends because of the master pass (errata: the last event says so)."""
    open_transactions = {bench.session(evse_id).transaction_id: evse_id for evse_id in evse_ids}
    tokens: dict[int, int] = dict.fromkeys(evse_ids, 0)
    while open_transactions:
        event = await bench.expect("TransactionEvent", where=lambda event: event["triggerReason"] not in PERIODIC)
        assert event["transactionInfo"]["transactionId"] in open_transactions, event
        evse_id = open_transactions[event["transactionInfo"]["transactionId"]]
        bench.note_event(event, evse_id)
        if "idToken" in event:
            assert event["idToken"]["idToken"] == MASTER_TOKEN["idToken"], event
            assert event["idToken"]["type"] == MASTER_TOKEN["type"], event
            tokens[evse_id] += 1
        if event["eventType"] == "Ended":
            assert event["transactionInfo"]["stoppedReason"] == "MasterPass", event
            del open_transactions[event["transactionInfo"]["transactionId"]]
    assert max(tokens.values()) <= 1, "the token is reported once per transaction"
    for evse_id in evse_ids:
        session = bench.session(evse_id)
        session.authorized, session.charging, session.stop_authorized = False, False, True


async def drivers_leave(bench: Bench, evse_ids: tuple[int, ...]) -> None:
    """Steps 5 to 7 of C_47 to C_49."""
    for evse_id in evse_ids:
        await states.ev_connected_post_session(bench, evse_id=evse_id)
        await states.ev_disconnected(bench, evse_id=evse_id)
        await states.parking_bay_unoccupied(bench, evse_id=evse_id)


@pytest.mark.parametrize("start_point", ["Authorized", "PowerPathClosed"])
@case("Core", "C", "(C-30 or C-31 or C-32) AND (C-07 OR C-08)")
async def test_tc_c_45_cs(bench: Bench, start_point: str) -> None:
    """Authorization by GroupId - Master pass - Not able to start transaction + groupId"""
    await bench.configure("TxCtrlr", "TxStartPoint", start_point)
    await configure_master_pass(bench)
    await bench.present(MASTER_TOKEN)
    await expect_authorize_request(bench, MASTER_TOKEN)
    await no_event(bench)
    await states.ev_connected_pre_session(bench)
    await no_event(bench)
    assert not await charges(bench)


@setup(evses=2, tables={"station": {"master_pass_selection": True}})
@case("Core", "C", "C-07 and (C-30 or C-31 or C-32)")
async def test_tc_c_47_cs(bench: Bench) -> None:
    """Stop Transaction with a Master Pass - With UI - All transactions"""
    await configure_master_pass(bench)
    await all_charging(bench)
    await bench.present(MASTER_TOKEN)
    await expect_authorize_request(bench, MASTER_TOKEN)
    await no_event(bench)  # until the user has chosen
    await bench.station.post("/api/master-pass", {"evses": [1, 2]})
    await stopped_by_master_pass(bench, (1, 2))
    await drivers_leave(bench, (1, 2))


@setup(evses=2, tables={"station": {"master_pass_selection": True}})
@case("Core", "C", "C-07 and (C-30 or C-31 or C-32)")
async def test_tc_c_48_cs(bench: Bench) -> None:
    """Stop Transaction with a Master Pass - With UI - With UI - Specific transactions"""
    await configure_master_pass(bench)
    await all_charging(bench)
    await bench.present(MASTER_TOKEN)
    await expect_authorize_request(bench, MASTER_TOKEN)
    await bench.station.post("/api/master-pass", {"evses": [1]})
    await stopped_by_master_pass(bench, (1,))
    await drivers_leave(bench, (1,))
    assert await charges(bench, 2)
    charged_wh = await energy_wh(bench, 2)
    await bench.advance(10.0)
    assert await energy_wh(bench, 2) > charged_wh
    other_transaction_id = bench.session(2).transaction_id
    ended = [
        frame.payload["transactionInfo"]["transactionId"]
        for frame in bench.journal.sent("TransactionEvent")
        if frame.payload["eventType"] == "Ended"
    ]
    assert other_transaction_id not in ended


@pytest.mark.parametrize("station_setup", [Setup(), Setup(evses=2)], ids=["one-evse", "two-evses"])
@case("Core", "C", "C-08 and (C-30 or C-31 or C-32)")
async def test_tc_c_49_cs(bench: Bench) -> None:
    """Stop Transaction with a Master Pass - Without UI"""
    await configure_master_pass(bench)
    concerned = tuple(range(1, bench.setup.evses + 1))[:2]
    await all_charging(bench, concerned)
    await bench.present(MASTER_TOKEN)
    await expect_authorize_request(bench, MASTER_TOKEN)
    await stopped_by_master_pass(bench, concerned)
    await drivers_leave(bench, concerned)
