"""The clock follows the CSMS: when it is corrected, who is notified, and what becomes a security event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metering.time_quality import TimeSource
from ocpp_handlers.connection.csms_time import ClockSynchronization
from simulator.clock import VirtualClock
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.core.clock_settings import ClockSettings
from tests.fakes import NOON


class TimeHarness:
    """A clock with its time quality monitor, and the corrections that this publishes."""

    def __init__(self, *, synchronized: bool = True) -> None:
        self.clock = VirtualClock(start=NOON, synchronized=synchronized)
        self.settings = ClockSettings()
        self.time = TimeQualityMonitor(self.clock, self.settings, lambda: 300, lambda: False)
        self.synchronization = ClockSynchronization(self.time, self.clock)
        self.corrections: list[timedelta] = []
        self.synchronization.corrected.subscribe(self.corrections.append)

    def receive_time(self, ahead_s: float) -> None:
        """Process a CSMS time that is `ahead_s` ahead of the clock."""
        self.synchronization.synchronize(self.clock.now() + timedelta(seconds=ahead_s))


@pytest.mark.parametrize("ahead_s", [1.0, -1.0, 3_600.0])
def test_a_clock_that_is_wrong_by_a_second_is_corrected_and_says_so(ahead_s: float) -> None:
    """B01.FR.06."""
    harness = TimeHarness()
    harness.receive_time(ahead_s)
    assert harness.clock.now() == NOON + timedelta(seconds=ahead_s)
    assert harness.corrections == [timedelta(seconds=ahead_s)]
    assert harness.time.quality.source is TimeSource.CSMS


def test_a_smaller_difference_is_the_delay_of_the_network_and_confirms_the_clock() -> None:
    harness = TimeHarness()
    harness.receive_time(0.9)
    assert harness.clock.now() == NOON
    assert harness.corrections == []
    assert harness.time.quality.source is TimeSource.CSMS


def test_without_heartbeat_among_the_time_sources_the_clock_stays() -> None:
    harness = TimeHarness()
    harness.settings.override(ClockSettings.time_source, ("NTP",))
    harness.receive_time(3_600.0)
    assert harness.clock.now() == NOON
    assert harness.corrections == []


def test_a_simulated_clock_that_departs_from_real_time_does_not_follow() -> None:
    harness = TimeHarness(synchronized=False)
    harness.receive_time(3_600.0)
    assert harness.clock.now() == NOON
    assert harness.corrections == []
