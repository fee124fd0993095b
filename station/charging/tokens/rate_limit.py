"""Limits the rate of presented cards, against guessing of card numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foundation.clock import Clock

_BURST: Final = 5
"""number of cards allowed without delay"""
_INTERVAL_S: Final = 3.0
"""interval at which further cards are allowed"""


class RateLimiter:
    """Limits how many cards one source (a reader, the API) may present: five at once, then one every 3 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cards_left = float(_BURST)
        """cards that are allowed now; grows by one each `_INTERVAL_S`, up to `_BURST`"""
        self._updated_at_s = clock.monotonic()

    def allows(self) -> bool:
        """Return whether one more card is allowed now; if so, count it."""
        now_s = self._clock.monotonic()
        self._cards_left = min(float(_BURST), self._cards_left + (now_s - self._updated_at_s) / _INTERVAL_S)
        self._updated_at_s = now_s
        if self._cards_left < 1.0:
            return False
        self._cards_left -= 1.0
        return True

    @property
    def wait_s(self) -> float:
        """Seconds until the next card is allowed, as of the last call of `allows`; 0: allowed."""
        return max(0.0, 1.0 - self._cards_left) * _INTERVAL_S
