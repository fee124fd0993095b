"""Block F, remote control: remote start and stop, unlocking a connector, and messages on demand."""

from __future__ import annotations

import uuid

import pytest

from tests.conformance import states
from tests.conformance.authorization import charges
from tests.conformance.bench import PERIODIC, Bench
from tests.conformance.cases import case, setup
from tests.conformance.firmware import FileServer, image, signer, update_request
from tests.conformance.frames import Payload
from tests.file_server import serving

_EV_CONNECTION_TIMEOUT_S = 20
"""<Configured ev_connection_timeout>"""
POINTS = pytest.mark.parametrize(
    "points", ["EVConnected,Authorized", "ParkingBayOccupancy", "EVConnected", "PowerPathClosed"]
)
"""a remote start is reported at once, or only when the vehicle is connected"""
_LOCK = 'HFS-1 and NOT Product Subtype "Mode 1/2-only Charging Station"'


async def trigger(bench: Bench, message: str, evse: Payload | None = None, *, status: str = "Accepted") -> None:
    """TriggerMessageRequest, and the status of its response."""
    request: Payload = {"requestedMessage": message} | ({"evse": evse} if evse is not None else {})
    since = len(bench.journal.frames)
    answer = await bench.call("TriggerMessage", request)
    assert answer["status"] == status, answer
    actions = [
        f.action for f in bench.journal.frames[since:] if f.from_station and f.action in {message, "TriggerMessage"}
    ]
    assert actions[0] == "TriggerMessage", "the message came before the response"  # F06.FR.04


async def measurands(bench: Bench, component: str, variable: str) -> set[str]:
    """The measurands that a variable lists."""
    return set((await bench.get_variable(component, variable)).split(","))


async def expect_ongoing(bench: Bench) -> None:
    """The transaction has not ended, and energy flows."""
    await bench.silence("TransactionEvent", for_s=5.0, where=lambda e: e["triggerReason"] not in PERIODIC)
    assert await charges(bench, bench.evse_id)


async def unlock(bench: Bench, connector_id: int) -> str:
    """UnlockConnectorRequest; the status of its response."""
    answer = await bench.call("UnlockConnector", {"evseId": bench.evse_id, "connectorId": connector_id})
    return answer["status"]


async def locked(bench: Bench) -> bool:
    """Whether the station says that the connector is locked."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return next(bool(evse["locked"]) for evse in evses if evse["id"] == bench.evse_id)


# Remote start and stop


@case("Core", "C", "NOT AQ-2 and (C-36-(or) C-39)")
async def test_tc_f_01_cs(bench: Bench) -> None:
    """Remote start transaction - Cable plugin first"""
    await states.authorization_on(bench)
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=False)
    await states.energy_transfer_started(bench)


@POINTS
@case("Core", "C", "C-48.1 and (C-36-(or) C-39)")
async def test_tc_f_02_cs(bench: Bench, points: str) -> None:
    """Remote start transaction - Remote start first -AuthorizeRemoteStart is true"""
    await states.authorization_on(bench)
    await bench.configure("TxCtrlr", "TxStartPoint", points)
    await bench.configure("AuthCtrlr", "AuthorizeRemoteStart", "true")
    await states.parking_bay_occupied(bench)
    await states.authorized(bench, local=False)
    await states.energy_transfer_started(bench)


@POINTS
@case("Core", "C", "C-48.2 and (C-36-(or) C-39)")
async def test_tc_f_03_cs(bench: Bench, points: str) -> None:
    """Remote start transaction - Remote start first -AuthorizeRemoteStart is false"""
    await states.authorization_on(bench)
    await bench.configure("TxCtrlr", "TxStartPoint", points)
    await bench.configure("AuthCtrlr", "AuthorizeRemoteStart", "false")
    await states.parking_bay_occupied(bench)
    await states.authorized(bench, local=False)
    await states.energy_transfer_started(bench)
    assert bench.journal.sent("Authorize") == []


@pytest.mark.parametrize("points", ["Authorized", "ParkingBayOccupancy"])
@case("Core", "M")
async def test_tc_f_04_cs(bench: Bench, points: str) -> None:
    """Remote start transaction - Remote start first - Cable plugin timeout"""
    await states.authorization_on(bench)
    await bench.configure("TxCtrlr", "EVConnectionTimeOut", str(_EV_CONNECTION_TIMEOUT_S))
    await bench.configure("TxCtrlr", "TxStartPoint", points)
    await states.authorized(bench, local=False)
    event = await bench.expect_timeout(_EV_CONNECTION_TIMEOUT_S)
    assert event["eventType"] == "Ended", event
    assert event["transactionInfo"]["stoppedReason"] == "Timeout", event  # E03.FR.05
    bench.session().authorized = False
    await states.authorized(bench, local=False)  # which is reported as Started


@case("Core", "M")
async def test_tc_f_08_cs(bench: Bench) -> None:
    """Remote stop transaction - Success"""
    await states.energy_transfer_started(bench)
    await states.stop_authorized(bench, local=False)


@case("Core", "M")
async def test_tc_f_09_cs(bench: Bench) -> None:
    """Remote stop transaction - Rejected"""
    await states.energy_transfer_started(bench)
    answer = await bench.call("RequestStopTransaction", {"transactionId": str(uuid.uuid4())})
    assert answer["status"] == "Rejected", answer
    await expect_ongoing(bench)


# Unlock a connector


@case("Core", "C", _LOCK)
async def test_tc_f_05_cs(bench: Bench) -> None:
    """Remote unlock Connector - With ongoing transaction"""
    await states.energy_transfer_started(bench)
    assert await unlock(bench, bench.connector_id) == "OngoingAuthorizedTransaction"
    await expect_ongoing(bench)
    assert await locked(bench)


@case("Core", "C", _LOCK)
async def test_tc_f_06_cs(bench: Bench) -> None:
    """Remote unlock Connector - Without ongoing transaction - Accepted"""
    await bench.configure("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "false")
    await states.energy_transfer_suspended(bench)
    await bench.disconnect_ev(ev_side=True)  # the cable stays locked in the socket, without a transaction
    event = await bench.expect_event()
    assert event["eventType"] == "Ended", event
    assert await locked(bench)
    assert await unlock(bench, bench.connector_id) == "Unlocked"
    assert not await locked(bench)
    await bench.disconnect_ev()


@case("Core", "C", _LOCK)
async def test_tc_f_07_cs(bench: Bench) -> None:
    """Remote unlock Connector - Without ongoing transaction - No cable connected"""
    assert await unlock(bench, bench.connector_id) == "Unlocked"


@case("Core", "C", _LOCK)
async def test_tc_f_10_cs(bench: Bench) -> None:
    """Remote unlock Connector - Without ongoing transaction - UnknownConnector"""
    assert await unlock(bench, 999) == "UnknownConnector"


# Trigger message


@setup(evses=2)
@case("Core", "C", "C-29.1")
async def test_tc_f_11_cs(bench: Bench) -> None:
    """Trigger message - MeterValues - Specific EVSE"""
    bench.evse_id = 2
    configured = await measurands(bench, "AlignedDataCtrlr", "Measurands")
    await trigger(bench, "MeterValues", {"id": bench.evse_id})
    meter_values = await bench.expect("MeterValues")
    assert meter_values["evseId"] == bench.evse_id, meter_values
    _check_values(meter_values, configured)
    await bench.silence("MeterValues", for_s=5.0)  # of the other EVSE


@setup(evses=2)
@case("Core", "C", "C-29.1")
async def test_tc_f_12_cs(bench: Bench) -> None:
    """Trigger message - MeterValues - All EVSE"""
    configured = await measurands(bench, "AlignedDataCtrlr", "Measurands")
    await trigger(bench, "MeterValues")
    concerned: list[int] = []
    for _ in range(bench.setup.evses):
        meter_values = await bench.expect("MeterValues")
        _check_values(meter_values, configured)
        concerned.append(meter_values["evseId"])
    assert sorted(concerned) == list(range(1, bench.setup.evses + 1))
    await bench.silence("MeterValues", for_s=5.0)


def _check_values(message: Payload, configured: set[str]) -> None:
    """Present values of these measurands, with context Trigger (F06.FR.06, F06.FR.07)."""
    (value,) = message["meterValue"]
    assert {sample["context"] for sample in value["sampledValue"]} == {"Trigger"}, value
    measured = {sample.get("measurand", "Energy.Active.Import.Register") for sample in value["sampledValue"]}
    assert measured == configured, value


def _check_triggered(event: Payload, configured: set[str]) -> None:
    assert event["triggerReason"] == "Trigger", event
    assert event["transactionInfo"]["chargingState"] == "Charging", event
    _check_values(event, configured)


@setup(evses=2)
@case("Core", "C", "C-29.2")
async def test_tc_f_13_cs(bench: Bench) -> None:
    """Trigger message - TransactionEvent - Specific EVSE"""
    for number in (1, 2):
        await states.energy_transfer_started(bench, evse_id=number)
    bench.evse_id = 2
    configured = await measurands(bench, "SampledDataCtrlr", "TxUpdatedMeasurands")
    await trigger(bench, "TransactionEvent", {"id": bench.evse_id})
    event = await bench.expect_event()
    assert event.get("evse", {"id": bench.evse_id})["id"] == bench.evse_id, event
    _check_triggered(event, configured)
    await bench.silence("TransactionEvent", for_s=5.0, where=lambda e: e["triggerReason"] == "Trigger")


@setup(evses=2)
@case("Core", "C", "C-29.2")
async def test_tc_f_14_cs(bench: Bench) -> None:
    """Trigger message - TransactionEvent - All EVSE"""
    for number in (1, 2):
        await states.energy_transfer_started(bench, evse_id=number)
    configured = await measurands(bench, "SampledDataCtrlr", "TxUpdatedMeasurands")
    await trigger(bench, "TransactionEvent")
    concerned: list[int] = []
    for _ in (1, 2):
        event = await bench.expect("TransactionEvent", where=lambda e: e["triggerReason"] not in PERIODIC)
        _check_triggered(event, configured)
        assert event["transactionInfo"]["transactionId"] == bench.session(event["evse"]["id"]).transaction_id, event
        concerned.append(event["evse"]["id"])
    assert sorted(concerned) == [1, 2]
    await bench.silence("TransactionEvent", for_s=5.0, where=lambda e: e["triggerReason"] == "Trigger")


@case("Core", "C", "C-29.3")
async def test_tc_f_15_cs(bench: Bench) -> None:
    """Trigger message - LogStatusNotification - Idle"""
    await trigger(bench, "LogStatusNotification")
    notification = await bench.expect("LogStatusNotification")
    assert notification == {"status": "Idle"}, notification  # there is no requestId (N01.FR.13)


@case("Core", "C", "C-29.3")
async def test_tc_f_16_cs(bench: Bench) -> None:
    """Trigger message - LogStatusNotification - Uploading"""
    async with serving() as server:
        server.stalled = 1
        request = {"logType": "DiagnosticsLog", "requestId": 16, "log": {"remoteLocation": f"{server.url}/logs/"}}
        answer = await bench.call("GetLog", request)
        assert answer["status"] == "Accepted", answer
        notification = await bench.expect("LogStatusNotification")
        assert notification == {"status": "Uploading", "requestId": 16}, notification
        await trigger(bench, "LogStatusNotification")
        notification = await bench.expect("LogStatusNotification")
        assert notification == {"status": "Uploading", "requestId": 16}, notification


@case("Core", "C", "C-29.4")
async def test_tc_f_17_cs(bench: Bench) -> None:
    """Trigger message - FirmwareStatusNotification - Specific EVSE not relevant"""
    await trigger(bench, "FirmwareStatusNotification", {"id": bench.evse_id})
    notification = await bench.expect("FirmwareStatusNotification")
    assert notification == {"status": "Idle"}, notification


@case("Core", "C", "C-29.4")
async def test_tc_f_18_cs(bench: Bench) -> None:
    """Trigger message - FirmwareStatusNotification - Idle"""
    await trigger(bench, "FirmwareStatusNotification")
    notification = await bench.expect("FirmwareStatusNotification")
    assert notification == {"status": "Idle"}, notification


@case("Core", "C", "C-29.4")
async def test_tc_f_19_cs(bench: Bench) -> None:
    """Trigger message - FirmwareStatusNotification - Downloading"""
    root = bench.pki.make_root("Conformance Manufacturer Root")
    await states.certificate_installed(bench, "ManufacturerRootCertificate", root)
    maker = signer(bench.pki, root)
    async with FileServer({"firmware.bin": image()}) as files:
        files.held.add("firmware.bin")
        request = update_request(19, files.url("firmware.bin"), bench.iso(-7200.0))
        request["retries"], request["retryInterval"] = 3, 1
        request["firmware"] |= {"signingCertificate": maker.pem, "signature": maker.sign(b"another file")}
        answer = await bench.call("UpdateFirmware", request)
        assert answer["status"] == "Accepted", answer
        notification = await bench.expect("FirmwareStatusNotification")
        assert notification == {"status": "Downloading", "requestId": 19}, notification
        await trigger(bench, "FirmwareStatusNotification")
        notification = await bench.expect("FirmwareStatusNotification")
        assert notification == {"status": "Downloading", "requestId": 19}, notification
        files.release_downloads()
        # Steps 9 to 14 only make sure that no update continues after the case.
        for status in ("Downloaded", "InvalidSignature"):
            notification = await bench.expect("FirmwareStatusNotification")
            assert notification == {"status": status, "requestId": 19}, notification
        event = await bench.expect("SecurityEventNotification")
        assert event["type"] == "InvalidFirmwareSignature", event


@case("Core", "M")
async def test_tc_f_20_cs(bench: Bench) -> None:
    """Trigger message - Heartbeat"""
    await trigger(bench, "Heartbeat")
    await bench.expect("Heartbeat", within_s=2.0)  # sooner than one of its own accord


@setup(evses=2)
@case("Core", "C", "C-29.5")
async def test_tc_f_23_cs(bench: Bench) -> None:
    """Trigger message - StatusNotification - Specific EVSE - Available"""
    await trigger(bench, "StatusNotification", {"id": bench.evse_id, "connectorId": bench.connector_id})
    await bench.expect_status("Available")
    await bench.silence("StatusNotification", for_s=5.0)  # of the other EVSE


@setup(evses=2)
@case("Core", "C", "C-29.5")
async def test_tc_f_24_cs(bench: Bench) -> None:
    """Trigger message - StatusNotification - Specific EVSE - Occupied"""
    await states.ev_connected_pre_session(bench)
    await bench.silence("StatusNotification", for_s=1.0)
    await trigger(bench, "StatusNotification", {"id": bench.evse_id, "connectorId": bench.connector_id})
    await bench.expect_status("Occupied")
    await bench.silence("StatusNotification", for_s=5.0)  # of the other EVSE


@case("Core", "C", "C-29.6")
async def test_tc_f_26_cs(bench: Bench) -> None:
    """Trigger message - BootNotification - Rejected"""
    await trigger(bench, "BootNotification", status="Rejected")
    await bench.silence("BootNotification", for_s=30.0)


@case("Core", "C", "NOT AQ-11")
async def test_tc_f_27_cs(bench: Bench) -> None:
    """Trigger message - NotImplemented"""
    await trigger(bench, "SignCombinedCertificate", status="NotImplemented")
