"""Derating: less current when the station is hot, none when it is too hot or too cold. No I/O.

The reference station works from −40 to 50 °C, and up to 45 °C with its highest current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from energy.limit import Limit, LimitSource
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

_HYSTERESIS_K: Final = 2.0
"""hysteresis: a pause ends only this far inside the range"""


class TemperatureRange(Frozen):
    """The temperatures, degrees Celsius inside the housing, at which a station may charge, and with full current."""

    lowest: float = -40.0
    """0 A below"""
    full_until: float = 45.0
    """full current up to here"""
    highest: float = 50.0
    """6 A here, 0 A above"""


class Derating:
    """Computes the current limit of one EVSE from its temperature; remembers the last limit, for hysteresis."""

    def __init__(self, rated_a: float, temperatures: TemperatureRange) -> None:
        self._rated_a = rated_a
        self._temperatures = temperatures
        self.limit: Limit | None = None
        """the limit at the last temperature: 0 A outside the range, 6 A to the rating where the current is reduced;
        None: no restriction, or the temperature is not known"""

    def update(self, celsius: float | None, now: datetime) -> None:
        """Set the temperature; None: unknown. `now`: the `since` of a limit that begins."""
        current_a = self._current_at(celsius)
        if current_a is None:
            self.limit = None
        elif self.limit is None:
            self.limit = Limit(current_a, LimitSource.TEMPERATURE, now)
        else:
            self.limit = replace(self.limit, current_a=current_a)

    def _current_at(self, celsius: float | None) -> float | None:
        """The current at this temperature, in A; None: no restriction."""
        if celsius is None:
            return None
        temperatures = self._temperatures
        margin_k = _HYSTERESIS_K if self.limit is not None and self.limit.current_a == 0.0 else 0.0
        if celsius > temperatures.highest - margin_k or celsius < temperatures.lowest + margin_k:
            return 0.0
        if celsius <= temperatures.full_until:
            return None
        share = (temperatures.highest - celsius) / (temperatures.highest - temperatures.full_until)
        return MINIMUM_CURRENT_A + (self._rated_a - MINIMUM_CURRENT_A) * share
