"""The clock follows the CSMS: when it is corrected, who is told, and what becomes a security event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metering.time_quality import TimeSource
from ocpp_handlers.connection.csms_time import ClockSynchronization
from simulator.clock import VirtualClock
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.core.clock_settings import ClockSettings
from tests.fakes import NOON


class Followed:
    """A clock that follows, and the corrections that it publishes."""

    def __init__(self, *, synchronized: bool = True) -> None:
        self.clock = VirtualClock(start=NOON, synchronized=synchronized)
        self.settings = ClockSettings()
        self.time = TimeQualityMonitor(self.clock, self.settings, lambda: 300, lambda: False)
        self.synchronization = ClockSynchronization(self.time, self.clock)
        self.corrections: list[timedelta] = []
        self.synchronization.corrected.subscribe(self.corrections.append)

    def hear(self, ahead_s: float) -> None:
        """The CSMS sends a time that is so much ahead of the clock."""
        self.synchronization.synchronize(self.clock.now() + timedelta(seconds=ahead_s))


@pytest.mark.parametrize("ahead_s", [1.0, -1.0, 3_600.0])
def test_a_clock_that_is_wrong_by_a_second_is_corrected_and_says_so(ahead_s: float) -> None:
    """B01.FR.06."""
    it = Followed()
    it.hear(ahead_s)
    assert it.clock.now() == NOON + timedelta(seconds=ahead_s)
    assert it.corrections == [timedelta(seconds=ahead_s)]
    assert it.time.quality.source is TimeSource.CSMS


def test_a_smaller_difference_is_the_delay_of_the_network_and_confirms_the_clock() -> None:
    it = Followed()
    it.hear(0.9)
    assert it.clock.now() == NOON
    assert it.corrections == []
    assert it.time.quality.source is TimeSource.CSMS


def test_without_heartbeat_among_the_time_sources_the_clock_stays() -> None:
    it = Followed()
    it.settings.override(ClockSettings.time_source, ("NTP",))
    it.hear(3_600.0)
    assert it.clock.now() == NOON
    assert it.corrections == []


def test_a_simulated_clock_that_departs_from_real_time_does_not_follow() -> None:
    it = Followed(synchronized=False)
    it.hear(3_600.0)
    assert it.clock.now() == NOON
    assert it.corrections == []
