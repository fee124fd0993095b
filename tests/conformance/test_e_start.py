"""Block E, transactions: where they start."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import DEVIATION_S, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.transactions import (
    EV_CONNECTION_TIMEOUT_S,
    LOCAL_AND_REMOTE,
    no_event,
    set_start_points,
    set_stop_points,
)

# Start transaction options


@LOCAL_AND_REMOTE
@case("Core", "C", "C-09.4 and (C-51 or NOT (C-09.1 or C-09.2 or C-09.3 or C-09.6))")
async def test_tc_e_01_cs(bench: Bench, local: bool) -> None:
    """Start transaction options - PowerPathClosed"""
    bench.local = local
    await set_start_points(bench, "PowerPathClosed")
    await states.authorized(bench)
    assert bench.session().transaction_id is None
    await states.ev_connected_pre_session(bench)
    assert bench.session().events[0]["eventType"] == "Started"
    await states.energy_transfer_started(bench)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-09.5 and (C-51 or NOT (C-09.1 or C-09.2 or C-09.3 or C-09.4 or C-09.6))")
async def test_tc_e_02_cs(bench: Bench, local: bool) -> None:
    """Start transaction options - EnergyTransfer"""
    bench.local = local
    await set_start_points(bench, "EnergyTransfer")
    await states.authorized(bench)
    await bench.connect_ev()
    await bench.expect_status("Occupied")
    event = await bench.expect_event()
    assert event["eventType"] == "Started", event
    allowed = {"ChargingStateChanged", "Authorized"} if local else {"RemoteStart"}
    assert event["triggerReason"] in allowed, event
    assert event["idToken"]["idToken"] == VALID_TOKEN["idToken"], event
    assert event["idToken"]["type"] == VALID_TOKEN["type"], event
    assert event["evse"]["connectorId"] == bench.connector_id, event
    assert event["transactionInfo"]["chargingState"] == "Charging", event


@LOCAL_AND_REMOTE
@case("Core", "C", "C-09.1 and (C-51 or NOT C-09.6)")
async def test_tc_e_09_cs(bench: Bench, local: bool) -> None:
    """Start transaction options - EVConnected"""
    bench.local = local
    await set_start_points(bench, "EVConnected")
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    (event,) = bench.session().events
    assert event["eventType"] == "Started", event
    assert event["triggerReason"] in {"CablePluggedIn", "ChargingStateChanged"}, event
    assert event["evse"]["connectorId"] == bench.connector_id, event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    await states.authorized(bench)
    await states.energy_transfer_started(bench)


@case("Core", "C", "C-09.2 and (C-30 - C-35 or ISO 15118 support)")
async def test_tc_e_10_cs(bench: Bench) -> None:
    """Start transaction options - Authorized - Local"""
    await states.authorization_on(bench)
    await set_start_points(bench, "Authorized")
    await states.authorized(bench, local=True)
    (event,) = bench.session().events
    assert event["eventType"] == "Started", event
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)


@case("Core", "C", "C-09.2")
async def test_tc_e_13_cs(bench: Bench) -> None:
    """Start transaction options - Authorized - Remote"""
    await states.authorization_on(bench)
    await set_start_points(bench, "Authorized")
    await states.authorized(bench, local=False)
    (event,) = bench.session().events
    assert event["eventType"] == "Started", event
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)


@LOCAL_AND_REMOTE
@case("Core", "C", "C-09.3 and (C-51 or NOT (C-09.1 or C-09.2 or C-09.6))")
async def test_tc_e_11_cs(bench: Bench, local: bool) -> None:
    """Start transaction options - DataSigned"""
    bench.local = local
    await set_start_points(bench, "DataSigned")
    await bench.configure("SampledDataCtrlr", "SignReadings", "true")
    await states.authorized(bench)
    await bench.connect_ev(evse_id=bench.evse_id)
    await bench.expect_status("Occupied", evse_id=bench.evse_id)
    event = await bench.expect_event()
    assert event["eventType"] == "Started", event
    assert event["triggerReason"] in ({"SignedDataReceived"} if local else {"SignedDataReceived", "RemoteStart"}), event
    token = bench.session().id_token
    assert token is not None
    assert event["idToken"] == {"idToken": token["idToken"], "type": token["type"]}, event
    assert event["evse"]["connectorId"] == bench.connector_id, event
    signed = [
        sample for value in event["meterValue"] for sample in value["sampledValue"] if "signedMeterValue" in sample
    ]
    assert signed, event
    for value in event["meterValue"]:
        assert {sample.get("context") for sample in value["sampledValue"]} == {"Transaction.Begin"}, value
    for sample in signed:
        assert sample["signedMeterValue"].keys() >= {"encodingMethod", "publicKey", "signedMeterData", "signingMethod"}
    event = await bench.expect_event()
    assert event["eventType"] == "Updated", event
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] == "Charging", event


@LOCAL_AND_REMOTE
@case("Core", "C", "C-09.6")
async def test_tc_e_12_cs(bench: Bench, local: bool) -> None:
    """Start transaction options - ParkingBayOccupied"""
    bench.local = local
    await set_start_points(bench, "ParkingBayOccupancy")
    await states.parking_bay_occupied(bench)
    (event,) = bench.session().events
    assert event["eventType"] == "Started", event
    await states.authorized(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)


# Local start


@case("Core", "C", "NOT AQ-2 and (C-30 - C-35 or ISO 15118 support)")
async def test_tc_e_03_cs(bench: Bench) -> None:
    """Local start transaction - Cable plugin first - Success"""
    await states.authorization_on(bench)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True)
    await states.energy_transfer_started(bench)


@pytest.mark.parametrize("bay", [False, True])
@case("Core", "C", "(C-30 or C-31 or C-32 or C-33 or C-35)")
async def test_tc_e_04_cs(bench: Bench, bay: bool) -> None:
    """Local start transaction - Authorization first - Success"""
    await states.authorization_on(bench)
    if bay:
        await set_start_points(bench, "ParkingBayOccupancy")
    await states.parking_bay_occupied(bench)
    await states.authorized(bench, local=True)
    await states.energy_transfer_started(bench)


async def _authorized_in_the_bay(bench: Bench) -> None:
    """Authorized (local), where the vehicle has been in the bay since a transaction that has ended."""
    await bench.present()
    request = await bench.expect("Authorize")
    assert request["idToken"] == VALID_TOKEN, request
    event = await bench.expect_event()
    assert event["eventType"] == "Started", event
    assert event["triggerReason"] == "Authorized", event
    assert event["idToken"] == VALID_TOKEN, event
    bench.session().authorized = True


# A stop point of neither kind is left out: the case wants an Updated, where E03.FR.05 wants the transaction to end.
@pytest.mark.parametrize(
    ("starts", "stops"),
    [
        ("Authorized", "Authorized"),
        ("ParkingBayOccupancy", "ParkingBayOccupancy"),
        ("ParkingBayOccupancy", "Authorized"),
        ("EVConnected", "Authorized"),
    ],
)
@case("Core", "C", "C-30 - C-35 or ISO 15118 support")
async def test_tc_e_05_cs(bench: Bench, starts: str, stops: str) -> None:
    """Local start transaction - Authorization first - Cable plugin timeout"""
    await states.authorization_on(bench)
    await set_start_points(bench, starts)
    await set_stop_points(bench, stops)
    await bench.configure("TxCtrlr", "EVConnectionTimeOut", str(EV_CONNECTION_TIMEOUT_S))
    await bench.configure("AuthCacheCtrlr", "Enabled", "false")
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "false")
    await states.authorized(bench, local=True)
    if starts == "EVConnected":  # there is no transaction that the step could be of
        await no_event(bench, for_s=EV_CONNECTION_TIMEOUT_S + DEVIATION_S)
    else:
        event = await bench.expect_timeout(EV_CONNECTION_TIMEOUT_S)
        assert event["eventType"] == ("Ended" if stops == "Authorized" else "Updated"), event
        if stops == "Authorized":
            assert event["transactionInfo"]["stoppedReason"] == "Timeout", event
    bench.session().authorized = False
    if starts == "ParkingBayOccupancy" and stops == "Authorized":
        await _authorized_in_the_bay(bench)
    else:
        await states.authorized(bench, local=True)
    await states.energy_transfer_started(bench)


# The condition of Part 5 exempts stations that can start with EnergyTransfer; ours shows it with the other points.
@LOCAL_AND_REMOTE
@case("Core", "C", 'NOT C-09.5 and NOT Product Subtype "Mode 1/2-only Charging Station"')
async def test_tc_e_38_cs(bench: Bench, local: bool) -> None:
    """Local start transaction - EV not ready"""
    bench.local = local
    await states.authorized(bench)
    await states.ev_connected_pre_session(bench, ready_after_s=3600.0)
    event = await bench.expect_event()
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] == "SuspendedEV", event


@pytest.mark.parametrize("points", ["EVConnected,Authorized", "EVConnected"])
@case("Core", "C", "C-58 and (C-30 or C-31 or C-32 or C-34) and (C-49 or Local Authorization List Management)")
async def test_tc_e_52_cs(bench: Bench, points: str) -> None:
    """Local start transaction - Authorization first - DisableRemoteAuthorization"""
    await set_start_points(bench, points)
    await bench.configure("AuthCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "DisableRemoteAuthorization", "true")
    await states.parking_bay_occupied(bench)
    await bench.present()
    await bench.silence("Authorize", for_s=30.0)
    await no_event(bench, for_s=0.0)
    await states.ev_connected_pre_session(bench)
    await bench.silence("Authorize", for_s=30.0)
    await no_event(bench, for_s=30.0)
    assert bench.session().events[-1]["transactionInfo"]["chargingState"] == "EVConnected"
    assert "idToken" not in bench.session().events[-1]
