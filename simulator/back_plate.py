"""The simulated back plate: what an installer turns, plugs and opens, and a coil that trips nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from foundation.pulse import Pulse
from station.core.hardware.back_plate import BackPlateView

if TYPE_CHECKING:
    from station.core.hardware.back_plate import JumperPosition


class SimulatedBackPlate:
    """Goes on while the station has no power."""

    def __init__(self, selector: str | None, jumpers: JumperPosition | None) -> None:
        self.seen = BackPlateView(selector, jumpers)
        self.shunt_trip = False
        """whether the coil is energised"""
        self.trips = 0
        """how often it was energised"""
        self._changed = Pulse()

    async def views(self) -> AsyncIterator[BackPlateView]:
        """What is seen, first at once and then after each change."""
        told: BackPlateView | None = None
        while True:
            changes = self._changed.count
            if self.seen != told:
                told = self.seen
                yield told
                continue
            await self._changed.wait(changes)

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Energise the coil, or not."""
        if energised and not self.shunt_trip:
            self.trips += 1
        self.shunt_trip = energised

    async def close(self) -> None:
        """The coil comes to rest."""
        self.shunt_trip = False

    # What an installer does

    def turn(self, selector: str | None) -> None:
        """Turn the current selector; None: its position cannot be read any more."""
        self._see(replace(self.seen, selector=selector))

    def plug_jumpers(self, jumpers: JumperPosition | None) -> None:
        """Plug both jumpers elsewhere; None: they cannot be read any more."""
        self._see(replace(self.seen, jumpers=jumpers))

    def move_flap(self, flap_open: bool) -> None:
        """Open or shut the SIM-card flap."""
        self._see(replace(self.seen, flap_open=flap_open))

    def _see(self, seen: BackPlateView) -> None:
        self.seen = seen
        self._changed.fire()
