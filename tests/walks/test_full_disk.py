"""The disk takes nothing more: whether the charge goes on is the installer's choice, and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.csms import Csms, Payload, running_csms
from tests.full_disk import FullDisk
from tests.patience import until
from tests.walk import walking
from tests.walks.station_process import StationProcess
from tests.walks.steps import charge

SETTINGS = """
[[variable]]
component = "SampledDataCtrlr"
variable = "TxUpdatedInterval"
value = "10"
"""


def station_on(directory: Path, csms: Csms, on_storage_failure: str) -> StationProcess:
    return StationProcess(directory, csms.url, more=SETTINGS, on_storage_failure=on_storage_failure)


async def charge_until_delivered(station: StationProcess, csms: Csms) -> None:
    """Charge until the CSMS has received all events so far."""
    station.start()
    await station.ready()
    await until(lambda: csms.connected)
    await station.charging()
    await until(lambda: len(csms.received("TransactionEvent")) >= 4)


async def end(station: StationProcess, csms: Csms) -> list[Payload]:
    """End the charge; the whole transaction as the CSMS has it, gapless and in order."""
    await station.present()
    await until(lambda: csms.received("TransactionEvent")[-1]["eventType"] == "Ended")
    events = csms.received("TransactionEvent")
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    registers = [register_of(event) for event in events if "meterValue" in event]
    assert registers == sorted(registers)
    assert registers[-1] == pytest.approx(station.register_wh(), abs=0.001)
    return events


def register_of(event: Payload) -> float:
    return event["meterValue"][-1]["sampledValue"][0]["value"]


def errors(station: StationProcess) -> list[str]:
    return [line["message"] for line in station.log_records() if line["level"] == "error"]


async def test_with_stop_a_full_disk_opens_the_contactor_until_there_is_room_again(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = station_on(tmp_path, csms, "stop")
        try:
            await charge_until_delivered(station, csms)
            station.fill_disk()
            evse_view = await station.until_evse(lambda evse: not evse["contactor_closed"])
            assert (evse_view["connector_status"], evse_view["faults"]) == ("Faulted", ["storage-failure"])
            assert any("cannot be stored and is retried" in line for line in errors(station))
            await until(lambda: csms.received("StatusNotification")[-1]["connectorStatus"] == "Faulted")
            stopped_at_wh, event_count = station.register_wh(), len(csms.received("TransactionEvent"))
            await station.post("/api/sim/clock", advance_s=120)
            assert station.register_wh() == stopped_at_wh
            assert len(csms.received("TransactionEvent")) == event_count
            station.empty_disk()
            evse_view = await station.until_evse(lambda evse: evse["charging_state"] == "Charging")
            assert (evse_view["connector_status"], evse_view["faults"]) == ("Occupied", [])
            events = await end(station, csms)
            late = events[event_count:]
            assert "SuspendedEVSE" in [event["transactionInfo"].get("chargingState") for event in late]
        finally:
            await station.aclose()
    assert csms.schema_faults == []


async def test_with_continue_the_charge_goes_on_and_its_events_are_recorded_later_in_order(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = station_on(tmp_path, csms, "continue")
        try:
            await charge_until_delivered(station, csms)
            station.fill_disk()
            await until(lambda: any("cannot be stored and is retried" in line for line in errors(station)))
            full_at_wh, event_count = station.register_wh(), len(csms.received("TransactionEvent"))
            await station.post("/api/sim/clock", advance_s=120)
            charging = await station.evse()
            assert (charging["connector_status"], charging["contactor_closed"], charging["faults"]) == (
                "Occupied",
                True,
                [],
            )
            assert station.register_wh() - full_at_wh > 600.0
            assert len(csms.received("TransactionEvent")) == event_count
            station.empty_disk()
            await until(lambda: len(csms.received("TransactionEvent")) > event_count + 12)
            events = await end(station, csms)
            assert [event["triggerReason"] for event in events[event_count : event_count + 12]] == [
                "MeterValuePeriodic"
            ] * 12
        finally:
            await station.aclose()
    assert csms.schema_faults == []


async def test_no_energy_flows_before_the_start_of_its_transaction_is_on_disk(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = station_on(tmp_path, csms, "continue")
        try:
            await charge_until_delivered(station, csms)
            await end(station, csms)
            await station.post("/api/sim/evses/1/unplug")
            used_wh, event_count = station.register_wh(), len(csms.received("TransactionEvent"))
            station.fill_disk()
            await station.plug()
            await station.present()
            await station.until_evse(lambda evse: evse["id_token"])
            await station.post("/api/sim/clock", advance_s=60)
            assert station.register_wh() == used_wh
            station.empty_disk()
            await station.until_evse(lambda evse: evse["charging_state"] == "Charging")
            await until(lambda: len(csms.received("TransactionEvent")) > event_count)
            started = csms.received("TransactionEvent")[event_count]
            assert (started["eventType"], register_of(started)) == ("Started", round(used_wh, 3))
        finally:
            await station.aclose()


async def test_a_power_cut_on_a_full_disk_ends_the_transaction_as_soon_as_there_is_room(tmp_path: Path) -> None:
    """What waited in memory is gone, but no number is skipped and no energy is forgotten."""
    async with running_csms() as csms:
        station = station_on(tmp_path, csms, "continue")
        try:
            await charge_until_delivered(station, csms)
            station.fill_disk()
            await until(lambda: any("cannot be stored and is retried" in line for line in errors(station)))
            await station.post("/api/sim/clock", advance_s=15)
            station.kill()
            await station.ended()
            used_wh = round(station.register_wh(), 3)
            station.start(full_disk=True)
            await station.ready()
            await until(lambda: any("its Ended event cannot be stored" in line for line in errors(station)))
            assert csms.received("TransactionEvent")[-1]["eventType"] != "Ended"
            station.empty_disk()
            await until(lambda: csms.received("TransactionEvent")[-1]["eventType"] == "Ended")
            events = {event["seqNo"]: event for event in csms.received("TransactionEvent")}
            assert sorted(events) == list(range(len(events)))
            last = events[len(events) - 1]
            assert last["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert register_of(last) == used_wh
        finally:
            await station.aclose()


async def test_a_full_disk_does_not_keep_the_program_from_stopping(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = station_on(tmp_path, csms, "continue")
        try:
            await charge_until_delivered(station, csms)
            station.fill_disk()
            await station.post("/api/sim/clock", rate=1.0)
            station.signal(signal.SIGTERM)
            assert await station.ended() == 0
            used_wh = round(station.register_wh(), 3)
            station.start()
            await station.ready()
            await until(lambda: csms.received("TransactionEvent")[-1]["eventType"] == "Ended")
            events = {event["seqNo"]: event for event in csms.received("TransactionEvent")}
            assert sorted(events) == list(range(len(events)))
            assert register_of(events[len(events) - 1]) == used_wh
        finally:
            await station.aclose()


async def test_a_station_lives_on_a_disk_that_lets_nothing_go(tmp_path: Path, disk: FullDisk) -> None:
    """To delete old records, as it does once a day, takes room as well."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await charge(walk)
        await walk.present()
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        with disk.refusing("DELETE FROM events"):
            await walk.advance(86_400)
        await walk.plug()
        await walk.present()
        await walk.charging()
