"""Measures the latency from a grid meter sample to a changed pilot: through decision, EVSE and board driver."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.station_runtime import StationRuntime
from energy.grid import GridSample
from metering.reading import Phases
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.charging.evse_state import Authorization
from station.configuration.installation_file import Configuration
from station.core.hardware.board import Outputs
from station.core.model import IdToken, TriggerReason
from station.load.load_management import LoadManagement

_LIMIT_A = 80.0
_HIGH_A, _LOW_A = 54.0, 10.0
"""alternating current of the house: leaves the vehicles less, or more, than the current selector"""
_CARD = IdToken("BENCH", "Local")
_ROUNDS = 10
"""most changes of the house for each measurement"""


async def samples_to_pilots(count: int, evses: int) -> list[float]:
    """Milliseconds from a sample to the order at the board, for `count` samples, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        process = host_process(
            Configuration.from_tree(
                {
                    "station": {"identity": "BENCH-1", "storage": folder},
                    "http": {"port": 0},
                    "simulation": {"rate": 0.0},
                    "evse": [{"id": number + 1} for number in range(evses)],
                    "grid": {
                        "phases": 3,
                        "max_current_a": _LIMIT_A,
                        "source": {"type": "linky", "device": str(Path(folder) / "none")},
                    },
                }
            )
        )
        program = process.station
        running = asyncio.create_task(process.run_with_gc_control())
        await program.wait_until_started()
        took_ms = await _measure_times_ms(program, count)
        process.stop()
        while not running.done():
            await world_of(program.hardware).clock.advance(0.5)
        await running
    return sorted(took_ms)


async def _measure_times_ms(program: StationRuntime, count: int) -> list[float]:
    station, board = program.parts.get(ChargingStation), world_of(program.hardware).boards[1]
    ordered: list[float] = []
    apply = board.apply

    async def noted(outputs: Outputs) -> None:
        ordered.append(time.perf_counter())
        await apply(outputs)

    for evse_id, simulated_board in world_of(program.hardware).boards.items():
        simulated_board.plug(VehicleModel(battery_wh=1e9))
        station.evses[evse_id].authorize(Authorization(_CARD), TriggerReason.AUTHORIZED)
    for _ in range(20):
        await _send_sample(program, _LOW_A)
        await world_of(program.hardware).clock.advance(1.0)
    board.apply = noted
    took_ms: list[float] = []
    rounds = 0
    while len(took_ms) < count:
        if (rounds := rounds + 1) > _ROUNDS * count:
            raise RuntimeError("the pilot does not follow the house")
        for house_a in (_HIGH_A, _LOW_A):
            for _ in range(2 if house_a > _LOW_A else 60):  # down at once, up only after a calm period
                await world_of(program.hardware).clock.advance(1.0)
                ordered.clear()
                began_s = time.perf_counter()
                await _send_sample(program, house_a)
                await world_of(program.hardware).clock.settle()
                if ordered:
                    took_ms.append((ordered[0] - began_s) * 1000.0)
    return took_ms[:count]


async def _send_sample(program: StationRuntime, house_a: float) -> None:
    if program.running:
        each = [tuple(board.currents_a) for board in world_of(program.hardware).boards.values()]
        drawn = [sum(currents) for currents in zip(*each, strict=True)]
        # unequal: phases on which a meter always measures the same are doubted
        flows: Phases[float | None] = Phases(house_a + drawn[0], house_a - 2.0 + drawn[1], house_a - 4.0 + drawn[2])
        program.parts.get(LoadManagement).decisions.process_sample(GridSample(program.clock.now(), flows))
