"""A station without the time, and one without a network for a day: its records are right and complete in the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.csms import Csms, running_csms
from tests.machine.bench import Bench, SavedStation, patiently, resumed, save_station
from tests.machine.built_image import BuiltImage
from tests.machine.guest_station import CARD, disk_for
from tests.machine.virtual_machine import HOST_ADDRESS, Hardware, VirtualMachine, free_port

_TOLERANCE: Final = timedelta(minutes=2)
"""an emulated machine is slow to answer, and its clock may wait for a busy host"""


@pytest.fixture(scope="module")
def saved(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> SavedStation:
    """A station that is connected to its CSMS."""
    return asyncio.run(save_station(image, tmp_path_factory.mktemp("network")))


async def _charge(bench: Bench, hours: int = 0) -> None:
    """A charge by card, from plug to unplug, in which so many hours pass on the virtual clock."""
    await bench.request("POST", "/api/sim/evses/1/plug", {})
    await bench.request("POST", "/api/token", {"id_token": CARD})
    await asyncio.to_thread(bench.station.wait_for_state, charging_state="Charging")
    for _ in range(hours):
        await bench.request("POST", "/api/sim/clock", {"advance_s": 3600.0})
    await bench.request("POST", "/api/token", {"id_token": CARD})
    await asyncio.to_thread(bench.station.wait_for_state, locked=False)
    await bench.request("POST", "/api/sim/evses/1/unplug", {})


async def _set_variable(bench: Bench, component: str, variable: str, value: str) -> None:
    data = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
    answer = await bench.csms.call("SetVariables", {"setVariableData": [data]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"


def _complete_transactions(bench: Bench) -> dict[str, list[dict[str, Any]]]:
    """The events of the transactions by their ids, as they came: each of them ended, complete, in order."""
    transactions: dict[str, list[dict[str, Any]]] = {}
    for event in bench.events():
        transactions.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
    for events in transactions.values():
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert events[-1]["eventType"] == "Ended"
    return transactions


async def test_a_charge_while_the_time_is_unknown_has_the_right_time_once_the_csms_answers(
    image: BuiltImage, tmp_path: Path
) -> None:
    """The battery-backed clock of the machine is at 1970, and it has no network."""
    port = free_port()
    disk = disk_for(image.files.disk, tmp_path, f"ws://{HOST_ADDRESS}:{port}/ocpp")
    with VirtualMachine(tmp_path / "vm", disk, Hardware(clock="1970-01-01T00:00:00", network=False)) as machine:
        bench = Bench(machine, Csms(port=port))
        machine.start()
        await asyncio.to_thread(bench.station.wait_until_active)
        begun = datetime.now(UTC)
        await _charge(bench)
        ended = datetime.now(UTC)
        guest = datetime.fromtimestamp(float(await bench.run("date +%s")), UTC)
        assert guest < begun - _TOLERANCE
        async with running_csms(bench.csms):
            machine.plug_network(plugged=True)
            await bench.until_booted()
            await patiently(lambda: any(event["eventType"] == "Ended" for event in bench.events()))
        (events,) = _complete_transactions(bench).values()
        times = [datetime.fromisoformat(event["timestamp"]) for event in events]
        assert times == sorted(times)
        assert begun - _TOLERANCE <= times[0] <= times[-1] <= ended + _TOLERANCE
        assert all(event.get("offline") for event in events)


async def test_a_day_without_a_network_loses_nothing(saved: SavedStation, tmp_path: Path) -> None:
    async with resumed(saved, tmp_path) as bench:
        await _set_variable(bench, "SampledDataCtrlr", "TxUpdatedInterval", "900")
        await _set_variable(bench, "OCPPCommCtrlr", "RetryBackOffRepeatTimes", "4")  # 32 s: 2,700 attempts in a day
        bench.machine.plug_network(plugged=False)
        before_wh = await asyncio.to_thread(bench.station.register_wh)
        await _charge(bench, hours=24)
        charged_wh = await asyncio.to_thread(bench.station.register_wh) - before_wh
        assert charged_wh > 10_000.0
        connected = len(bench.csms.headers)
        bench.machine.plug_network(plugged=True)
        await patiently(lambda: len(bench.csms.headers) > connected)
        await patiently(lambda: any(event["eventType"] == "Ended" for event in bench.events()))
        (events,) = _complete_transactions(bench).values()
        readings = sorted(  # by their time: an event may repeat the reading of the begin
            (value["timestamp"], float(sample["value"]))
            for event in events
            for value in event.get("meterValue", [])
            for sample in value["sampledValue"]
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
        )
        registers = [register_wh for _, register_wh in readings]
        assert registers == sorted(registers)
        assert registers[-1] - registers[0] == pytest.approx(charged_wh, abs=1.0)
        lasted = datetime.fromisoformat(events[-1]["timestamp"]) - datetime.fromisoformat(events[0]["timestamp"])
        assert lasted >= timedelta(days=1)
