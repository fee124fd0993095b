"""The battery of a simulated vehicle: it takes what the meter counts, and no more than it can hold."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from simulator.board import SimulatedBoard
from simulator.clock import VirtualClock
from simulator.register import EnergyRegister
from simulator.vehicle import Vehicle, VehicleModel
from station.core.hardware.board import Outputs
from station.core.model import PilotState

CHARGING = Outputs(contactor=True, lock=True, pilot_a=16.0)


async def charged_wh(tmp_path: Path, model: VehicleModel, phases: int, steps_s: list[float]) -> tuple[float, Vehicle]:
    """Charge for an hour in uneven steps; what the register has counted, and the vehicle at the end."""
    clock = VirtualClock()
    register = EnergyRegister(tmp_path / "register")
    try:
        before_wh = register.energy_wh
        board = SimulatedBoard(clock, register, phases=phases, attached_cable=True)
        board.plug(model)
        await board.apply(CHARGING)
        elapsed_s, step = 0.0, 0
        while elapsed_s < 3600.0:
            await clock.advance(steps_s[step % len(steps_s)])
            elapsed_s += steps_s[step % len(steps_s)]
            step += 1
            board.read_meter()
        assert board.vehicle is not None
        return register.energy_wh - before_wh, board.vehicle
    finally:
        register.close()


@pytest.mark.parametrize("steps_s", [[1.0], [0.3, 7.1], [60.0]])
async def test_a_vehicle_that_becomes_full_has_taken_exactly_the_room_of_its_battery(
    tmp_path: Path, steps_s: list[float]
) -> None:
    model = VehicleModel(max_current_a=16.0, battery_wh=5_000.0, soc=0.4)
    counted_wh, vehicle = await charged_wh(tmp_path, model, 3, steps_s)
    assert vehicle.soc == 1.0
    assert counted_wh == pytest.approx(3_000.0, abs=1e-6)


async def test_a_vehicle_with_three_phases_at_one_phase_stores_what_one_phase_brings(tmp_path: Path) -> None:
    model = VehicleModel(max_current_a=16.0, battery_wh=50_000.0, soc=0.2)
    counted_wh, vehicle = await charged_wh(tmp_path, model, 1, [1.0])
    assert counted_wh < 16.0 * 231.0
    assert (vehicle.soc - 0.2) * 50_000.0 == pytest.approx(counted_wh, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
async def test_a_full_vehicle_requests_no_energy_whenever_the_meter_was_read(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    model = VehicleModel(max_current_a=16.0, battery_wh=2_000.0, soc=random.uniform(0.5, 0.8))
    _, vehicle = await charged_wh(tmp_path, model, 3, [random.uniform(0.1, 3.0) for _ in range(50)])
    assert vehicle.soc == 1.0
    assert vehicle.pilot is PilotState.B
