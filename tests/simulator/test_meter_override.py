"""What a simulated billing meter is ordered to report is in its next reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.board import MeterOverride, SimulatedBoard
from simulator.clock import VirtualClock
from simulator.register import EnergyRegister


async def test_each_change_of_the_override_is_in_the_next_reading(tmp_path: Path) -> None:
    register = EnergyRegister(tmp_path / "register")
    board = SimulatedBoard(VirtualClock(), register, phases=3, attached_cable=True)
    for current_a in (0.0, 0.01, 0.0):
        board.meter_override = MeterOverride(current_a=current_a)
        assert board.read_meter().currents_a.l1 == current_a
    with pytest.raises(AttributeError):  # the board would repeat its last reading
        board.meter_override.current_a = 1.0  # pyright: ignore[reportAttributeAccessIssue]
    register.close()
