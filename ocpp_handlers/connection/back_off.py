"""Waits that grow: before reconnecting (part 4 §5.3), and before a refused notification is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings


_LONGEST_DELAY_S = 86_400.0
"""upper limit of the wait: after a too large value in the variables, the CSMS can correct it within a day"""
_FIRST_REPETITION_S = 5.0
_REPETITIONS = 7
"""some ten minutes in all; a CSMS that refuses for longer receives the present state with the next boot or change"""


def back_off(settings: CsmsLinkSettings, uniform: Callable[[float, float], float]) -> Iterator[float]:
    """Yield the seconds to wait before each attempt: the minimum, doubled RetryBackOffRepeatTimes times; a day at most.

    `uniform` draws the random part that is added to each, at most RetryBackOffRandomRange.
    """
    doubled = 0
    while True:
        base_s = settings.retry_back_off_wait_minimum_s * 2 ** min(doubled, settings.retry_back_off_repeat_times)
        yield min(base_s, _LONGEST_DELAY_S) + uniform(0.0, settings.retry_back_off_random_range_s)
        doubled += 1


def repetition_delays() -> Iterator[float]:
    """Yield the seconds to wait before each repetition of a notification that was refused temporarily.

    Each is twice the one before; ends after the last repetition.
    """
    for doubled in range(_REPETITIONS):
        yield _FIRST_REPETITION_S * 2**doubled
