"""Estimates the energy that flows, by the meter's own currents, while its import register does not move. Pure.

A meter whose counting part hangs, a table with the register of another tariff, and a meter wired in reverse all show a
current while the register does not move: energy that is not billed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from metering.reading import Reading

_MIN_CURRENT_A: Final = 1.0
"""below this a vehicle that does not charge may draw reactive current for hours, which no register counts"""
_MAX_IDLE_A: Final = 3.0
"""up to this reactive current at rest the measured power is trusted, if the meter measures its voltages"""
_MIN_VOLTAGE_V: Final = 180.0
"""a phase that carries current and shows less than this is not measured"""
_MAX_GAP_S: Final = 10.0
"""a gap between readings counts for this long at most: then the meter has failed and the contactor is open"""
_MIN_POWER_FACTOR: Final = 0.1
"""a measured power below this part of current times voltage is not trusted"""


class UncountedEnergy(Frozen):
    """Estimated energy that has flowed through a meter since its import register last moved.

    Immutable: each reading gives a new object. Times are monotonic, in seconds.
    """

    register_wh: float | None = None
    """the import register at the last reading; None: there was none"""
    flowing_w: float = 0.0
    """estimated power at the last reading"""
    at_s: float = 0.0
    unmoved_wh: float = 0.0
    """the energy that has flowed, by current, nominal voltage and time, while the register stood still"""

    def is_at_rest(self, register_wh: float | None) -> bool:
        """Return whether the last reading showed this register, and no power."""
        return self.flowing_w == 0.0 and self.register_wh == register_wh

    def after(self, reading: Reading, now_s: float) -> UncountedEnergy:
        """Return the state after one more reading of the meter.

        Between two readings the lower of their powers is counted, since what happened in between is unknown.
        """
        flowing_w = _flowing_w(reading)
        if reading.energy_import_wh != self.register_wh:
            return UncountedEnergy(reading.energy_import_wh, flowing_w, now_s)
        gap_s = min(now_s - self.at_s, _MAX_GAP_S)
        more_wh = min(self.flowing_w, flowing_w) * gap_s / 3600.0
        return UncountedEnergy(self.register_wh, flowing_w, now_s, self.unmoved_wh + more_wh)


def _flowing_w(reading: Reading) -> float:
    """The power computed from the currents of a reading; without currents, its measured power."""
    measured_w = reading.power_w
    currents = [abs(current_a) for current_a in reading.currents_a if current_a is not None]
    if not currents:
        return abs(measured_w) if measured_w is not None else 0.0
    if not any(currents):
        return 0.0
    # Not with the measured voltage: a meter that has lost a voltage input shows no power either.
    apparent_va = sum(current_a for current_a in currents if current_a >= _MIN_CURRENT_A) * NOMINAL_VOLTAGE_V
    # At low power some on-board chargers draw a high reactive current.
    if measured_w is not None and measured_w >= apparent_va * _MIN_POWER_FACTOR:
        return min(measured_w, apparent_va)
    if measured_w is not None and measured_w >= 0.0 and max(currents) < _MAX_IDLE_A and _measures_all_voltages(reading):
        return min(measured_w, apparent_va)
    return apparent_va


def _measures_all_voltages(reading: Reading) -> bool:
    """Return whether the meter measures a voltage on each phase on which it shows a current."""
    return all(
        voltage_v is not None and voltage_v >= _MIN_VOLTAGE_V
        for current_a, voltage_v in zip(reading.currents_a, reading.voltages_v, strict=True)
        if current_a is not None and abs(current_a) > 0.0
    )
