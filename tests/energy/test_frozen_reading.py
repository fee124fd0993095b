"""A meter that measures no more: how long the same must be shown, by what, and that a voltage is enough to be alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from energy.sources.frozen_reading import STILL_AFTER, STILL_AFTER_S, FrozenReadingCheck
from metering.reading import Phases, Reading

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
QUIET = Reading(
    NOON,
    energy_import_wh=1000.0,
    power_w=460.0,
    currents_a=Phases(2.0, None, None),
    voltages_v=Phases(230.1, None, None),
    frequency_hz=50.0,
)


def check_after(*readings: Reading, every_s: float = 1.0) -> tuple[FrozenReadingCheck, float]:
    """The check after these readings in order, and the time of the last one."""
    stillness, now_s = FrozenReadingCheck(), 0.0
    for number, reading in enumerate(readings):
        now_s = 100.0 + number * every_s
        stillness = stillness.after(reading, now_s)
    return stillness, now_s


def repeat_reading(reading: Reading, count: int) -> list[Reading]:
    """Copies of a reading, each with its own time and a growing energy register."""
    return [
        replace(reading, taken_at=NOON + timedelta(seconds=number), energy_import_wh=1000.0 + number)
        for number in range(count)
    ]


def test_half_a_minute_of_the_same_is_no_measurement() -> None:
    too_short, at_s = check_after(*repeat_reading(QUIET, int(STILL_AFTER_S)))
    assert not too_short.is_frozen(at_s)
    full, at_s = check_after(*repeat_reading(QUIET, int(STILL_AFTER_S) + 1))
    assert full.is_frozen(at_s)


def test_a_meter_that_is_asked_seldom_is_given_some_readings() -> None:
    too_few, at_s = check_after(*repeat_reading(QUIET, STILL_AFTER - 1), every_s=STILL_AFTER_S)
    assert not too_few.is_frozen(at_s)
    enough, at_s = check_after(*repeat_reading(QUIET, STILL_AFTER), every_s=STILL_AFTER_S)
    assert enough.is_frozen(at_s)


@pytest.mark.parametrize(
    "changed",
    [
        replace(QUIET, voltages_v=Phases(230.2, None, None)),
        replace(QUIET, currents_a=Phases(2.01, None, None)),
        replace(QUIET, powers_w=Phases(461.0, None, None)),
        replace(QUIET, power_w=461.0),
        replace(QUIET, frequency_hz=50.01),
    ],
)
def test_whatever_moves_shows_that_it_measures(changed: Reading) -> None:
    again, at_s = check_after(*repeat_reading(QUIET, 60), changed)
    assert not again.is_frozen(at_s)
    stopped, at_s = check_after(*repeat_reading(QUIET, 60), *repeat_reading(changed, 60))
    assert stopped.is_frozen(at_s)


@pytest.mark.parametrize("voltage_v", [None, 0.0])
def test_a_meter_without_a_voltage_is_not_judged(voltage_v: float | None) -> None:
    """Whole amperes of a quiet house may stand still for long; a phase without voltage shows nothing at all."""
    stillness, at_s = check_after(*repeat_reading(replace(QUIET, voltages_v=Phases(voltage_v, None, None)), 600))
    assert not stillness.is_frozen(at_s)
