"""What happens on the link becomes a security event, and a CSMS that sends nonsense does not fill the security log."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from foundation.supervision import FollowUp, FollowUpTasks
from ocpp_handlers.blocks.a_security_events import LinkSecurityReports, SecurityEventDelivery
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.wire.call_errors import InvalidRequestError, LinkLostError
from station.core.clock_settings import ClockSettings
from station.security.security_events import SecurityEvent, SecurityEvents, SecurityEventType
from tests import fakes


class ReportsHarness:
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

    async def completed_log(self) -> list[tuple[SecurityEventType, str]]:
        """The security log, once all follow-up tasks are done."""
        for follow_up in self._follow_ups:
            await follow_up()
        self._follow_ups.clear()
        return self.log


async def test_invalid_messages_are_reported_once_a_minute_with_the_reason() -> None:
    reported = ReportsHarness()
    for why in ("no JSON", "again", "and again"):
        reported.reports.report_invalid_message(why)
    assert await reported.completed_log() == [(SecurityEventType.INVALID_MESSAGES, "no JSON")]
    await reported.clock.advance(59.0)
    reported.reports.report_invalid_message("too soon")
    await reported.clock.advance(1.0)
    reported.reports.report_invalid_message("a minute later")
    assert [info for _, info in await reported.completed_log()] == ["no JSON", "a minute later"]


@pytest.mark.parametrize(("correction_s", "info"), [(20.0, None), (20.5, "+20.5 s"), (-3_600.0, "-3600.0 s")])
async def test_a_correction_of_the_clock_beyond_the_threshold_is_reported(
    correction_s: float, info: str | None
) -> None:
    """ClockCtrlr.TimeAdjustmentReportingThreshold."""
    reported = ReportsHarness()
    reported.settings.override(ClockSettings.time_adjustment_reporting_threshold_s, 20)
    reported.reports.report_clock_correction(timedelta(seconds=correction_s))
    assert await reported.completed_log() == ([] if info is None else [(SecurityEventType.SETTING_SYSTEM_TIME, info)])


class DeliveryHarness:
    """Security events that wait, and a link that refuses some of them as invalid."""

    def __init__(self, *infos: str) -> None:
        self.clock = fakes.clock()
        self.waiting = [
            SecurityEvent(number, SecurityEventType.INVALID_MESSAGES, self.clock.now(), info, to_tell=True)
            for number, info in enumerate(infos)
        ]
        self.sent: list[str] = []
        self.settled: list[str] = []
        events, link = cast("SecurityEvents", self), cast("Link", self)
        self.delivery = SecurityEventDelivery(events, link, CsmsLinkSettings(), self.clock)

    async def oldest(self) -> SecurityEvent | None:
        return self.waiting[0] if self.waiting else None

    async def wait(self) -> None:
        raise LinkLostError("the connection to the CSMS ended")

    async def settle(self, event: SecurityEvent) -> None:
        self.settled.append(event.info)
        self.waiting.remove(event)

    async def call(self, _: object, request: dict[str, str]) -> dict[str, str]:
        self.sent.append(info := request.get("techInfo", "-"))
        if info in {"invalid", "all invalid"} or (info == "-" and self.waiting[0].info == "all invalid"):
            raise InvalidRequestError("PropertyConstraintViolation", "SecurityEventNotification was not sent")
        return {}


async def test_an_event_whose_details_are_not_valid_is_sent_without_them() -> None:
    """A04.FR.02: its delivery is guaranteed."""
    queued = DeliveryHarness("first", "invalid", "last")
    with pytest.raises(LinkLostError):
        await queued.delivery.run()
    assert queued.sent == ["first", "invalid", "-", "last"]
    assert queued.settled == ["first", "invalid", "last"]


async def test_an_event_that_is_not_valid_is_only_in_the_security_log_and_keeps_no_other_from_the_csms() -> None:
    queued = DeliveryHarness("first", "all invalid", "last")
    with pytest.raises(LinkLostError):
        await queued.delivery.run()
    assert queued.sent == ["first", "all invalid", "-", "last"]
    assert queued.settled == ["first", "all invalid", "last"]
