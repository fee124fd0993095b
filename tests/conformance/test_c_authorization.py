"""Block C, authorization: local tokens, the authorization cache, groups, the master pass, and what holds offline."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import GROUP, OTHER_TOKEN, PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload

INVALID_TOKEN: Payload = {"idToken": "04C1C2C3C4C580", "type": "ISO14443"}
BLOCKED_TOKEN: Payload = {"idToken": "04D1D2D3D4D580", "type": "ISO14443"}
EXPIRED_TOKEN: Payload = {"idToken": "04E1E2E3E4E580", "type": "ISO14443"}
MASTER_TOKEN: Payload = {"idToken": "04F1F2F3F4F580", "type": "ISO14443"}
MASTER_GROUP: Payload = {"idToken": "MASTERS-1", "type": "Central"}

_MESSAGE_TIMEOUT_S = 30.0
"""<Configured message timeout>"""
_TRANSACTION_DURATION_S = 60.0
"""<Configured Transaction Duration>"""
_OFFLINE_S = 5.0
"""what C_16 and C_17 wait"""
_AWAY_S = 40
"""<Configured RetryBackOffWaitMinimum_duration>"""

BOTH_WAYS = pytest.mark.parametrize("local", [True, False], ids=["local", "remote"])
"""cases that the errata (6.2.22) let be done with a remote start too"""
LOCAL_START = "C-30 or C-31 or C-32"
WITHOUT_CABLE_LOCK = "NOT AQ-2 and (C-30 or C-31 or C-32)"


def knows(bench: Bench, id_token: Payload, status: str, group: Payload | None = None) -> None:
    """From now on the CSMS says this of an id token."""
    info: Payload = {"status": status}
    bench.csms.id_token_infos[id_token["idToken"]] = info | ({"groupIdToken": group} if group is not None else {})


async def cache_on(bench: Bench, *, local: bool = True) -> None:
    """Configuration state: the cache is used before the CSMS is asked; remote starts are authorized like local ones."""
    bench.local = local
    await bench.configure("AuthCacheCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("AuthCacheCtrlr", "DisablePostAuthorize", "false")
    await bench.configure("AuthCtrlr", "AuthorizeRemoteStart", "true")


async def show(bench: Bench, id_token: Payload, evse_id: int = 1) -> None:
    """Manual action: present an id token; or the CSMS asks for a start with it, where the case is done remotely."""
    if bench.local:
        await bench.present(id_token, evse_id=evse_id)
        return
    request: Payload = {"idToken": id_token, "remoteStartId": 4711, "evseId": evse_id}
    answer = await bench.call("RequestStartTransaction", request)
    assert answer["status"] == "Accepted", answer


async def asked_for(bench: Bench, id_token: Payload) -> None:
    """AuthorizeRequest for this id token."""
    asked = await bench.expect("Authorize")
    assert asked["idToken"]["idToken"] == id_token["idToken"], asked
    assert asked["idToken"]["type"] == id_token["type"], asked


async def is_cached(bench: Bench, id_token: Payload, status: str) -> None:
    """Memory state: the cache holds this id token, with this status."""
    entries = await bench.station.get("/api/auth/cache")
    known = {(entry["token"].lower(), entry["type"]): entry["info"]["status"] for entry in entries}
    assert known.get((id_token["idToken"].lower(), id_token["type"])) == status, known


async def no_event(bench: Bench) -> None:
    """No TransactionEvent within the message timeout, besides meter values that come by the clock."""
    await bench.silence(
        "TransactionEvent", for_s=_MESSAGE_TIMEOUT_S, where=lambda event: event["triggerReason"] not in PERIODIC
    )


async def told_of(bench: Bench, id_token: Payload, trigger: str = "Authorized", evse_id: int = 1) -> Payload:
    """The TransactionEvent that tells of an authorization."""
    was_started = bench.session(evse_id).started
    event = await bench.expect_event(evse_id=evse_id)
    assert event["triggerReason"] == trigger, event
    assert event["idToken"]["idToken"] == id_token["idToken"], event
    assert event["idToken"]["type"] == id_token["type"], event
    assert event["eventType"] == ("Updated" if was_started else "Started"), event
    return event


async def charges(bench: Bench, evse_id: int = 1) -> bool:
    """Whether energy flows to the vehicle of an EVSE."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return next(evse for evse in evses if evse["id"] == evse_id)["charging_state"] == "Charging"


async def energy_wh(bench: Bench, evse_id: int = 1) -> float:
    """What the billing meter of an EVSE shows."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return float(next(evse for evse in evses if evse["id"] == evse_id)["meter"]["energy_import_wh"])


async def refused_at_the_reader(bench: Bench, id_token: Payload, status: str) -> None:
    """Cases C_02, C_06, C_07 and C_56: the CSMS says this of a token, and no event follows."""
    await states.authorization_on(bench)
    await states.ev_connected_pre_session(bench)
    knows(bench, id_token, status)
    await bench.present(id_token)
    await asked_for(bench, id_token)
    # The meter values of a transaction that the cable has started come later than that.
    await bench.silence("TransactionEvent", for_s=_MESSAGE_TIMEOUT_S)
    assert not await charges(bench)


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
    await asked_for(bench, OTHER_TOKEN)
    await bench.silence("TransactionEvent", for_s=_MESSAGE_TIMEOUT_S, where=lambda event: "idToken" in event)
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


# The authorization cache, online


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_08_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Accepted"""
    await cache_on(bench, local=local)
    await states.id_token_cached(bench)
    await states.ev_connected_pre_session(bench)
    asked = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == asked
    assert await charges(bench)


async def refused_and_asked_again(bench: Bench, id_token: Payload, status: str, *, local: bool) -> None:
    """Cases C_09, C_10 and C_11: a token that is cached as refused is asked for again, and refused again."""
    await cache_on(bench, local=local)
    knows(bench, id_token, status)
    await states.id_token_cached(bench, id_token)
    await is_cached(bench, id_token, status)
    await states.ev_connected_pre_session(bench)
    await show(bench, id_token)
    await asked_for(bench, id_token)
    await no_event(bench)
    assert not await charges(bench)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_09_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Invalid & Not Accepted"""
    await refused_and_asked_again(bench, INVALID_TOKEN, "Invalid", local=local)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_10_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Restricted"""
    await refused_and_asked_again(bench, BLOCKED_TOKEN, "Blocked", local=local)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_11_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Expired"""
    await refused_and_asked_again(bench, EXPIRED_TOKEN, "Expired", local=local)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_12_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - Invalid & Accepted"""
    await cache_on(bench, local=local)
    knows(bench, INVALID_TOKEN, "Invalid")
    await states.id_token_cached(bench, INVALID_TOKEN)
    await is_cached(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    knows(bench, INVALID_TOKEN, "Accepted")
    await states.authorized(bench, id_token=INVALID_TOKEN)
    await states.energy_transfer_started(bench)
    assert await charges(bench)


@BOTH_WAYS
@pytest.mark.parametrize("start_points", ["EVConnected,Authorized", "ParkingBayOccupancy"])
@case("Core", "C", "C-49")
async def test_tc_c_13_cs(bench: Bench, local: bool, start_points: str) -> None:
    """Authorization through authorization cache - Accepted but cable not connected yet."""
    await cache_on(bench, local=local)
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.id_token_cached(bench)
    await states.parking_bay_occupied(bench)
    asked = len(bench.journal.sent("Authorize"))
    await show(bench, VALID_TOKEN)
    await told_of(bench, VALID_TOKEN, "Authorized" if local else "RemoteStart")
    bench.session().authorized = True
    bench.session().remote = not local
    assert not await charges(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == asked
    assert await charges(bench)


@BOTH_WAYS
@case("Core", "C", "C-59 and C-49")
async def test_tc_c_57_cs(bench: Bench, local: bool) -> None:
    """Authorization through authorization cache - AuthCacheDisablePostAuthorize"""
    await cache_on(bench, local=local)
    await bench.configure("AuthCacheCtrlr", "DisablePostAuthorize", "true")
    knows(bench, INVALID_TOKEN, "Invalid")
    await states.id_token_cached(bench, INVALID_TOKEN)
    await is_cached(bench, INVALID_TOKEN, "Invalid")
    await states.ev_connected_pre_session(bench)
    knows(bench, INVALID_TOKEN, "Accepted")  # whoever asked would be told so
    await show(bench, INVALID_TOKEN)
    await bench.silence("Authorize", for_s=_MESSAGE_TIMEOUT_S)
    await no_event(bench)
    assert not await charges(bench)


# The authorization cache, offline


async def offline_rules(bench: Bench, *, stop: bool, energy: int, unknown: bool = True) -> None:
    """Configuration state of C_15 to C_18; `unknown`: OfflineTxForUnknownIdEnabled, which C_16 does not ask for."""
    await cache_on(bench)
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", str(unknown).lower())
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", str(stop).lower())
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", str(energy))
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(_AWAY_S + 60))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(_AWAY_S))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")


async def charge_offline(bench: Bench, for_s: float) -> None:
    """Memory state, and steps 1 and 2 of C_15 to C_18: a cached token charges while the link is down."""
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await states.ev_connected_pre_session(bench)
    await bench.go_offline()
    await bench.present(VALID_TOKEN)
    await bench.advance(for_s)
    assert await charges(bench)
    knows(bench, VALID_TOKEN, "Invalid")
    await bench.come_back(within_s=3 * _AWAY_S)


async def queue_of(bench: Bench, *, idle_s: float = 3.0) -> list[Payload]:
    """All TransactionEvents until none comes any more for a while; periodic ones too."""
    events: list[Payload] = []
    await bench.until(lambda: _any_event(bench), within_s=120.0, why="no TransactionEvent")
    while _any_event(bench):
        for received in [one for one in bench.csms.unread if one.action == "TransactionEvent"]:
            bench.csms.unread.remove(received)
            events.append(received.payload)
            bench.note_event(received.payload)
        await bench.advance(idle_s)
    return events


def _any_event(bench: Bench) -> bool:
    return any(one.action == "TransactionEvent" for one in bench.csms.unread)


def authorized_offline(events: list[Payload], id_token: Payload = VALID_TOKEN) -> None:
    """The messages that C_15 to C_18 ask for in the queue."""
    for event in (one for one in events if one["triggerReason"] == "Authorized"):
        assert event["idToken"]["idToken"] == id_token["idToken"], event
        assert event["idToken"]["type"] == id_token["type"], event
        assert event["offline"] is True, event
    assert [one for one in events if one["triggerReason"] == "ChargingStateChanged" and one.get("offline") is True]


def suspended(events: list[Payload]) -> list[Payload]:
    """Those that tell of energy that the EVSE withholds."""
    return [one for one in events if one["transactionInfo"].get("chargingState") == "SuspendedEVSE"]


@case("Core", "C", "C-49 and C-03 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_15_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = false, MaxEnergyOnInvalidId > 0"""
    await offline_rules(bench, stop=False, energy=10_000)
    # Time may leap: nobody corrects the clock, and no meter value comes while it does.
    await bench.configure("ClockCtrlr", "TimeSource", "RealTimeClock")
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", "0")
    await charge_offline(bench, for_s=_TRANSACTION_DURATION_S)
    refused_at_wh = await energy_wh(bench)
    events = await queue_of(bench)
    authorized_offline(events)
    assert [one for one in events if one["triggerReason"] == "Deauthorized"] == []
    assert suspended(events) == []
    assert await charges(bench)
    await bench.station.advance(1_500.0)  # 10 kWh take 27 minutes at 22 kW
    assert await charges(bench)
    for _ in range(100):
        await bench.station.advance(6.0)
        if suspended([one.payload for one in bench.csms.unread if one.action == "TransactionEvent"]):
            break
    (told,) = suspended([one.payload for one in bench.csms.unread if one.action == "TransactionEvent"])
    assert told["triggerReason"] == "ChargingStateChanged", told
    assert not await charges(bench)
    assert 9_900.0 < await energy_wh(bench) - refused_at_wh < 10_500.0


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_16_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = true"""
    await offline_rules(bench, stop=True, energy=0, unknown=False)
    await charge_offline(bench, for_s=_OFFLINE_S)
    events = await queue_of(bench)
    authorized_offline(events)
    assert [one for one in events if one["triggerReason"] == "Deauthorized"]
    assert not await charges(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_17_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = false"""
    await offline_rules(bench, stop=False, energy=0)
    await charge_offline(bench, for_s=_OFFLINE_S)
    events = await queue_of(bench)
    authorized_offline(events)
    assert [one for one in events if one["triggerReason"] == "Authorized" and "idToken" in one]
    assert suspended(events)
    assert [one for one in events if one["triggerReason"] == "Deauthorized"] == []
    assert not await charges(bench)


@case("Core", "C", "C-49 and C-03 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_18_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = true, MaxEnergyOnInvalidId > 0"""
    await offline_rules(bench, stop=True, energy=500)
    await charge_offline(bench, for_s=_TRANSACTION_DURATION_S)
    events = await queue_of(bench)
    authorized_offline(events)
    (deauthorized,) = (one for one in events if one["triggerReason"] == "Deauthorized")
    assert deauthorized.get("offline", False) is False, deauthorized
    assert not await charges(bench)


@case("Core", "C", "C-02 and (C-30 or C-31 or C-32)")
async def test_tc_c_26_cs(bench: Bench) -> None:
    """Offline Authorization - Unknown Id"""
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", "0")
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "false")
    knows(bench, VALID_TOKEN, "Invalid")
    await states.start_offline_transaction(bench)
    back_at = bench.iso()
    await bench.expect_status("Occupied")
    events = await queue_of(bench)
    queued = [one for one in events if one["timestamp"] < back_at]
    assert queued
    assert [one for one in queued if one.get("offline") is not True] == []
    assert suspended(events)
    assert not await charges(bench)
    knows(bench, VALID_TOKEN, "Accepted")
    session = bench.session()
    session.authorized = session.charging = True
    await states.stop_authorized(bench, local=True)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)


# What the cache holds


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_32_cs(bench: Bench, local: bool) -> None:
    """Store Authorization Data in the Authorization Cache - Persistent over reboot"""
    await cache_on(bench, local=local)
    await states.id_token_cached(bench)
    await states.booted(bench)
    asked = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    assert bench.session().events[-1]["triggerReason"] == ("Authorized" if local else "RemoteStart")
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    assert len(bench.journal.sent("Authorize")) == asked


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_33_cs(bench: Bench, local: bool) -> None:
    """Store Authorization Data in the Authorization Cache - Update on AuthorizeResponse"""
    await cache_on(bench, local=local)
    await states.ev_connected_pre_session(bench)
    trigger = "Authorized" if local else "RemoteStart"
    await show(bench, VALID_TOKEN)
    await asked_for(bench, VALID_TOKEN)
    await told_of(bench, VALID_TOKEN, trigger)
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    # What the answer to the event says from now on has no influence on what the cache said when the token came.
    knows(bench, VALID_TOKEN, "Invalid")
    await show(bench, VALID_TOKEN)
    await told_of(bench, VALID_TOKEN, trigger)
    assert len(bench.journal.sent("Authorize")) == 1


@BOTH_WAYS
@pytest.mark.parametrize(
    ("start_points", "cable_first"),
    [("EVConnected", False), ("PowerPathClosed", False), ("EVConnected,Authorized", True), ("Authorized", True)],
)
@case("Core", "C", "C-49")
async def test_tc_c_34_cs(bench: Bench, local: bool, start_points: str, cable_first: bool) -> None:
    """Store Authorization Data in the Authorization Cache - Update on TransactionEventResponse"""
    await cache_on(bench, local=local)
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "true")
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", "0")
    await bench.configure("TxCtrlr", "TxStartPoint", start_points)
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    # The errata leave the cable out of the Before. Where a token starts the transaction, the charging state that
    # Deauthorized asks for needs the cable nevertheless.
    if cable_first:
        await states.ev_connected_pre_session(bench)
    knows(bench, VALID_TOKEN, "Invalid")
    asked = len(bench.journal.sent("Authorize"))
    await states.authorized(bench, cached=True)
    await states.deauthorized(bench)
    assert len(bench.journal.sent("Authorize")) == asked
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    await states.parking_bay_occupied(bench)
    await show(bench, VALID_TOKEN)
    await asked_for(bench, VALID_TOKEN)
    await no_event(bench)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_36_cs(bench: Bench, local: bool) -> None:
    """Store Authorization Data in the Authorization Cache - AuthCacheCtrlr.LocalPreAuthorize = false"""
    await cache_on(bench, local=local)
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "false")
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    knows(bench, VALID_TOKEN, "Invalid")
    await show(bench, VALID_TOKEN)
    await asked_for(bench, VALID_TOKEN)
    await no_event(bench)


@BOTH_WAYS
@case("Core", "C", "C-49")
async def test_tc_c_37_cs(bench: Bench, local: bool) -> None:
    """Clear Authorization Data in Authorization Cache - Accepted"""
    await cache_on(bench, local=local)
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    answer = await bench.call("ClearCache", {})
    assert answer["status"] == "Accepted", answer
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
    await cache_on(bench)
    await bench.configure("AuthCacheCtrlr", "LifeTime", str(int(_TRANSACTION_DURATION_S)))
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await states.ev_connected_pre_session(bench)
    await bench.advance(_TRANSACTION_DURATION_S)
    await states.authorized(bench, local=True)  # which expects the AuthorizeRequest


# Groups


@case("Core", "C", LOCAL_START)
async def test_tc_c_39_cs(bench: Bench) -> None:
    """Authorization by GroupId - Success"""
    knows(bench, VALID_TOKEN, "Accepted", GROUP)
    knows(bench, OTHER_TOKEN, "Accepted", GROUP)
    await states.ev_connected_pre_session(bench)
    await bench.present(VALID_TOKEN)
    await asked_for(bench, VALID_TOKEN)
    await told_of(bench, VALID_TOKEN)
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True, id_token=OTHER_TOKEN, asks=True)
    stop = next(event for event in bench.session().events if event["triggerReason"] == "StopAuthorized")
    assert stop["idToken"]["idToken"] == OTHER_TOKEN["idToken"], stop
    assert stop["idToken"]["type"] == OTHER_TOKEN["type"], stop
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_41_cs(bench: Bench) -> None:
    """Authorization by GroupId - Success with Authorization Cache"""
    await cache_on(bench)
    knows(bench, VALID_TOKEN, "Accepted", GROUP)
    knows(bench, OTHER_TOKEN, "Accepted", GROUP)
    await states.id_token_cached(bench, VALID_TOKEN)
    await states.id_token_cached(bench, OTHER_TOKEN)
    await states.ev_connected_pre_session(bench)
    asked = len(bench.journal.sent("Authorize"))
    await bench.present(VALID_TOKEN)
    await told_of(bench, VALID_TOKEN)
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True, id_token=OTHER_TOKEN)
    stop = next(event for event in bench.session().events if event["triggerReason"] == "StopAuthorized")
    assert stop["idToken"]["idToken"] == OTHER_TOKEN["idToken"], stop
    assert stop["idToken"]["type"] == OTHER_TOKEN["type"], stop
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    assert len(bench.journal.sent("Authorize")) == asked


@case("Core", "C", LOCAL_START)
async def test_tc_c_42_cs(bench: Bench) -> None:
    """Authorization by GroupId - Not stopped by GroupId"""
    knows(bench, VALID_TOKEN, "Accepted", GROUP)
    knows(bench, INVALID_TOKEN, "Invalid", GROUP)
    await states.ev_connected_pre_session(bench)
    await bench.present(VALID_TOKEN)
    await asked_for(bench, VALID_TOKEN)
    await told_of(bench, VALID_TOKEN)
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    await bench.present(INVALID_TOKEN)
    await asked_for(bench, INVALID_TOKEN)
    await no_event(bench)
    assert await charges(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_44_cs(bench: Bench) -> None:
    """Authorization by GroupId - Invalid status with Authorization Cache"""
    await cache_on(bench)
    knows(bench, VALID_TOKEN, "Accepted", GROUP)
    knows(bench, INVALID_TOKEN, "Invalid", GROUP)
    await states.id_token_cached(bench, VALID_TOKEN)
    await states.id_token_cached(bench, INVALID_TOKEN)
    await states.ev_connected_pre_session(bench)
    asked = len(bench.journal.sent("Authorize"))
    await bench.present(VALID_TOKEN)
    await told_of(bench, VALID_TOKEN)
    assert len(bench.journal.sent("Authorize")) == asked
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    await bench.present(INVALID_TOKEN)
    await asked_for(bench, INVALID_TOKEN)
    await no_event(bench)
    assert await charges(bench)


# The master pass


async def master_pass(bench: Bench) -> None:
    """Configuration state: MasterPassGroupId; and the CSMS knows a token of that group."""
    await bench.configure("AuthCtrlr", "MasterPassGroupId", MASTER_GROUP["idToken"])
    knows(bench, MASTER_TOKEN, "Accepted", MASTER_GROUP)


async def all_charging(bench: Bench) -> None:
    """State is EnergyTransferStarted for EVSE 1 and EVSE 2, each with a token of its own."""
    for evse_id, id_token in ((1, VALID_TOKEN), (2, OTHER_TOKEN)):
        await states.authorized(bench, local=True, evse_id=evse_id, id_token=id_token)
        await states.energy_transfer_started(bench, evse_id=evse_id)


async def stopped_by_master_pass(bench: Bench, evse_ids: tuple[int, ...]) -> None:
    """Step 3 of C_47 to C_49: each transaction ends because of the master pass (errata: the last event says so)."""
    open_ones = {bench.session(evse_id).transaction_id: evse_id for evse_id in evse_ids}
    tokens: dict[int, int] = dict.fromkeys(evse_ids, 0)
    while open_ones:
        event = await bench.expect("TransactionEvent", where=lambda one: one["triggerReason"] not in PERIODIC)
        assert event["transactionInfo"]["transactionId"] in open_ones, event
        evse_id = open_ones[event["transactionInfo"]["transactionId"]]
        bench.note_event(event, evse_id)
        if "idToken" in event:
            assert event["idToken"]["idToken"] == MASTER_TOKEN["idToken"], event
            assert event["idToken"]["type"] == MASTER_TOKEN["type"], event
            tokens[evse_id] += 1
        if event["eventType"] == "Ended":
            assert event["transactionInfo"]["stoppedReason"] == "MasterPass", event
            del open_ones[event["transactionInfo"]["transactionId"]]
    assert max(tokens.values()) <= 1, "the token is told once per transaction"
    for evse_id in evse_ids:
        session = bench.session(evse_id)
        session.authorized, session.charging, session.stop_authorized = False, False, True


async def leave(bench: Bench, evse_ids: tuple[int, ...]) -> None:
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
    await master_pass(bench)
    await bench.present(MASTER_TOKEN)
    await asked_for(bench, MASTER_TOKEN)
    await no_event(bench)
    await states.ev_connected_pre_session(bench)
    await no_event(bench)
    assert not await charges(bench)


@setup(evses=2, tables={"station": {"master_pass_selection": True}})
@case("Core", "C", "C-07 and (C-30 or C-31 or C-32)")
async def test_tc_c_47_cs(bench: Bench) -> None:
    """Stop Transaction with a Master Pass - With UI - All transactions"""
    await master_pass(bench)
    await all_charging(bench)
    await bench.present(MASTER_TOKEN)
    await asked_for(bench, MASTER_TOKEN)
    await no_event(bench)  # until the user has chosen
    await bench.station.post("/api/master-pass", {"evses": [1, 2]})
    await stopped_by_master_pass(bench, (1, 2))
    await leave(bench, (1, 2))


@setup(evses=2, tables={"station": {"master_pass_selection": True}})
@case("Core", "C", "C-07 and (C-30 or C-31 or C-32)")
async def test_tc_c_48_cs(bench: Bench) -> None:
    """Stop Transaction with a Master Pass - With UI - With UI - Specific transactions"""
    await master_pass(bench)
    await all_charging(bench)
    await bench.present(MASTER_TOKEN)
    await asked_for(bench, MASTER_TOKEN)
    await bench.station.post("/api/master-pass", {"evses": [1]})
    await stopped_by_master_pass(bench, (1,))
    await leave(bench, (1,))
    assert await charges(bench, 2)
    kept = bench.session(2).transaction_id
    ended = [
        frame.payload["transactionInfo"]["transactionId"]
        for frame in bench.journal.sent("TransactionEvent")
        if frame.payload["eventType"] == "Ended"
    ]
    assert kept not in ended


@pytest.mark.parametrize("evses", [1, 2])
@setup(evses=2)
@case("Core", "C", "C-08 and (C-30 or C-31 or C-32)")
async def test_tc_c_49_cs(bench: Bench, evses: int) -> None:
    """Stop Transaction with a Master Pass - Without UI"""
    await master_pass(bench)
    if evses == 2:
        await all_charging(bench)
    else:
        await states.energy_transfer_started(bench)
    concerned = tuple(range(1, evses + 1))
    await bench.present(MASTER_TOKEN)
    await asked_for(bench, MASTER_TOKEN)
    await stopped_by_master_pass(bench, concerned)
    await leave(bench, concerned)
