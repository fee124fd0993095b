"""What happens on the link becomes a security event, and a CSMS that sends nonsense does not fill the security log."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from foundation.supervision import FollowUp, FollowUpTasks
from ocpp_handlers.blocks.a_security_events import LinkSecurityReports
from station.core.clock_settings import ClockSettings
from station.security.security_events import SecurityEvents, SecurityEventType
from tests import fakes


class Reported:
    """Reports, whose follow-up tasks wait until they are done."""

    def __init__(self) -> None:
        self.clock = fakes.clock()
        self.settings = ClockSettings()
        self.log: list[tuple[SecurityEventType, str]] = []
        self._follow_ups: list[FollowUp] = []
        events, follow_ups = cast("SecurityEvents", self), cast("FollowUpTasks", self)
        self.reports = LinkSecurityReports(events, follow_ups, self.settings, self.clock)

    def submit(self, name: str, follow_up: FollowUp) -> bool:
        del name
        self._follow_ups.append(follow_up)
        return True

    async def report(self, kind: SecurityEventType, info: str) -> None:
        self.log.append((kind, info))

    async def done(self) -> list[tuple[SecurityEventType, str]]:
        """The security log, once all follow-up tasks are done."""
        for follow_up in self._follow_ups:
            await follow_up()
        self._follow_ups.clear()
        return self.log


async def test_invalid_messages_are_reported_once_a_minute_with_the_reason() -> None:
    it = Reported()
    for why in ("no JSON", "again", "and again"):
        it.reports.report_invalid_message(why)
    assert await it.done() == [(SecurityEventType.INVALID_MESSAGES, "no JSON")]
    await it.clock.advance(59.0)
    it.reports.report_invalid_message("too soon")
    await it.clock.advance(1.0)
    it.reports.report_invalid_message("a minute later")
    assert [info for _, info in await it.done()] == ["no JSON", "a minute later"]


@pytest.mark.parametrize(("correction_s", "info"), [(20.0, None), (20.5, "+20.5 s"), (-3_600.0, "-3600.0 s")])
async def test_a_correction_of_the_clock_beyond_the_threshold_is_reported(
    correction_s: float, info: str | None
) -> None:
    """ClockCtrlr.TimeAdjustmentReportingThreshold."""
    it = Reported()
    it.settings.override(ClockSettings.time_adjustment_reporting_threshold_s, 20)
    it.reports.report_clock_correction(timedelta(seconds=correction_s))
    assert await it.done() == ([] if info is None else [(SecurityEventType.SETTING_SYSTEM_TIME, info)])
