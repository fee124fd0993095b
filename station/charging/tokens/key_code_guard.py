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

    _FREE = 3
    """wrong codes without delay"""
    _FIRST_S = 10.0
    _LONGEST_S = 600.0
    """six attempts an hour: months for half of all five-digit codes"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong = 0
        self._open_at_s = 0.0

    @property
    def blocked(self) -> bool:
        """Whether all key codes must be rejected now, without checking them."""
        return self._clock.monotonic() < self._open_at_s

    def count_attempt(self, *, wrong: bool) -> None:
        """Count a checked key code; a `wrong` one may start a delay, a right one restarts the count at 0."""
        self._wrong = self._wrong + 1 if wrong else 0
        if (over := self._wrong - self._FREE) > 0:
            delay_s = min(self._LONGEST_S, self._FIRST_S * 2.0 ** min(over - 1, 10))
            self._open_at_s = self._clock.monotonic() + delay_s
            _log.warning("%d wrong key codes: all key codes are rejected for %g s", self._wrong, delay_s)
