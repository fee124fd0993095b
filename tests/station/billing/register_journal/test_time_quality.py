"""The quality of the station's time: its source, its status, and the corrections that are published."""

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


class TimeMonitorFixture:
    """A time quality monitor, the state of the machine's time service, and the corrections that were published."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or fakes.clock()
        self.settings = ClockSettings()
        self.service_synchronized = False
        self.monitor = TimeQualityMonitor(
            self.clock, self.settings, lambda: HEARTBEAT_INTERVAL_S, lambda: self.service_synchronized
        )
        self.corrections: list[tuple[timedelta, TimeQuality]] = []
        self.monitor.corrected.subscribe(lambda change: self.corrections.append((change.by, change.before)))

    async def run(self, seconds: float) -> None:
        """Follow the machine's time service for a while."""
        running = asyncio.create_task(self.monitor.run())
        await self.clock.advance(seconds)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_nothing_is_known_before_the_start() -> None:
    assert TimeMonitorFixture().monitor.status is TimeStatus.UNKNOWN


def test_the_machines_clock_is_good_enough_for_people_from_the_start() -> None:
    fixture = TimeMonitorFixture()
    fixture.monitor.begin(None)
    assert fixture.monitor.quality == INFORMATIVE_MACHINE
    fixture.monitor.begin(fakes.NOON)
    assert fixture.monitor.quality == INFORMATIVE_MACHINE


def test_a_clock_that_stands_before_the_last_record_is_wrong() -> None:
    fixture = TimeMonitorFixture()
    fixture.monitor.begin(fakes.NOON + MINUTE)
    assert fixture.monitor.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)


def test_a_clock_that_stands_before_this_program_was_written_is_wrong() -> None:
    fixture = TimeMonitorFixture(VirtualClock(start=datetime(1970, 1, 1, tzinfo=UTC)))
    fixture.monitor.begin(None)
    assert fixture.monitor.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)


async def test_a_clock_that_stops_without_power_is_unknown_until_it_is_set() -> None:
    """OCMF, time status: never synchronised since boot is U, known from a clock with a battery is I."""
    fixture = MachineClockFixture(battery_backed=False)
    fixture.monitor.begin(machine_time() - DAY)
    assert fixture.monitor.quality == TimeQuality(TimeStatus.UNKNOWN, TimeSource.MACHINE)
    fixture.offset = DAY
    await fixture.check_once()
    assert fixture.monitor.quality == INFORMATIVE_MACHINE, "somebody set the machine's clock"
    fixture.monitor.begin(None)
    fixture.monitor.note_time_set(TimeSource.CSMS, timedelta(0))
    assert fixture.monitor.quality == INFORMATIVE_CSMS
    assert fixture.corrections[0][1].status is TimeStatus.UNKNOWN


def test_a_clock_that_a_time_service_holds_needs_no_battery() -> None:
    fixture = MachineClockFixture(battery_backed=False, service_synchronized=True)
    fixture.monitor.begin(None)
    assert fixture.monitor.quality == INFORMATIVE_MACHINE


def test_the_csms_makes_an_unknown_time_informative_and_a_correction_is_published_with_the_former_quality() -> None:
    fixture = TimeMonitorFixture()
    fixture.monitor.note_time_set(TimeSource.CSMS, MINUTE)
    assert fixture.monitor.quality == INFORMATIVE_CSMS
    fixture.monitor.note_time_set(TimeSource.CSMS, timedelta(0))
    assert fixture.corrections == [(MINUTE, TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE))]


def test_a_csms_that_agrees_with_a_synchronized_clock_takes_nothing_from_it() -> None:
    fixture = TimeMonitorFixture()
    fixture.monitor.note_time_set(TimeSource.NTP, timedelta(0))
    fixture.monitor.note_time_set(TimeSource.CSMS, timedelta(0))
    assert fixture.monitor.quality == TimeQuality(TimeStatus.SYNCHRONIZED, TimeSource.NTP)
    fixture.monitor.note_time_set(TimeSource.CSMS, MINUTE)
    assert fixture.monitor.quality == INFORMATIVE_CSMS, "one that moves it does"


async def test_the_machines_time_service_is_followed_only_where_it_is_a_source() -> None:
    fixture = TimeMonitorFixture(VirtualClock(start=fakes.NOON, synchronized=True))
    fixture.service_synchronized = True
    fixture.monitor.begin(None)
    await fixture.run(200.0)
    assert fixture.monitor.quality == INFORMATIVE_MACHINE
    assert fixture.corrections == []
    await fixture.settings.change(ClockSettings.time_source, "NTP,Heartbeat")
    await fixture.run(0.1)
    assert fixture.monitor.status is TimeStatus.SYNCHRONIZED
    assert abs(fixture.clock.now() - SystemClock().now()) < timedelta(minutes=10)
    assert [before for _, before in fixture.corrections] == [INFORMATIVE_MACHINE]


async def test_a_time_service_that_loses_its_source_leaves_an_informative_time() -> None:
    fixture = TimeMonitorFixture(VirtualClock(start=SystemClock().now(), synchronized=True))
    await fixture.settings.change(ClockSettings.time_source, "NTP")
    fixture.service_synchronized = True
    await fixture.run(0.1)
    assert fixture.monitor.status is TimeStatus.SYNCHRONIZED
    fixture.service_synchronized = False
    await fixture.run(0.1)
    assert fixture.monitor.quality == TimeQuality(TimeStatus.INFORMATIVE, TimeSource.NTP)
    assert fixture.corrections == []


class MachineClockFixture:
    """A time quality monitor on a machine clock that is `offset` from the true time."""

    def __init__(self, *, battery_backed: bool = True, service_synchronized: bool = False) -> None:
        self.offset = timedelta(0)
        self.clock = SystemClock(lambda: machine_time() + self.offset, lambda: battery_backed)
        self.settings = ClockSettings()
        self.monitor = TimeQualityMonitor(
            self.clock, self.settings, lambda: HEARTBEAT_INTERVAL_S, lambda: service_synchronized
        )
        self.corrections: list[tuple[timedelta, TimeQuality]] = []
        self.monitor.corrected.subscribe(lambda change: self.corrections.append((change.by, change.before)))

    async def check_once(self) -> None:
        """Let the monitor check the clock once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await self.monitor.run()

    @property
    def clock_error(self) -> timedelta:
        """The difference of the station's time from the true time, rounded to minutes."""
        return MINUTE * round((self.clock.now() - machine_time()) / MINUTE)


async def test_a_machine_clock_that_is_set_before_any_other_source_is_followed_and_the_correction_published() -> None:
    fixture = MachineClockFixture()
    fixture.offset = -3 * DAY
    fixture.clock.adjust(fixture.offset)
    fixture.monitor.begin(None)
    fixture.offset = timedelta(0)
    await fixture.check_once()
    assert fixture.clock_error == timedelta(0)
    assert [(round(correction / DAY), before) for correction, before in fixture.corrections] == [
        (3, INFORMATIVE_MACHINE)
    ]
    assert fixture.monitor.quality == INFORMATIVE_MACHINE


async def test_once_the_csms_has_set_the_time_the_machines_clock_does_not_matter() -> None:
    fixture = MachineClockFixture()
    fixture.monitor.begin(None)
    fixture.monitor.note_time_set(TimeSource.CSMS, timedelta(0))
    fixture.offset = 3 * DAY
    await fixture.check_once()
    assert (fixture.clock_error, fixture.corrections) == (timedelta(0), [])


async def test_a_csms_that_differs_from_the_time_service_sets_the_clock_only_where_it_comes_first() -> None:
    """ClockCtrlr.TimeSource: the first that answers; else both would move the clock back and forth for ever."""
    fixture = TimeMonitorFixture(VirtualClock(start=SystemClock().now(), synchronized=True))
    await fixture.settings.change(ClockSettings.time_source, "NTP,Heartbeat")
    assert fixture.monitor.follows_csms, "the time service holds nothing yet"
    fixture.service_synchronized = True
    await fixture.run(0.1)
    assert not fixture.monitor.follows_csms
    fixture.service_synchronized = False
    await fixture.run(0.1)
    assert fixture.monitor.follows_csms, "the time service does not answer"
    await fixture.settings.change(ClockSettings.time_source, "NTP")
    assert not fixture.monitor.follows_csms


async def test_the_time_service_takes_the_place_of_a_csms_that_comes_first_and_has_fallen_silent() -> None:
    fixture = TimeMonitorFixture(VirtualClock(start=SystemClock().now(), synchronized=True))
    await fixture.settings.change(ClockSettings.time_source, "Heartbeat,NTP")
    fixture.service_synchronized = True
    fixture.monitor.note_time_set(TimeSource.CSMS, timedelta(0))
    await fixture.run(HEARTBEAT_INTERVAL_S)
    assert fixture.monitor.quality == INFORMATIVE_CSMS
    await fixture.run(2.0 * HEARTBEAT_INTERVAL_S)
    assert fixture.monitor.status is TimeStatus.SYNCHRONIZED


def test_the_kernel_can_be_asked() -> None:
    assert kernel_synchronized() in {True, False}


@pytest.mark.parametrize("source", ["Heartbeat", "NTP", "NTP,Heartbeat"])
async def test_simulated_time_with_a_pace_of_its_own_is_set_by_nobody(source: str) -> None:
    fixture = TimeMonitorFixture()
    await fixture.settings.change(ClockSettings.time_source, source)
    fixture.service_synchronized = True
    fixture.monitor.begin(None)
    await fixture.run(200.0)
    assert not fixture.monitor.follows_csms
    assert (fixture.monitor.quality, fixture.corrections) == (INFORMATIVE_MACHINE, [])
    assert fixture.clock.now() == fakes.NOON + timedelta(seconds=200)


def test_that_the_time_of_the_csms_is_not_taken_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    fixture = TimeMonitorFixture()
    for _ in range(3):
        fixture.monitor.note_ignored_csms(-MINUTE)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the time of the CSMS (-60.0 s) is ignored")
