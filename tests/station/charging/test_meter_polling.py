"""What is logged of a meter that fails at each reading: one line, and one when it reads again."""

from __future__ import annotations

import logging

import pytest

from metering.meter import MeterError
from metering.reading import Reading
from station.charging.meter_polling import SILENT_AFTER_S, MeterPoller
from tests import fakes


class FailingMeter(fakes.FakeMeter):
    """A meter whose readings fail while `broken`."""

    broken = True

    async def read(self) -> Reading:
        """Return a reading, or fail while `broken`."""
        if self.broken:
            raise MeterError("gives an answer that cannot be read")
        return Reading(fakes.NOON, 1_000.0)


async def test_a_meter_that_fails_at_each_reading_is_one_line_of_the_log_and_then_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "station.charging.meter_polling")
    meter = FailingMeter()
    poller = MeterPoller("meter of EVSE 1", meter, fakes.clock())
    for _ in range(3):
        assert await poller.read_now() is None
    meter.broken = False
    assert await poller.read_now() is not None
    assert [record.levelno for record in caplog.records] == [
        logging.WARNING,
        logging.DEBUG,
        logging.DEBUG,
        logging.INFO,
    ]


async def test_changed_values_are_published_once_and_those_of_a_failed_meter_are_unknown() -> None:
    meter, published = FailingMeter(), list[Reading | None]()
    meter.broken = False
    clock = fakes.clock()
    poller = MeterPoller("meter of EVSE 1", meter, clock)
    poller.values_changed.subscribe(lambda _: published.append(poller.valid_reading))
    reading = await poller.read_now()
    await poller.read_now()
    assert published == [reading]
    meter.broken = True
    await poller.read_now()
    assert poller.valid_reading == reading, "a single failure is none of the meter"
    await clock.advance(SILENT_AFTER_S)
    await poller.read_now()
    await poller.read_now()
    assert published == [reading, None]
    assert poller.latest == reading
    meter.broken = False
    assert await poller.read_now() == reading
    assert published == [reading, None, reading]
    await poller.accept_exchange()
    assert published[3:] == [None]
