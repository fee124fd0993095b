"""The present power of the grid connection and the EVSEs, for the record of the grid operator's orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.grid_orders import PowerSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.grid_view import GridView
    from station.charging.evse import Evse


class StationPower:
    """Reads the present power of grid connection and EVSEs from their meters, for the log of grid operator's orders."""

    def __init__(self, grid: GridView, evses: Mapping[int, Evse]) -> None:
        self._grid = grid
        self._evses = evses

    @property
    def powers(self) -> PowerSnapshot:
        """The present power, W: by the grid meter, and the sum of the billing meters, None unless all report it."""
        sample = self._grid.last_sample
        powers_w = [evse.meter.latest.power_w for evse in self._evses.values() if evse.meter.latest is not None]
        known_w = [power_w for power_w in powers_w if power_w is not None]
        complete = len(known_w) == len(self._evses)
        return PowerSnapshot(sample.power_w if sample is not None else None, sum(known_w) if complete else None)
