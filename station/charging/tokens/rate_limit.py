"""How fast cards may be tried: as fast as people are, and no faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foundation.clock import Clock

_BURST: Final = 5
"""so many may come one after the other"""
_EVERY_S: Final = 3.0
"""then one in this time: nobody tries numbers faster"""


class RateLimiter:
    """Of one way by which cards come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spare = float(_BURST)
        self._counted_s = clock.monotonic()

    def allows(self) -> bool:
        """Whether one more may be looked at now, which counts."""
        now_s = self._clock.monotonic()
        self._spare = min(float(_BURST), self._spare + (now_s - self._counted_s) / _EVERY_S)
        self._counted_s = now_s
        if self._spare < 1.0:
            return False
        self._spare -= 1.0
        return True

    @property
    def wait_s(self) -> float:
        """After how long one more may be looked at, where the last one was not."""
        return max(0.0, 1.0 - self._spare) * _EVERY_S
