"""Limits guessing of key codes at the keypad (C04.FR.06)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)


class KeyCodeGuard:
    """Limits guessing of key codes: from the fourth wrong one in a row on, each blocks all key codes for a delay.

    The delay is 10 s at first and doubles up to 600 s.

    The caller checks `blocked` first, and reports the result of each checked code.
    """

    _UNDELAYED = 3
    """wrong codes without delay"""
    _FIRST_DELAY_S = 10.0
    _MAX_DELAY_S = 600.0
    """six attempts an hour: months for half of all five-digit codes"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong_count = 0
        self._blocked_until_s = 0.0

    @property
    def blocked(self) -> bool:
        """Whether all key codes must be rejected now, without checking them."""
        return self._clock.monotonic() < self._blocked_until_s

    def count_attempt(self, *, wrong: bool) -> None:
        """Count a checked key code; a `wrong` one may start a delay, a right one restarts the count at 0."""
        self._wrong_count = self._wrong_count + 1 if wrong else 0
        if (excess := self._wrong_count - self._UNDELAYED) > 0:
            delay_s = min(self._MAX_DELAY_S, self._FIRST_DELAY_S * 2.0 ** min(excess - 1, 10))
            self._blocked_until_s = self._clock.monotonic() + delay_s
            _log.warning("%d wrong key codes: all key codes are rejected for %g s", self._wrong_count, delay_s)
