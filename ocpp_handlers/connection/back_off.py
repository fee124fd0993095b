"""How long to wait before dialling again: the specification's increasing, randomised back-off (part 4 §5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.core.settings import Settings


_LONGEST_S = 86_400.0
"""a CSMS that chose too much has its station back within a day, and can choose again"""


def back_off(settings: Settings, uniform: Callable[[float, float], float]) -> Iterator[float]:
    """Seconds before each attempt: the minimum, doubled RetryBackOffRepeatTimes times, then kept; a day at the most.

    To each a fresh random part of at most RetryBackOffRandomRange is added. `uniform` draws it.
    """
    doubled = 0
    while True:
        base_s = settings.retry_back_off_wait_minimum_s * 2 ** min(doubled, settings.retry_back_off_repeat_times)
        yield min(base_s, _LONGEST_S) + uniform(0.0, settings.retry_back_off_random_range_s)
        doubled += 1
