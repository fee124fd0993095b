"""Event streams send by interval or number of values, hold a bounded number, and lose no event when they end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from station.maintenance.monitoring.event_queue import EventQueue, ReportedEvent
from station.maintenance.monitoring.event_streams import EventStream, EventStreams
from station.maintenance.monitoring.monitor import Monitor, MonitorState, MonitorType, StreamParameters, VariableAddress
from station.maintenance.monitoring.monitor_request import MOST_STREAM_VALUES
from station.maintenance.monitoring.monitor_store import MonitorStore
from tests import fakes
from tests.databases import open_database
from tests.station.maintenance.monitoring.test_event_queue import EVENT

_POWER: Final = VariableAddress("EVSE", "Power", evse_id=1)
_QUIET: Final = MonitorState()
_PLENTY: Final = 20_000


def monitor(interval_s: int = 0, values: int = 0, number: int = 1) -> Monitor:
    return Monitor(number, _POWER, MonitorType.PERIODIC, 1.0, 5, stream=StreamParameters(interval_s, values))


def event(number: int, value: str = "1.0") -> ReportedEvent:
    return ReportedEvent(replace(EVENT, id=number, value=value), 1, _QUIET, _QUIET)


class Streams:
    """Streams with their queue and clock."""

    def __init__(self, queue: EventQueue) -> None:
        self.queue = queue
        self.clock = fakes.clock()
        self.streams = EventStreams(queue, self.clock)

    def opened(self, of: Monitor) -> EventStream:
        stream = self.streams.begin(of)
        self.streams.open(stream)
        return stream

    def sent(self) -> list[list[int]]:
        """The ids of the events of the messages that are due now."""
        messages: list[list[int]] = []
        while (chunk := self.streams.take_due()) is not None:
            messages.append([reported.event.id for reported in chunk.events])
        return messages

    def waiting(self) -> list[int]:
        """The ids of the events in the queue."""
        return [waiting.event.id for waiting in self.queue.oldest(_PLENTY, 100_000_000)]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncGenerator[Streams]:
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        yield Streams(EventQueue(MonitorStore(database), clock))


async def test_values_are_sent_at_the_interval_or_once_there_are_enough(made: Streams) -> None:
    """N15.FR.06, N15.FR.08."""
    periodic = monitor(interval_s=10, values=3)
    made.opened(periodic)
    for number in (1, 2):
        assert made.streams.add(periodic, event(number))
    assert made.sent() == []
    await made.clock.advance(10)
    assert made.sent() == [[1, 2]]
    for number in (3, 4, 5, 6):
        made.streams.add(periodic, event(number))
    assert made.sent() == [[3, 4, 5]]
    await made.clock.advance(9)
    assert made.sent() == []
    await made.clock.advance(1)
    assert made.sent() == [[6]]


async def test_values_alone_decide_without_an_interval(made: Streams) -> None:
    counted = monitor(values=2)
    made.opened(counted)
    made.streams.add(counted, event(1))
    await made.clock.advance(100_000)
    assert made.sent() == []
    assert made.streams.next_due_s == float("inf")
    made.streams.add(counted, event(2))
    assert made.sent() == [[1, 2]]


async def test_nothing_is_sent_before_the_stream_is_open_and_a_refused_one_loses_nothing(made: Streams) -> None:
    """N11.FR.07."""
    counted = monitor(values=1)
    stream = made.streams.begin(counted)
    made.streams.add(counted, event(1))
    assert made.sent() == []
    made.streams.end(stream)
    assert made.waiting() == [1]
    assert not made.streams.add(counted, event(2))


async def test_a_message_that_was_not_sent_is_sent_first_later_or_waits_if_its_stream_has_ended(made: Streams) -> None:
    counted = monitor(values=2)
    made.opened(counted)
    for number in (1, 2, 3):
        made.streams.add(counted, event(number))
    chunk = made.streams.take_due()
    assert chunk is not None
    assert chunk.pending == 1
    made.streams.put_back(chunk)
    assert made.sent() == [[1, 2]]
    made.streams.add(counted, event(4))
    chunk = made.streams.take_due()
    assert chunk is not None
    made.streams.end_all()
    made.streams.put_back(chunk)
    assert made.waiting() == [3, 4]


async def test_a_stream_is_bounded_and_what_it_cannot_take_waits_elsewhere(made: Streams) -> None:
    periodic, large = monitor(interval_s=86_400), monitor(interval_s=86_400, number=2)
    made.opened(periodic)
    made.opened(large)
    taken = [made.streams.add(periodic, event(number)) for number in range(MOST_STREAM_VALUES + 5)]
    assert taken == [True] * MOST_STREAM_VALUES + [False] * 5
    assert [len(message) for message in made.sent()] == [MOST_STREAM_VALUES]
    assert made.streams.add(periodic, event(1_000))
    taken = [made.streams.add(large, event(number, "x" * 2_500)) for number in range(40)]
    assert 20 <= taken.index(False) <= 30
    assert not any(taken[taken.index(False) :])
    assert [len(message) for message in made.sent()] == [taken.index(False)]


async def test_all_streams_together_are_bounded(made: Streams) -> None:
    many = [monitor(interval_s=86_400, number=number) for number in range(1, 13)]
    for each in many:
        made.opened(each)
    taken = [made.streams.add(each, event(1)) for each in many for _ in range(MOST_STREAM_VALUES)]
    assert taken.count(True) == 5_000


async def test_an_adjusted_interval_counts_from_the_last_message(made: Streams) -> None:
    """N14.FR.03."""
    former, adjusted = monitor(interval_s=10), monitor(interval_s=15)
    made.opened(former)
    made.streams.add(former, event(1))
    await made.clock.advance(12)
    assert made.sent() == [[1]]
    made.streams.add(former, event(2))
    made.streams.adjust(former, adjusted)
    assert not made.streams.add(former, event(3))
    assert made.streams.add(adjusted, event(4))
    await made.clock.advance(12)
    assert made.sent() == []
    await made.clock.advance(1)
    assert made.sent() == [[2, 4]]


async def test_the_rest_of_a_stream_is_taken_in_order_before_it_ends(made: Streams) -> None:
    """N13.FR.03."""
    periodic = monitor(interval_s=60, values=2)
    stream = made.opened(periodic)
    made.streams.add(periodic, event(1))
    chunk = made.streams.take_rest(stream)
    assert chunk is not None
    assert [reported.event.id for reported in chunk.events] == [1]
    assert made.streams.take_rest(stream) is None
    made.streams.end(stream)
    assert made.waiting() == []
    assert list(made.streams) == []


async def test_a_long_pause_makes_no_burst_of_messages(made: Streams) -> None:
    periodic = monitor(interval_s=10)
    made.opened(periodic)
    await made.clock.advance(1_005)
    made.streams.add(periodic, event(1))
    assert made.sent() == [[1]]
    made.streams.add(periodic, event(2))
    assert made.sent() == []
    await made.clock.advance(5)
    assert made.sent() == [[2]]
