"""Detects a meter that no longer measures: its readings do not change at all. Pure.

A gateway that has lost its meter but still answers, or a meter whose measuring part hangs, repeats the same values with
a new time each second. A quiet house may have constant currents, but a voltage never stays the same for long: so a
meter that reports no voltage is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from metering.reading import Phases, Reading

STILL_AFTER_S: Final = 30.0
"""time after which identical voltages, currents and powers, to the last digit, mean that the meter hangs"""
STILL_AFTER: Final = 4
"""smallest number of identical readings, for meters that are read seldom"""

_MeasuredValues = tuple[
    "Phases[float | None]", "Phases[float | None]", "Phases[float | None]", float | None, float | None
]


class FrozenReadingCheck(Frozen):
    """How long a meter has shown identical values. Immutable: each reading gives a new object. Seconds (monotonic)."""

    values: _MeasuredValues | None = None
    since_s: float = 0.0
    count: int = 0
    """number of identical readings"""

    def after(self, reading: Reading, now_s: float) -> FrozenReadingCheck:
        """Return the state after one more reading; its time stamps and energies are ignored."""
        values = (reading.currents_a, reading.powers_w, reading.voltages_v, reading.power_w, reading.frequency_hz)
        if values != self.values:
            return FrozenReadingCheck(values, now_s, 1)
        return FrozenReadingCheck(values, self.since_s, self.count + 1)

    def is_frozen(self, now_s: float) -> bool:
        """Return whether the readings have been identical for so long that the meter no longer measures."""
        if self.values is None or not any(self.values[2]):
            return False
        return self.count >= STILL_AFTER and now_s - self.since_s >= STILL_AFTER_S
