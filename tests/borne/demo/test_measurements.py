"""The summary of the demonstration finds whatever does not agree."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from borne.demo.measurements import DemoMeasurements, GridCurrentMonitor, summarize
from simulator.clock import VirtualClock

GOOD = DemoMeasurements(
    register_wh=1234.56,
    billed_wh=1234.6,
    recorded=[0, 1, 2, 3],
    delivered=[0, 1, 2, 3],
    ended=True,
    offline=2,
    queued=0,
    largest_a=56.0,
    limit_a=39.1,
    longest_above_s=3.5,
)


def test_what_agrees_is_not_complained_of() -> None:
    assert [check for check in summarize(GOOD) if check.trouble is not None] == []


@pytest.mark.parametrize(
    ("inconsistent", "title"),
    [
        (replace(GOOD, billed_wh=1235.2), "energy received by the CSMS"),
        (replace(GOOD, billed_wh=None), "energy received by the CSMS"),
        (replace(GOOD, billed_wh=0.0, register_wh=0.0), "energy received by the CSMS"),
        (replace(GOOD, recorded=[0, 1, 2, 3, 4]), "events delivered"),
        (replace(GOOD, recorded=[]), "events delivered"),
        (replace(GOOD, recorded=[0, 1, 3], delivered=[0, 1, 3]), "sequence numbers"),
        (replace(GOOD, recorded=[1, 2, 3], delivered=[1, 2, 3]), "sequence numbers"),
        (replace(GOOD, ended=False), "sequence numbers"),
        (replace(GOOD, offline=0), "queued during the network cut"),
        (replace(GOOD, queued=1), "left in the queue"),
        (replace(GOOD, longest_above_s=6.1), "longest time above the limit"),
    ],
)
def test_each_disagreement_is_found(inconsistent: DemoMeasurements, title: str) -> None:
    assert [check.title for check in summarize(inconsistent) if check.trouble is not None] == [title]


async def test_the_longest_unbroken_time_above_the_limit_is_measured_while_it_lasts() -> None:
    clock, current_a = VirtualClock(), 30.0
    watch = GridCurrentMonitor(clock, lambda: current_a, lambda: 0.0, 39.0)
    for next_a, for_s in ((40.0, 2.0), (39.0, 1.0), (41.0, 1.5), (38.0, 5.0), (56.0, 3.0)):
        watch.sample()
        current_a = next_a
        for _ in range(int(for_s / 0.25)):
            watch.sample()
            await clock.advance(0.25)
    watch.sample()
    assert (watch.largest_a, watch.longest_s) == (56.0, 3.0)
