"""What is known of the time: who told it, how good that is, and who hears of a correction."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from foundation.clock import SystemClock, machine_time
from metering.time_quality import TimeQuality, TimeSource, TimeStatus
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from simulator.clock import VirtualClock
from station.billing.register_journal.time_quality import TimeQualityMonitor, kernel_synchronized
from station.core.clock_settings import ClockSettings
from tests import fakes

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
INFORMATIVE_CSMS = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.CSMS)
INFORMATIVE_MACHINE = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.MACHINE)
HEARTBEAT_INTERVAL_S = CsmsLinkSettings.heartbeat_interval_s.default


class Kept:
    """A time keeper, the machine's time service, and what was told."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or fakes.clock()
        self.settings = ClockSettings()
        self.held = False
        self.keeper = TimeQualityMonitor(self.clock, self.settings, lambda: HEARTBEAT_INTERVAL_S, lambda: self.held)
        self.told: list[tuple[timedelta, TimeQuality]] = []
        self.keeper.corrected.subscribe(lambda change: self.told.append((change.by, change.before)))

    async def run(self, seconds: float) -> None:
        """Follow the machine's time service for a while."""
        running = asyncio.create_task(self.keeper.run())
        await self.clock.advance(seconds)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_nothing_is_known_before_the_start() -> None:
    assert Kept().keeper.status is TimeStatus.UNKNOWN


def test_the_machines_clock_is_good_enough_for_people_from_the_start() -> None:
    it = Kept()
    it.keeper.begin(None)
    assert it.keeper.quality == INFORMATIVE_MACHINE
    it.keeper.begin(fakes.NOON)
    assert it.keeper.quality == INFORMATIVE_MACHINE


def test_a_clock_that_stands_before_the_last_record_is_wrong() -> None:
    it = Kept()
    it.keeper.begin(fakes.NOON + MINUTE)
    assert it.keeper.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)


def test_a_clock_that_stands_before_this_program_was_written_is_wrong() -> None:
    it = Kept(VirtualClock(start=datetime(1970, 1, 1, tzinfo=UTC)))
    it.keeper.begin(None)
    assert it.keeper.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)


async def test_a_clock_that_stands_still_without_power_is_not_known_until_somebody_tells_it() -> None:
    """OCMF, time status: never synchronised since boot is U, known from a clock with a battery is I."""
    it = Machine(kept=False)
    it.keeper.begin(machine_time() - DAY)
    assert it.keeper.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.MACHINE)
    it.ahead = DAY
    await it.look()
    assert it.keeper.quality == INFORMATIVE_MACHINE, "somebody set the machine's clock"
    it.keeper.begin(None)
    it.keeper.note_time_set(TimeSource.CSMS, timedelta(0))
    assert it.keeper.quality == INFORMATIVE_CSMS
    assert it.told[0][1].status is TimeStatus.UNKNOWN


def test_a_clock_that_a_time_service_holds_needs_no_battery() -> None:
    it = Machine(kept=False, held=True)
    it.keeper.begin(None)
    assert it.keeper.quality == INFORMATIVE_MACHINE


def test_the_csms_makes_an_unknown_time_informative_and_a_correction_is_told_with_what_was_before() -> None:
    it = Kept()
    it.keeper.note_time_set(TimeSource.CSMS, MINUTE)
    assert it.keeper.quality == INFORMATIVE_CSMS
    it.keeper.note_time_set(TimeSource.CSMS, timedelta(0))
    assert it.told == [(MINUTE, TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE))]


def test_a_csms_that_agrees_with_a_synchronized_clock_takes_nothing_from_it() -> None:
    it = Kept()
    it.keeper.note_time_set(TimeSource.NTP, timedelta(0))
    it.keeper.note_time_set(TimeSource.CSMS, timedelta(0))
    assert it.keeper.quality == TimeQuality(TimeStatus.SYNCHRONIZED, TimeSource.NTP)
    it.keeper.note_time_set(TimeSource.CSMS, MINUTE)
    assert it.keeper.quality == INFORMATIVE_CSMS, "one that moves it does"


async def test_the_machines_time_service_is_followed_only_where_it_is_a_source() -> None:
    it = Kept(VirtualClock(start=fakes.NOON, synchronized=True))
    it.held = True
    it.keeper.begin(None)
    await it.run(200.0)
    assert it.keeper.quality == INFORMATIVE_MACHINE
    assert it.told == []
    await it.settings.change(ClockSettings.time_source, "NTP,Heartbeat")
    await it.run(0.1)
    assert it.keeper.status is TimeStatus.SYNCHRONIZED
    assert abs(it.clock.now() - SystemClock().now()) < timedelta(minutes=10)
    assert [before for _, before in it.told] == [INFORMATIVE_MACHINE]


async def test_a_time_service_that_loses_its_source_leaves_an_informative_time() -> None:
    it = Kept(VirtualClock(start=SystemClock().now(), synchronized=True))
    await it.settings.change(ClockSettings.time_source, "NTP")
    it.held = True
    await it.run(0.1)
    assert it.keeper.status is TimeStatus.SYNCHRONIZED
    it.held = False
    await it.run(0.1)
    assert it.keeper.quality == TimeQuality(TimeStatus.INFORMATIVE, TimeSource.NTP)
    assert it.told == []


class Machine:
    """A machine whose clock is set."""

    def __init__(self, *, kept: bool = True, held: bool = False) -> None:
        self.ahead = timedelta(0)
        self.clock = SystemClock(lambda: machine_time() + self.ahead, lambda: kept)
        self.settings = ClockSettings()
        self.keeper = TimeQualityMonitor(self.clock, self.settings, lambda: HEARTBEAT_INTERVAL_S, lambda: held)
        self.told: list[tuple[timedelta, TimeQuality]] = []
        self.keeper.corrected.subscribe(lambda change: self.told.append((change.by, change.before)))

    async def look(self) -> None:
        """Let the keeper look once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await self.keeper.run()

    @property
    def wrong(self) -> timedelta:
        """How far the station's time is from the truth, to the minute."""
        return MINUTE * round((self.clock.now() - machine_time()) / MINUTE)


async def test_a_machine_whose_clock_is_set_before_anybody_told_the_time_is_followed_and_that_is_told() -> None:
    it = Machine()
    it.ahead = -3 * DAY
    it.clock.adjust(it.ahead)
    it.keeper.begin(None)
    it.ahead = timedelta(0)
    await it.look()
    assert it.wrong == timedelta(0)
    assert [(round(correction / DAY), before) for correction, before in it.told] == [(3, INFORMATIVE_MACHINE)]
    assert it.keeper.quality == INFORMATIVE_MACHINE


async def test_once_the_csms_has_told_the_time_the_machines_clock_does_not_matter() -> None:
    it = Machine()
    it.keeper.begin(None)
    it.keeper.note_time_set(TimeSource.CSMS, timedelta(0))
    it.ahead = 3 * DAY
    await it.look()
    assert (it.wrong, it.told) == (timedelta(0), [])


async def test_a_csms_that_differs_from_the_time_service_sets_the_clock_only_where_it_comes_first() -> None:
    """ClockCtrlr.TimeSource: the first that answers; else both would move the clock back and forth for ever."""
    it = Kept(VirtualClock(start=SystemClock().now(), synchronized=True))
    await it.settings.change(ClockSettings.time_source, "NTP,Heartbeat")
    assert it.keeper.follows_csms, "the time service holds nothing yet"
    it.held = True
    await it.run(0.1)
    assert not it.keeper.follows_csms
    it.held = False
    await it.run(0.1)
    assert it.keeper.follows_csms, "the time service does not answer"
    await it.settings.change(ClockSettings.time_source, "NTP")
    assert not it.keeper.follows_csms


async def test_the_time_service_takes_the_place_of_a_csms_that_comes_first_and_has_fallen_silent() -> None:
    it = Kept(VirtualClock(start=SystemClock().now(), synchronized=True))
    await it.settings.change(ClockSettings.time_source, "Heartbeat,NTP")
    it.held = True
    it.keeper.note_time_set(TimeSource.CSMS, timedelta(0))
    await it.run(HEARTBEAT_INTERVAL_S)
    assert it.keeper.quality == INFORMATIVE_CSMS
    await it.run(2.0 * HEARTBEAT_INTERVAL_S)
    assert it.keeper.status is TimeStatus.SYNCHRONIZED


def test_the_kernel_can_be_asked() -> None:
    assert kernel_synchronized() in {True, False}


@pytest.mark.parametrize("source", ["Heartbeat", "NTP", "NTP,Heartbeat"])
async def test_simulated_time_with_a_pace_of_its_own_is_set_by_nobody(source: str) -> None:
    it = Kept()
    await it.settings.change(ClockSettings.time_source, source)
    it.held = True
    it.keeper.begin(None)
    await it.run(200.0)
    assert not it.keeper.follows_csms
    assert (it.keeper.quality, it.told) == (INFORMATIVE_MACHINE, [])
    assert it.clock.now() == fakes.NOON + timedelta(seconds=200)


def test_that_the_time_of_the_csms_is_not_taken_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    it = Kept()
    for _ in range(3):
        it.keeper.note_ignored_csms(-MINUTE)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the time of the CSMS (-60.0 s) is ignored")
