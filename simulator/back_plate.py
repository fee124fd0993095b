"""The simulated back plate: current selector, jumpers, flap, and the coil of the shunt trip."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from station.core.hardware.back_plate import BackPlateView

if TYPE_CHECKING:
    from station.core.hardware.back_plate import JumperPosition


class SimulatedBackPlate:
    """The simulated back plate of a station: a test bench sets its inputs, the station energises its shunt trip.

    It keeps the state of its inputs while the station has no power.
    """

    def __init__(self, selector: str | None, jumpers: JumperPosition | None) -> None:
        self.has_flap_contact = True
        self.view = BackPlateView(selector, jumpers)
        """the present state of the inputs"""
        self.shunt_trip = False
        """whether the shunt-trip coil is energised"""
        self.trips = 0
        """number of times that the coil was energised"""
        self._changed = ChangeSignal()

    async def views(self) -> AsyncIterator[BackPlateView]:
        """Yield the state of the inputs, first at once and then after each change; never ends."""
        yielded: BackPlateView | None = None
        while True:
            changes = self._changed.count
            if self.view != yielded:
                yielded = self.view
                yield yielded
                continue
            await self._changed.wait(changes)

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Energise or de-energise the simulated shunt-trip coil; each time that it is energised adds 1 to `trips`."""
        if energised and not self.shunt_trip:
            self.trips += 1
        self.shunt_trip = energised

    async def close(self) -> None:
        """De-energise the simulated coil; the inputs stay as they are."""
        self.shunt_trip = False

    # Actions of an installer

    def turn_selector(self, selector: str | None) -> None:
        """Set the current selector to a printed position; None: unreadable."""
        self._update_view(replace(self.view, selector=selector))

    def plug_jumpers(self, jumpers: JumperPosition | None) -> None:
        """Set the position of the jumpers of the smart-meter port; None: unreadable."""
        self._update_view(replace(self.view, jumpers=jumpers))

    def move_flap(self, flap_open: bool) -> None:
        """Open or close the SIM-card flap."""
        self._update_view(replace(self.view, flap_open=flap_open))

    def _update_view(self, view: BackPlateView) -> None:
        self.view = view
        self._changed.notify()
