"""Measurements of the demonstration, and the comparison of station, CSMS and house at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from foundation.clock import Clock

FOLLOW_S = 6.0
"""a vehicle has 5 s to follow the pilot (IEC 61851-1), and the grid meter reports after a second"""
_TOLERANCE_WH = 0.5
_SAMPLE_INTERVAL_S = 0.25
_MAX_SAMPLES = 1200
"""stored samples: five minutes"""


class GridCurrentMonitor:
    """Samples the true current of the simulated house four times a second, not through a meter, against a limit.

    `current_a` and `car_a` return the currents on L1 of the house with the car, and of the car alone.
    """

    def __init__(
        self, clock: Clock, current_a: Callable[[], float], car_a: Callable[[], float], limit_a: float
    ) -> None:
        self._clock = clock
        self._current_a = current_a
        self._car_a = car_a
        self.limit_a = limit_a
        """the subscribed current, A"""
        self.largest_a = 0.0
        """the largest current sampled so far, A"""
        self.longest_s = 0.0
        """the longest continuous time above the limit, in s of the station's clock"""
        self.history: list[tuple[float, float]] = []
        """amperes of the house without the car, and of both, for each sample; the newest last"""
        self._above_since_s: float | None = None

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            self.sample()
            await self._clock.sleep(_SAMPLE_INTERVAL_S)

    def sample(self) -> None:
        """Take one sample: append it to `history`, and update the largest current and the longest time."""
        now_s, current_a = self._clock.monotonic(), self._current_a()
        self.history.append((current_a - self._car_a(), current_a))
        if len(self.history) > 2 * _MAX_SAMPLES:
            del self.history[:_MAX_SAMPLES]
        self.largest_a = max(self.largest_a, current_a)
        if self._above_since_s is not None:
            self.longest_s = max(self.longest_s, now_s - self._above_since_s)
        if current_a <= self.limit_a:
            self._above_since_s = None
        elif self._above_since_s is None:
            self._above_since_s = now_s


class DemoMeasurements(Frozen):
    """What was measured during one charge of the demonstration, for `summarize` to compare."""

    register_wh: float
    """increase of the billing meter's register, Wh"""
    billed_wh: float | None
    """register at the end minus at the begin, as the CSMS received them, Wh; None: not received"""
    recorded: list[int]
    """the sequence numbers of the events that the station stored"""
    delivered: list[int]
    """the sequence numbers that the CSMS received"""
    ended: bool
    """whether the CSMS received the end of the transaction"""
    offline: int
    """number of events that the CSMS received marked as offline"""
    queued: int
    """number of events that still wait for delivery to the CSMS"""
    largest_a: float
    """largest current of the house"""
    limit_a: float
    """subscribed current of the house"""
    longest_above_s: float
    """longest continuous time above it"""


class SummaryLine(Frozen):
    """One line of the summary at the end of the demonstration."""

    title: str
    value: str
    trouble: str | None = None
    """the deviation; None if the value is as expected"""
    compared: bool = True
    """False: shown only, for another line to be compared with"""


def summarize(figures: DemoMeasurements) -> list[SummaryLine]:
    """Return the lines of the summary: figures of meter, station, CSMS and house, each with its deviation if any."""
    billed_wh = figures.billed_wh
    if figures.register_wh <= 0.0:
        energy = "no energy flowed"
    elif billed_wh is None or abs(billed_wh - figures.register_wh) > _TOLERANCE_WH:
        energy = "the billed energy differs from the meter register"
    else:
        energy = None
    missing = sorted(set(figures.recorded) - set(figures.delivered))
    delivery = None if not missing and figures.recorded else f"recorded but not delivered: {_join_numbers(missing)}"
    complete = figures.delivered == list(range(len(figures.delivered))) and figures.ended
    above = figures.longest_above_s > FOLLOW_S
    return [
        SummaryLine("energy of the meter register", f"{figures.register_wh:.1f} Wh", compared=False),
        SummaryLine(
            "energy received by the CSMS", f"{billed_wh:.1f} Wh" if billed_wh is not None else "unknown", energy
        ),
        SummaryLine("events recorded", f"{len(figures.recorded)}", compared=False),
        SummaryLine("events delivered", f"{len(set(figures.delivered) & set(figures.recorded))}", delivery),
        SummaryLine(
            "sequence numbers",
            _join_numbers(figures.delivered),
            None if complete else "a number is missing" if figures.ended else "the Ended event is missing",
        ),
        SummaryLine(
            "queued during the network cut",
            f"{figures.offline}",
            None if figures.offline else "no event was queued: the network was not really cut",
        ),
        SummaryLine("left in the queue", f"{figures.queued}", "events are not delivered" if figures.queued else None),
        SummaryLine(
            "largest grid current", f"{figures.largest_a:.1f} A, limit {figures.limit_a:.1f} A", compared=False
        ),
        SummaryLine(
            "longest time above the limit",
            f"{figures.longest_above_s:.1f} s, a car may need {FOLLOW_S:.0f} s to react",
            "the car did not reduce its current in time" if above else None,
        ),
    ]


def _join_numbers(numbers: list[int]) -> str:
    if numbers and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}…{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    return ", ".join(str(number) for number in numbers) or "none"
