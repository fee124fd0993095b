"""Block E, transactions: where they stop, and what a cable that is pulled at the EV does to them."""

from __future__ import annotations

import pytest

from tests.conformance import states, states_15118
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload
from tests.conformance.transactions import (
    EV_CONNECTION_TIMEOUT_S,
    LOCAL_AND_REMOTE,
    SOCKET_AND_CABLE,
    detach,
    no_event,
    set_on_ev_side_disconnect,
    set_start_points,
    set_stop_points,
)
from tests.conformance.v2g import V2g

_MODE_1_2 = 'Product Subtype "Mode 1/2-only Charging Station"'
_EV_SIDE = f"(AQ-9 OR {_MODE_1_2})"

# The authorization ends


@pytest.mark.parametrize("points", ["Authorized", "PowerPathClosed"])
@case("Core", "C", "(C-10.2 or C-10.3) and (C-30 - C-32 or ISO 15118 support) and C-01")
async def test_tc_e_16_cs(bench: Bench, points: str) -> None:
    """Stop transaction options - Deauthorized - Invalid idToken"""
    await states.authorization_on(bench)
    await set_stop_points(bench, points)
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "true")
    await states.id_token_cached(bench)
    bench.csms.id_token_infos[VALID_TOKEN["idToken"]] = {"status": "Invalid"}
    await states.start_offline_transaction(bench)
    events: list[Payload] = []
    while not any("idToken" in event for event in events) or events[-1].get("offline") is True:
        events.append(await bench.expect_event(within_s=120.0))
    assert all(event.get("offline") is True for event in events[:-1]), events
    last = events[-1]
    assert last["eventType"] == "Ended", last
    assert last["triggerReason"] == "Deauthorized", last
    assert last["transactionInfo"]["stoppedReason"] == "DeAuthorized", last


@SOCKET_AND_CABLE
@case("Core", "C", "C-10.2 and C-06.2 and AQ-9 and NOT (NOT C-52 AND (10.1 OR C-10.3 OR 10.4))")
async def test_tc_e_17_cs(bench: Bench) -> None:
    """Stop transaction options - Deauthorized - EV side disconnect"""
    await states.authorization_on(bench)
    await set_stop_points(bench, "Authorized")
    await set_on_ev_side_disconnect(bench, stop=True, unlock=False)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["transactionInfo"]["stoppedReason"] == "EVDisconnected", event
    assert event["eventType"] == "Ended", event
    await detach(bench)
    await bench.expect_status("Available")


# With ParkingBayOccupancy as the start point this case wants an Updated where TC_E_05_CS, with the same stop point,
# wants an Ended (as E03.FR.05 does): that combination is there.
@LOCAL_AND_REMOTE
@pytest.mark.parametrize("points", ["Authorized", "EVConnected,Authorized"])
@case("Core", "M")
async def test_tc_e_39_cs(bench: Bench, points: str, local: bool) -> None:
    """Stop transaction options - Deauthorized - timeout"""
    bench.local = local
    await states.authorization_on(bench)
    await set_start_points(bench, points)
    await set_stop_points(bench, "Authorized")
    await bench.configure("TxCtrlr", "EVConnectionTimeOut", str(EV_CONNECTION_TIMEOUT_S))
    await states.authorized(bench)
    event = await bench.expect_timeout(EV_CONNECTION_TIMEOUT_S)
    assert event["eventType"] == "Ended", event
    assert event["transactionInfo"]["stoppedReason"] == "Timeout", event
    await bench.connect_ev()
    await bench.expect_status("Occupied")
    # Step 5 is optional. With EVConnected as a start point the cable starts another transaction, so that this event
    # is neither an update nor the end that the case speaks of.
    if "EVConnected" in points:
        event = await bench.expect_event()
        assert event["eventType"] == "Started", event
        assert event["triggerReason"] == "CablePluggedIn", event
        assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    await no_event(bench, for_s=30.0)


# Stop transaction options


@case("Core", "C", "C-30 or C-31 or C-32 or C35")
async def test_tc_e_06_cs(bench: Bench) -> None:
    """Local Stop Transaction - Accepted"""
    await states.authorization_on(bench)
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)


@case("Core", "C", "C-10.3 and (C-52 or NOT C-10.2) and (C-30 or C-31 or C-32 or C35)")
async def test_tc_e_07_cs(bench: Bench) -> None:
    """Stop transaction options - PowerPathClosed - Local stop"""
    await set_stop_points(bench, "PowerPathClosed")
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=True)


@case("Core", "C", "C-10.3 and (C-52 or NOT C-10.2)")
async def test_tc_e_35_cs(bench: Bench) -> None:
    """Stop transaction options - PowerPathClosed - Remote stop"""
    await set_stop_points(bench, "PowerPathClosed")
    await states.energy_transfer_started(bench)
    answer = await bench.call("RequestStopTransaction", {"transactionId": bench.session().transaction_id})
    assert answer["status"] == "Accepted", answer
    events = [await bench.expect_event()]
    while events[-1]["eventType"] != "Ended":
        events.append(await bench.expect_event())
    assert "RemoteStop" in [event["triggerReason"] for event in events], events
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Remote", events


@SOCKET_AND_CABLE
@case("Core", "C", f"C-10.3 and (C-52 or NOT (C-10.1 or C-10.4)) AND {_EV_SIDE}")
async def test_tc_e_37_cs(bench: Bench) -> None:
    """Stop transaction options - PowerPathClosed - EV side disconnect"""
    await set_stop_points(bench, "PowerPathClosed")
    await set_on_ev_side_disconnect(bench, stop=False)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["transactionInfo"]["stoppedReason"] in {"EVDisconnected", "StoppedByEV"}, event
    assert event["eventType"] == "Ended", event


@LOCAL_AND_REMOTE
@case("Core", "C", "C-10.4 and (C-52 or NOT (C-10.2 or C-10.3))")
async def test_tc_e_08_cs(bench: Bench, local: bool) -> None:
    """Stop transaction options - EnergyTransfer stopped - StopAuthorized"""
    bench.local = local
    await set_stop_points(bench, "EnergyTransfer")
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench)


@case("Core", "C", "C-10.4")
async def test_tc_e_22_cs(bench: Bench) -> None:
    """Stop transaction options - EnergyTransfer stopped - SuspendedEV"""
    await set_stop_points(bench, "EnergyTransfer")
    await states.energy_transfer_started(bench)
    await bench.station.vehicle(bench.evse_id, state="suspend")
    event = await bench.expect_event()
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEV"}, event
    assert event["transactionInfo"]["stoppedReason"] == "StoppedByEV", event
    assert event["eventType"] == "Ended", event


@LOCAL_AND_REMOTE
@case("Core", "C", "HFS-1 and C-10.1 and (C-52 or NOT (C-10.2 or C-10.3 or C-10.4))")
async def test_tc_e_14_cs(bench: Bench, local: bool) -> None:
    """Stop transaction options - EVDisconnected - Charging Station side"""
    bench.local = local
    await set_stop_points(bench, "EVConnected")
    await states.ev_connected_post_session(bench)
    await bench.disconnect_ev()
    await bench.expect_status("Available")
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    allowed = {"Local", "EVDisconnected", None} if local else {"Remote", "EVDisconnected"}
    assert event["transactionInfo"].get("stoppedReason") in allowed, event
    assert event["eventType"] == "Ended", event


@SOCKET_AND_CABLE
@case(
    "Core",
    "C",
    "(C-10.1 AND (NOT (NOT C-52 AND (C-10.3 or C-10.4)))) AND NOT (NOT C.06.1 AND NOT C-52 AND C-10.2))"
    f" AND {_EV_SIDE}",
)
async def test_tc_e_20_cs(bench: Bench) -> None:
    """Stop transaction options - EVDisconnected - EV side (able to charge IEC 61851-1 EV)"""
    await set_stop_points(bench, "EVConnected")
    await set_on_ev_side_disconnect(bench, stop=False)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["transactionInfo"]["stoppedReason"] == "EVDisconnected", event
    assert event["eventType"] == "Ended", event


@case("Core", "C", "C-10.2 and (C-30 or C-31 or C-32 or C35)")
async def test_tc_e_15_cs(bench: Bench) -> None:
    """Stop transaction options - StopAuthorized - Local"""
    await set_stop_points(bench, "Authorized")
    await states.energy_transfer_started(bench)
    await bench.advance(5.0)
    await bench.present()
    event = await bench.expect_event()
    assert event["triggerReason"] == "StopAuthorized", event
    assert event["transactionInfo"]["stoppedReason"] == "Local", event
    assert event["eventType"] == "Ended", event


@case("Core", "C", "C-10.2")
async def test_tc_e_21_cs(bench: Bench) -> None:
    """Stop transaction options - StopAuthorized - Remote"""
    await set_stop_points(bench, "Authorized")
    await states.energy_transfer_started(bench)
    answer = await bench.call("RequestStopTransaction", {"transactionId": bench.session().transaction_id})
    assert answer["status"] == "Accepted", answer
    event = await bench.expect_event()
    assert event["triggerReason"] == "RemoteStop", event
    assert event["transactionInfo"]["stoppedReason"] == "Remote", event
    assert event["eventType"] == "Ended", event


@LOCAL_AND_REMOTE
@case("Core", "C", "C-10.5 and (C-52 or NOT (C-10.1 or C-10.2 or C-10.3 or C-10.4))")
async def test_tc_e_19_cs(bench: Bench, local: bool) -> None:
    """Stop transaction options - ParkingBayUnoccupied"""
    bench.local = local
    await set_stop_points(bench, "ParkingBayOccupancy")
    await states.ev_disconnected(bench)
    await bench.station.parking_bay(bench.evse_id, occupied=False)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVDeparted", event
    assert event["transactionInfo"]["stoppedReason"] == ("Local" if local else "Remote"), event
    assert event["eventType"] == "Ended", event


# The cable is disconnected at the EV


@case("Core", "C", 'HFS-1 and C-06.2 and C-12.1 and AQ-9 and NOT Product Subtype "Mode 1/2-only Charging Station"')
async def test_tc_e_24_cs(bench: Bench) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockOnEVSideDisconnect is true"""
    await set_on_ev_side_disconnect(bench, stop=True, unlock=True)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    await bench.disconnect_ev()
    await bench.expect_status("Available")


@SOCKET_AND_CABLE
@case("Core", "C", f"C-06.2 and C-12.2 and {_EV_SIDE}")
async def test_tc_e_25_cs(bench: Bench) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockOnEVSideDisconnect is false"""
    await set_on_ev_side_disconnect(bench, stop=True, unlock=False)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    if not bench.setup.attached_cable:
        refused = await bench.station.http.post(f"/api/sim/evses/{bench.evse_id}/unplug", json={})
        assert refused.status_code == 409, "the cable must stay locked until its holder comes"
    await detach(bench)
    await bench.expect_status("Available")


_SUSPENDS = "(C-10.2 or C-10.5) and (C-52 or NOT (C-10.1 or C-10.3 or C-10.4)) and C-06.1 and C-12.2"


@pytest.mark.parametrize("points", ["Authorized", "ParkingBayOccupancy"])
@SOCKET_AND_CABLE
@case("Core", "C", f"{_SUSPENDS} and AQ-9 and NOT {_MODE_1_2}")
async def test_tc_e_26_cs(bench: Bench, points: str) -> None:
    """Disconnect cable on EV-side - Suspend transaction"""
    await set_stop_points(bench, points)
    await set_on_ev_side_disconnect(bench, stop=False, unlock=False)
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["eventType"] == "Updated", event
    if bench.setup.attached_cable:
        await bench.expect_status("Available")
    await bench.connect_ev()
    event = await bench.expect_event()
    assert event["triggerReason"] == "CablePluggedIn", event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    assert event["eventType"] == "Updated", event
    event = await bench.expect_event()
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] == "Charging", event
    assert event["eventType"] == "Updated", event


@pytest.mark.parametrize("points", ["Authorized", "ParkingBayOccupancy"])
@setup(attached_cable=True)
@case("Core", "C", f"{_SUSPENDS} and HFS-2 and AQ-9 and NOT {_MODE_1_2}")
async def test_tc_e_27_cs(bench: Bench, points: str) -> None:
    """Disconnect cable on EV-side - Suspend transaction - Fixed cable connection timeout"""
    await set_stop_points(bench, points)
    await set_on_ev_side_disconnect(bench, stop=False, unlock=False)
    await bench.configure("TxCtrlr", "EVConnectionTimeOut", str(EV_CONNECTION_TIMEOUT_S))
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["eventType"] == "Updated", event
    await bench.expect_status("Available")
    event = await bench.expect_timeout(EV_CONNECTION_TIMEOUT_S)
    if "Authorized" in points:
        assert event["eventType"] == "Ended", event
        assert event["transactionInfo"]["stoppedReason"] == "Timeout", event
    else:
        assert event["eventType"] == "Updated", event


@case(
    "Core",
    "C",
    "C-10.1 AND (NOT (NOT C-52 AND (C-10.2 or C-10.3 or C-10.4))) AND (HFS-4 OR ISO15118 support)"
    ' AND NOT Product Subtype "Mode 1/2-only Charging Station"',
)
@states_15118.communicating
async def test_tc_e_54_cs(bench: Bench) -> None:
    """Stop transaction options - EVDisconnected - EV side (not able to charge IEC 61851-1 EV)"""
    await set_stop_points(bench, "EVConnected")
    await set_on_ev_side_disconnect(bench, stop=False)
    await states_15118.ev_connected_pre_session(bench)
    await states_15118.authorized15118(bench, contract=False)
    await states_15118.needs_notified(bench)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    assert event["transactionInfo"]["stoppedReason"] in {"StoppedByEV", "EVDisconnected"}, event
    assert event["eventType"] == "Ended", event


@case("ISO 15118 Support", "M")
@states_15118.communicating
@pytest.mark.parametrize("stop_points", ["Authorized", "PowerPathClosed", "EVConnected"])
@pytest.mark.parametrize("contract", [True, False], ids=["PnC", "EIM"])
async def test_tc_e_46_cs(bench: Bench, stop_points: str, contract: bool) -> None:
    """End of charging process 15118"""
    v2g = V2g()
    await set_stop_points(bench, stop_points)
    await states_15118.iso15118_configured(bench, PnCEnabled=True)
    await states_15118.roots_installed(bench, v2g)
    await states_15118.ev_connected_pre_session(bench, **({"contract": v2g.contract()} if contract else {}))
    await states_15118.authorized15118(bench, contract=contract)
    await states_15118.needs_notified(bench)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")
    await bench.advance(5.0)
    await states_15118.session_terminated(bench)
    event = await bench.expect_event()
    if event["triggerReason"] == "ChargingStateChanged":  # the vehicle stops drawing before it ends its session
        assert event["transactionInfo"]["chargingState"] == "SuspendedEV", event
        event = await bench.expect_event()
    assert event["triggerReason"] == "StopAuthorized", event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    if stop_points == "EVConnected":
        assert event["eventType"] == "Updated", event
    else:
        assert event["eventType"] == "Ended", event
        assert event["transactionInfo"]["stoppedReason"] == "StoppedByEV", event
