"""Block K: reports limits from other sources than the CSMS, and their end (K11, K12, K13)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate.charging_profiles import schedule_to_wire
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError

if TYPE_CHECKING:
    from energy.charging_profile import ChargingLimitSource, ChargingProfile
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.load.external_limits import ExternalLimits
    from station.load.smart_charging_settings import SmartChargingSettings

_log = logging.getLogger(__name__)

_RETRY_S = 10.0
_LONGEST_RETRY_S = 600.0


class ExternalLimitReports:
    """Reports limits of other sources than the CSMS: NotifyChargingLimit, ClearedChargingLimit (K11, K12, K13).

    Each significant change is reported, including those made while offline.
    """

    def __init__(self, link: Link, limits: ExternalLimits, settings: SmartChargingSettings, clock: Clock) -> None:
        self._link = link
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._reported: dict[ChargingLimitSource, list[ChargingProfile]] = {}
        self._delays = repetition_delays()
        """delays before the remaining repetitions of a report that was refused temporarily, in seconds"""
        self._refusal_codes: dict[str, str] = {}
        """the error code with which the CSMS refused the last message, by its action"""

    def forget_reported(self) -> None:
        """Forget which limits the CSMS knows, so that `report` sends all again (B10.FR.10, K11.FR.02).

        Called when the CSMS may be another one than before; sends nothing.
        """
        self._reported.clear()

    async def report(self) -> None:
        """Send each limit or end of a limit that the CSMS does not know, until the link ends.

        Raises:
            LinkLostError: the session has ended.
        """
        attempts = 0
        self._delays = repetition_delays()
        while True:
            count_before = self._limits.changed.count
            try:
                reported = await self._report_next()
            except CallTimeoutError as error:  # may not have arrived: send the then current one (K12.FR.02)
                attempts += 1
                _log.warning("a charging limit was not reported to the CSMS and will be sent again: %s", error)
                delay_s = min(_RETRY_S * attempts, _LONGEST_RETRY_S)
                await self._limits.changed.wait_for(count_before, self._clock, delay_s)
                continue
            attempts = 0
            if not reported:
                await self._limits.changed.wait(count_before)

    async def _report_next(self) -> bool:
        """Send the next limit or end of a limit that the CSMS does not know; returns whether there was one.

        Raises:
            LinkLostError: the session has ended.
            CallTimeoutError: the CSMS has not answered; the report may or may not have arrived.
        """
        now = self._limits.all()
        for source in self._limits.announced - now.keys():
            if await self._call_cleared(source):
                self._reported.pop(source, None)
                await self._limits.note_announced(source, limits=False)
            return True
        for source, profiles in now.items():
            reported = self._reported.get(source)
            if reported is not None and not self._limits_differ(reported, profiles):
                continue
            # Stored first: after a power cut in between, the end of a limit that the CSMS may know is reported.
            await self._limits.note_announced(source, limits=True)
            if await self._call_notify(source, profiles):
                self._reported[source] = profiles
            return True
        return False

    def _limits_differ(self, reported: list[ChargingProfile], now: list[ChargingProfile]) -> bool:
        if [profile.id for profile in reported] != [profile.id for profile in now]:
            return True
        return any(self._limit_differs(before, after) for before, after in zip(reported, now, strict=True))

    def _limit_differs(self, reported: ChargingProfile, now: ChargingProfile) -> bool:
        """Return whether a limit has changed by more than LimitChangeSignificance (K11.FR.02, K12.FR.02, SC.03)."""
        if reported == now:
            return False
        before, after = reported.schedule, now.schedule
        alike = (before.duration_s is None) == (after.duration_s is None) and [
            period.start_s for period in before.periods
        ] == [period.start_s for period in after.periods]
        if not alike:
            return True
        if self._settings.notify_charging_limit_with_schedules and reported.valid_to != now.valid_to:
            return True
        share = self._settings.limit_change_significance_percent / 100.0
        limits = zip(before.periods, after.periods, strict=True)
        return any(abs(new.limit - old.limit) > share * old.limit for old, new in limits)

    async def _call_notify(self, source: ChargingLimitSource, profiles: list[ChargingProfile]) -> bool:
        """Report a limit; returns whether it was accepted or refused for good. If not, report it again."""
        limit: m.ChargingLimitType = {"chargingLimitSource": source.value}
        if any(profile.grid_critical for profile in profiles):
            limit["isGridCritical"] = True
        request: m.NotifyChargingLimitRequest = {"chargingLimit": limit}
        if self._settings.notify_charging_limit_with_schedules:  # K11.FR.03, K12.FR.03
            request["chargingSchedule"] = [schedule_to_wire(profile.schedule) for profile in profiles]
        count_before = self._limits.changed.count
        try:
            await self._link.call(actions.NOTIFY_CHARGING_LIMIT, request)
        except CallRefusedError as error:
            self._log_refusal("NotifyChargingLimit", source, error)
            return not await self._wait_for_repetition(error, count_before)
        self._refusal_codes.pop("NotifyChargingLimit", None)
        self._delays = repetition_delays()
        return True

    async def _call_cleared(self, source: ChargingLimitSource) -> bool:
        """Report the end of a limit; returns whether it was accepted or refused for good."""
        count_before = self._limits.changed.count
        try:
            await self._link.call(actions.CLEARED_CHARGING_LIMIT, {"chargingLimitSource": source.value})  # K13.FR.02
        except CallRefusedError as error:
            self._log_refusal("ClearedChargingLimit", source, error)
            return not await self._wait_for_repetition(error, count_before)
        self._refusal_codes.pop("ClearedChargingLimit", None)
        self._delays = repetition_delays()
        return True

    async def _wait_for_repetition(self, error: CallRefusedError, count_before: int) -> bool:
        """Wait before a refused report is sent again, or until a limit changes; returns False if it is not."""
        delay_s = next(self._delays, None) if error.temporary else None
        if delay_s is None:
            return False
        await self._limits.changed.wait_for(count_before, self._clock, delay_s)
        return True

    def _log_refusal(self, action: str, source: ChargingLimitSource, error: CallRefusedError) -> None:
        """Log a refusal as a warning; as debug if the last one had the same code: the CSMS may refuse every limit."""
        level = logging.DEBUG if self._refusal_codes.get(action) == error.code else logging.WARNING
        self._refusal_codes[action] = error.code
        _log.log(level, "the CSMS refused %s for source %s: %s", action, source, error)
