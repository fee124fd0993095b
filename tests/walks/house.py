"""A house for walks: sends grid meter samples to the station in place of a meter."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from energy.grid import GridSample
from metering.reading import Phases
from tests.walk import Walk

GRID: dict[str, Any] = {
    "phases": 3,
    "max_current_a": 40.0,
    "safe_current_a": 8.0,
    "source": {"type": "linky", "device": "no-such-device"},  # the tests send the samples
}


class House:
    """Simulates the grid meter of a house: sends samples to the station."""

    def __init__(self, walk: Walk, **sample_fields: Any) -> None:
        self.walk = walk
        self.sample_fields = sample_fields
        self.loads_a = (4.0, 4.0, 4.0)

    async def live(self, seconds: int) -> None:
        """Advance the time, and send one sample per second."""
        for _ in range(seconds):
            await self.send_sample()
            await self.walk.advance(1)

    async def send_sample(self) -> None:
        """Send one sample: the current of the house plus the currents of all EVSEs."""
        boards = self.walk.world.boards.values()
        drawn = [
            sum(phase_currents_a) for phase_currents_a in zip(*(board.currents_a for board in boards), strict=True)
        ]
        flows = [float(round(house + a)) for house, a in zip(self.loads_a, drawn, strict=True)]
        sample = GridSample(self.walk.application.clock.now(), Phases[float | None].all(None), **self.sample_fields)
        await self.walk.parts.load.meter.receive(replace(sample, currents_a=Phases(*flows)))
