"""The tariff period that the grid meter reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.load.tariff_steering import TARIFF_KNOWN_FOR_S

if TYPE_CHECKING:
    from energy.controller import LoadController


class GridTariff:
    """Reads the tariff period from the newest sample of the grid meter."""

    def __init__(self, controller: LoadController) -> None:
        self._controller = controller

    @property
    def tariff_period(self) -> str | None:
        """The tariff period now; None: the meter reports none, or has been silent for too long."""
        sample, age_s = self._controller.last_sample, self._controller.sample_age_s
        known = sample is not None and age_s is not None and age_s < TARIFF_KNOWN_FOR_S
        return sample.tariff_period if sample is not None and known else None
