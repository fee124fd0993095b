"""Block G, availability: connector statuses, and orders to go out of and into service (Core)."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.authorization import charges
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import Setup

_DURATION_S = 10.0
"""<Configured Transaction Duration>"""

one_or_two_evses = pytest.mark.parametrize("station_setup", [Setup(), Setup(evses=2)], ids=["one-evse", "two-evses"])
every_end = pytest.mark.parametrize(
    "station_setup",
    [
        Setup(variables={"TxCtrlr.TxStopPoint": "Authorized"}),
        Setup(variables={"TxCtrlr.TxStopPoint": "PowerPathClosed"}),
        Setup(variables={"TxCtrlr.TxStopPoint": "EnergyTransfer"}),
        Setup(variables={"TxCtrlr.TxStopPoint": "EVConnected"}),
        Setup(variables={"TxCtrlr.TxStopPoint": "ParkingBayOccupancy"}),
        Setup(evses=2),
    ],
    ids=["authorized", "power-path", "energy-transfer", "ev-connected", "parking-bay", "two-evses"],
)
"""transactions that end at each of the steps where they may"""


async def change_availability(
    bench: Bench, operational_status: str, evse_id: int | None = None, connector: bool = False
) -> str:
    """ChangeAvailabilityRequest for the station, an EVSE, or its connector; the status of the response."""
    request: Payload = {"operationalStatus": operational_status}
    if evse_id is not None:
        request["evse"] = {"id": evse_id} | ({"connectorId": bench.connector_id} if connector else {})
    return (await bench.call("ChangeAvailability", request))["status"]


async def ends_unavailable(bench: Bench) -> None:
    """The session goes to its end; the step that ends the transaction is followed by connectorStatus Unavailable."""
    notified = False

    async def check_notified() -> bool:
        if notified or not bench.session().ended:
            return notified
        _not_before_the_end(bench, await bench.expect_status("Unavailable"))
        return True

    await bench.silence("StatusNotification", for_s=_DURATION_S)  # it waits for the end
    await states.stop_authorized(bench)
    notified = await check_notified()
    await states.ev_connected_post_session(bench)
    notified = await check_notified()
    if notified:
        await states.ev_disconnected(bench, status=None)
    elif "EVConnected" in bench.stop_points:
        await states.ev_disconnected(bench, status="Unavailable")  # G01.FR.05
        assert bench.session().ended
        _not_before_the_end(bench, bench.journal.sent("StatusNotification")[-1].payload)
        notified = True
    else:
        await states.ev_disconnected(bench)
    session = bench.session()
    await states.parking_bay_unoccupied(bench)
    assert session.ended
    if not notified:
        _not_before_the_end(bench, await bench.expect_status("Unavailable"))
    await bench.silence("StatusNotification", for_s=5.0)


def _not_before_the_end(bench: Bench, status: Payload) -> None:
    """G03.FR.05, G04.FR.06: what is scheduled comes into force after the transaction has finished."""
    ended = [f.payload for f in bench.journal.sent("TransactionEvent") if f.payload["eventType"] == "Ended"][-1]
    assert status["timestamp"] >= ended["timestamp"], (status, ended)


@case("Core", "M")
async def test_tc_g_01_cs(bench: Bench) -> None:
    """Connector status Notification - Available to Occupied"""
    await states.ev_connected_pre_session(bench)


@case("Core", "M")
async def test_tc_g_02_cs(bench: Bench) -> None:
    """Connector status Notification - Occupied to Available"""
    await states.ev_connected_pre_session(bench)
    await bench.disconnect_ev()
    await bench.expect_status("Available")
    event = await bench.expect_event()  # of the transaction that the vehicle has started
    assert (event["eventType"], event["triggerReason"]) == ("Ended", "EVCommunicationLost"), event


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_03_cs(bench: Bench) -> None:
    """Change Availability EVSE - Operative to inoperative"""
    await states.unavailable(bench, evse_id=bench.evse_id)
    await bench.silence("StatusNotification", for_s=5.0)  # of no other EVSE


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_04_cs(bench: Bench) -> None:
    """Change Availability EVSE - Inoperative to operative"""
    await states.unavailable(bench, evse_id=bench.evse_id)
    assert await change_availability(bench, "Operative", bench.evse_id) == "Accepted"
    await bench.expect_status("Available")
    await bench.silence("StatusNotification", for_s=5.0)  # of no other EVSE


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_05_cs(bench: Bench) -> None:
    """Change Availability Charging Station - Operative to inoperative"""
    await states.unavailable(bench)
    await bench.silence("StatusNotification", for_s=5.0)


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_06_cs(bench: Bench) -> None:
    """Change Availability Charging Station - Inoperative to operative"""
    await states.unavailable(bench)
    assert await change_availability(bench, "Operative") == "Accepted"
    await bench.expect_all_statuses("Available")


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_07_cs(bench: Bench) -> None:
    """Change Availability Connector - Operative to inoperative"""
    await states.unavailable(bench, evse_id=bench.evse_id, connector_id=bench.connector_id)
    await bench.silence("StatusNotification", for_s=5.0)  # of no other connector


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_08_cs(bench: Bench) -> None:
    """Change Availability Connector - Inoperative to operative"""
    await states.unavailable(bench, evse_id=bench.evse_id, connector_id=bench.connector_id)
    assert await change_availability(bench, "Operative", bench.evse_id, connector=True) == "Accepted"
    await bench.expect_status("Available")
    await bench.silence("StatusNotification", for_s=5.0)  # of no other connector


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_09_cs(bench: Bench) -> None:
    """Change Availability EVSE - Operative to operative"""
    assert await change_availability(bench, "Operative", bench.evse_id) == "Accepted"
    # Nothing has changed: any status that is sent is the one that it was.
    await bench.silence("StatusNotification", for_s=5.0, where=lambda status: status["connectorStatus"] != "Available")


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_10_cs(bench: Bench) -> None:
    """Change Availability EVSE - Inoperative to inoperative"""
    await states.unavailable(bench, evse_id=bench.evse_id)
    assert await change_availability(bench, "Inoperative", bench.evse_id) == "Accepted"
    await bench.expect_status("Unavailable")


@case("Core", "M")
@every_end
async def test_tc_g_11_cs(bench: Bench) -> None:
    """Change Availability EVSE - With ongoing transaction"""
    await states.energy_transfer_started(bench)
    assert await change_availability(bench, "Inoperative", bench.evse_id) == "Scheduled"
    await ends_unavailable(bench)


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_12_cs(bench: Bench) -> None:
    """Change Availability Charging Station - Operative to operative"""
    assert await change_availability(bench, "Operative") == "Accepted"
    await bench.expect_all_statuses("Available")


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_13_cs(bench: Bench) -> None:
    """Change Availability Charging Station - Inoperative to inoperative"""
    await states.unavailable(bench)
    assert await change_availability(bench, "Inoperative") == "Accepted"
    await bench.expect_all_statuses("Unavailable")


@case("Core", "M")
@every_end
async def test_tc_g_14_cs(bench: Bench) -> None:
    """Change Availability Charging Station - With ongoing transaction"""
    await states.energy_transfer_started(bench)
    assert await change_availability(bench, "Inoperative") == "Scheduled"
    for number in range(1, bench.setup.evses + 1):
        if number != bench.evse_id:
            await bench.expect_status("Unavailable", evse_id=number)
    await bench.silence("StatusNotification", for_s=2.0)
    await ends_unavailable(bench)


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_15_cs(bench: Bench) -> None:
    """Change Availability Connector - Operative to operative"""
    assert await change_availability(bench, "Operative", bench.evse_id, connector=True) == "Accepted"
    await bench.expect_status("Available")


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_16_cs(bench: Bench) -> None:
    """Change Availability Connector - Inoperative to inoperative"""
    await states.unavailable(bench, evse_id=bench.evse_id, connector_id=bench.connector_id)
    assert await change_availability(bench, "Inoperative", bench.evse_id, connector=True) == "Accepted"
    await bench.expect_status("Unavailable")


@case("Core", "M")
@every_end
async def test_tc_g_17_cs(bench: Bench) -> None:
    """Change Availability Connector - With ongoing transaction"""
    await states.energy_transfer_started(bench)
    assert await change_availability(bench, "Inoperative", bench.evse_id, connector=True) == "Scheduled"
    await ends_unavailable(bench)


def statuses_with_unavailable_evse(bench: Bench) -> dict[int, str]:
    """connectorStatus Unavailable for the configured EVSE, Available for the others."""
    numbers = range(1, bench.setup.evses + 1)
    return {number: "Unavailable" if number == bench.evse_id else "Available" for number in numbers}


@case("Core", "M")
@pytest.mark.parametrize("reset", ["Immediate", None], ids=["reset", "power-cycle"])
@one_or_two_evses
async def test_tc_g_18_cs(bench: Bench, reset: str | None) -> None:
    """Change Availability EVSE - state persists across reboot"""
    await states.unavailable(bench, evse_id=bench.evse_id)
    before = len(bench.journal.sent("StatusNotification"))
    assert await change_availability(bench, "Inoperative", bench.evse_id) == "Accepted"
    await bench.expect_status("Unavailable")
    statuses = statuses_with_unavailable_evse(bench)
    for frame in bench.journal.sent("StatusNotification")[before:]:
        assert frame.payload["connectorStatus"] == statuses[frame.payload["evseId"]], frame.payload
    await states.booted(bench, reset=reset, statuses=statuses)


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_19_cs(bench: Bench) -> None:
    """Change Availability Connector - state persists across reboot"""
    await states.unavailable(bench, evse_id=bench.evse_id, connector_id=bench.connector_id)
    before = bench.csms.connection
    await states.booting(bench)
    await states.has_booted(bench, after=before, statuses=statuses_with_unavailable_evse(bench))


@case("Core", "M")
@one_or_two_evses
async def test_tc_g_21_cs(bench: Bench) -> None:
    """Change Availability Charging Station - state persists across reboot"""
    await states.unavailable(bench)
    before = bench.csms.connection
    await states.booting(bench)
    await states.has_booted(bench, after=before, statuses="Unavailable")


@case("", "")
async def test_tc_g_20_cs(bench: Bench) -> None:
    """Connector status Notification - Lock Failure"""
    await states.ev_connected_pre_session(bench)
    await bench.station.post("/api/sim/lock", {"evse": 1, "failure": True})  # the plug is not in far enough to lock
    await states.authorized(bench)
    report = await bench.expect("NotifyEvent", within_s=60.0)
    event = report["eventData"][0]
    assert event["trigger"] == "Delta", report
    assert event["component"]["name"] == "ConnectorPlugRetentionLock", report
    assert event["variable"]["name"] == "Problem", report
    assert event["actualValue"] == "true", report
    await bench.advance(60.0)
    for frame in bench.take("TransactionEvent"):
        assert frame.payload["transactionInfo"].get("chargingState") != "Charging", frame
    assert not await charges(bench)
