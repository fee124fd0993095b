"""The tariff period that the grid meter reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.load.tariff_steering import TARIFF_KNOWN_FOR_S

if TYPE_CHECKING:
    from energy.grid_view import GridView


class GridTariff:
    """Reads the tariff period of the electricity contract from the newest sample of the grid meter, for billing."""

    def __init__(self, grid: GridView) -> None:
        self._grid = grid

    @property
    def tariff_period(self) -> str | None:
        """The name of the tariff period now, as the grid meter reports it, such as HC.

        None: there is no grid meter, it reports none, or it has been silent for `TARIFF_KNOWN_FOR_S`.
        """
        sample, age_s = self._grid.last_sample, self._grid.sample_age_s
        known = sample is not None and age_s is not None and age_s < TARIFF_KNOWN_FOR_S
        return sample.tariff_period if sample is not None and known else None
