"""A contactor that is welded when the station starts: no simulated time passes while the station waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from station.charging.charging_station import ChargingStation
from station.core.model import Fault
from tests.walk import configuration


async def test_the_wait_for_the_contactor_takes_no_simulated_time(tmp_path: Path) -> None:
    process = host_process(configuration(tmp_path, None))
    runtime, world = process.station, world_of(process.station.hardware)
    world.boards[1].welded = True
    running = asyncio.create_task(process.run())
    await runtime.wait_until_started()
    try:
        await world.clock.advance(60.0)
        assert Fault.CONTACTOR_WELDED in runtime.parts.get(ChargingStation).evses[1].state.faults
    finally:
        process.stop()
        world.clock.set_rate(20.0)
        await running
