"""The simulated back plate: what an installer turns, plugs and opens, and a coil that trips nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from station.core.hardware.back_plate import BackPlateView

if TYPE_CHECKING:
    from station.core.hardware.back_plate import JumperPosition


class SimulatedBackPlate:
    """Goes on while the station has no power."""

    def __init__(self, selector: str | None, jumpers: JumperPosition | None) -> None:
        self.view = BackPlateView(selector, jumpers)
        self.shunt_trip = False
        """whether the coil is energised"""
        self.trips = 0
        """how often it was energised"""
        self._changed = ChangeSignal()

    async def views(self) -> AsyncIterator[BackPlateView]:
        """What is seen, first at once and then after each change."""
        told: BackPlateView | None = None
        while True:
            changes = self._changed.count
            if self.view != told:
                told = self.view
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
        self._update_view(replace(self.view, selector=selector))

    def plug_jumpers(self, jumpers: JumperPosition | None) -> None:
        """Plug both jumpers elsewhere; None: they cannot be read any more."""
        self._update_view(replace(self.view, jumpers=jumpers))

    def move_flap(self, flap_open: bool) -> None:
        """Open or shut the SIM-card flap."""
        self._update_view(replace(self.view, flap_open=flap_open))

    def _update_view(self, seen: BackPlateView) -> None:
        self.view = seen
        self._changed.notify()
