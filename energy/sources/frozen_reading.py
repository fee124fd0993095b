"""Whether a meter still measures: a grid never stands still, a register that nobody writes any more does. Pure.

A gateway that answers for a meter it has lost, or a meter whose measuring part hangs, shows the same for ever, with a
new reading each second. Nothing else tells: the house may be as quiet as the readings say. But a voltage is never the
same for long, and that is what is looked at; a meter that tells none is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen

if TYPE_CHECKING:
    from metering.reading import Phases, Reading

STILL_AFTER_S: Final = 30.0
"""no voltage is the same for so long, to the last digit, with all currents and powers"""
STILL_AFTER: Final = 4
"""readings, where they come seldom"""

_Shown = tuple["Phases[float | None]", "Phases[float | None]", "Phases[float | None]", float | None, float | None]


@frozen
class FrozenReadingCheck:
    """For how long a meter has shown the same. A value: each reading makes a new one. Seconds (monotonic)."""

    shown: _Shown | None = None
    since_s: float = 0.0
    count: int = 0
    """readings that were alike"""

    def after(self, reading: Reading, now_s: float) -> FrozenReadingCheck:
        """This with one more reading; its time stamps and energies do not count."""
        shown = (reading.currents_a, reading.powers_w, reading.voltages_v, reading.power_w, reading.frequency_hz)
        if shown != self.shown:
            return FrozenReadingCheck(shown, now_s, 1)
        return FrozenReadingCheck(shown, self.since_s, self.count + 1)

    def is_frozen(self, now_s: float) -> bool:
        """Whether what it shows is no measurement any more."""
        if self.shown is None or not any(self.shown[2]):
            return False
        return self.count >= STILL_AFTER and now_s - self.since_s >= STILL_AFTER_S
