"""Block K: installs, reports and clears charging profiles; reports composite schedules (K01, K08, K09, K10)."""

from __future__ import annotations

import logging
from itertools import groupby
from typing import TYPE_CHECKING, Final

from energy.charging_profile import ChargingLimitSource, Purpose, RateUnit
from energy.profile_store import ProfileCriteria, ProfileRefusal
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate.charging_profiles import (
    composite_to_wire,
    profile_from_wire,
    profile_to_wire,
    unsupported_feature,
)
from ocpp_handlers.translate.pending_reports import PendingReports
from ocpp_handlers.translate.translate import parse_integer
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError
from ocpp_handlers.wire.session import HandlerResult, Handlers, PayloadError
from station.core.csms import NoAnswerError
from station.storage.database import StorageError
from station.storage.set_aside_rows import CHARGING_PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from energy.charging_profile import ChargingProfile
    from foundation.clock import Clock
    from foundation.supervision import FollowUp
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.charging_station import ChargingStation
    from station.load.load_management import LoadManagement
    from station.load.smart_charging_settings import SmartChargingSettings
    from station.storage.set_aside_rows import SetAsideRows
    from station.vehicle.vehicles import Vehicles

_log = logging.getLogger(__name__)

_PERIODS_PER_REPORT = 200
"""periods in one ReportChargingProfilesRequest, or one profile: some 12 kB"""
_BYTES_PER_PERIOD = 60
"""size of a period in JSON; a salesTariff counts as the number of periods of the same size"""
_PURPOSES: Final = {purpose.value: purpose for purpose in Purpose}
"""by name: those that the station supports, of OCPP 2.1 without PriorityCharging and LocalGeneration"""
MAX_AT_ONCE = 4
"""pending reports; a further request is answered with NoProfiles"""


class SmartCharging:
    """Handles Set-, Get- and ClearChargingProfile(s) and GetCompositeSchedule.

    Profiles are kept in the profile store of load management, which decides how they limit the current.
    """

    def __init__(
        self,
        link: Link,
        station: ChargingStation,
        load: LoadManagement,
        vehicles: Vehicles,
        settings: SmartChargingSettings,
        set_aside_rows: SetAsideRows,
        clock: Clock,
    ) -> None:
        """`set_aside_rows`: profiles that a safe start has set aside, which the CSMS may clear too."""
        self._link = link
        self._station = station
        self._vehicles = vehicles
        self._schedules = load.schedules
        self._clock = clock
        self._profiles = load.profiles
        self._settings = settings
        self._set_aside_rows = set_aside_rows
        self._pending_reports = PendingReports(MAX_AT_ONCE)

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of Set-, Get- and ClearChargingProfile(s) and GetCompositeSchedule."""
        handlers.on(actions.SET_CHARGING_PROFILE, self.set_charging_profile)
        handlers.on(actions.GET_CHARGING_PROFILES, self.get_charging_profiles)
        handlers.on(actions.GET_COMPOSITE_SCHEDULE, self.get_composite_schedule)
        handlers.on(actions.CLEAR_CHARGING_PROFILE, self.clear_charging_profile)

    async def set_charging_profile(
        self, request: m.SetChargingProfileRequest
    ) -> HandlerResult[m.SetChargingProfileResponse]:
        """Check, store and apply a charging profile; Rejected by the rules of energy.profile_store.

        K01.FR.04, K01.FR.05, K01.FR.07, K01.FR.32.

        Raises:
            PayloadError: smart charging is disabled, or a field is malformed.
        """
        self._check_enabled()
        if (unsupported := unsupported_feature(request["chargingProfile"])) is not None:
            return HandlerResult({"status": "Rejected", "statusInfo": status_info(unsupported)})
        evse_id = parse_integer(request["evseId"], "evseId")
        profile = self._profiles.apply_tolerances(profile_from_wire(request["chargingProfile"], evse_id))
        evse = self._station.evses.get(evse_id)
        refusal = self._profiles.refusal(profile, evse.transaction_id if evse is not None else None)
        if refusal is None and profile.purpose is Purpose.TX:
            refusal = self._vehicles.profile_refusal(evse_id)  # K15.FR.17
        if refusal is not None:
            return HandlerResult({"status": "Rejected", "statusInfo": status_info(refusal)})
        try:
            await self._profiles.install(profile)
        except StorageError as error:  # K01.FR.27
            _log.error("charging profile %d could not be stored: %s", profile.id, error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})
        return HandlerResult({"status": "Accepted"})

    async def get_composite_schedule(
        self, request: m.GetCompositeScheduleRequest
    ) -> HandlerResult[m.GetCompositeScheduleResponse]:
        """Answer GetCompositeSchedule with the schedule expected from all current limits (K08).

        Raises:
            PayloadError: smart charging is disabled.
        """
        self._check_enabled()
        evse_id, duration_s = parse_integer(request["evseId"], "evseId"), parse_integer(request["duration"], "duration")
        unit = request.get("chargingRateUnit")
        rate_unit = RateUnit(unit) if unit is not None else None
        expected = self._schedules.expected(evse_id, duration_s, rate_unit)
        if isinstance(expected, ProfileRefusal):
            return HandlerResult({"status": "Rejected", "statusInfo": status_info(expected)})
        schedule = composite_to_wire(evse_id, expected.begin, duration_s, expected.unit, expected.levels)
        return HandlerResult({"status": "Accepted", "schedule": schedule})

    async def get_charging_profiles(
        self, request: m.GetChargingProfilesRequest
    ) -> HandlerResult[m.GetChargingProfilesResponse]:
        """Answer GetChargingProfiles; follow-up: send ReportChargingProfiles (K09).

        NoProfiles if none matches, before the CSMS has accepted the station, or with too many pending reports.

        Raises:
            PayloadError: smart charging is disabled.
        """
        self._check_enabled()
        criterion = request["chargingProfile"]
        purpose, ids, sources = (
            criterion.get("chargingProfilePurpose"),
            criterion.get("chargingProfileId"),
            criterion.get("chargingLimitSource"),
        )
        criteria = ProfileCriteria(
            evse_id=request.get("evseId"),  # K09.FR.04, K09.FR.05, K09.FR.06
            purpose=_PURPOSES.get(purpose) if purpose is not None else None,
            stack_level=criterion.get("stackLevel"),
            profile_ids=frozenset(ids) if ids is not None else None,
            sources=_known_sources(sources) if sources is not None else None,
        )
        found = self._profiles.store.matching(criteria) if purpose is None or purpose in _PURPOSES else []
        if not found:
            return HandlerResult({"status": "NoProfiles"})
        if not self._link.accepted:  # they could not be reported (B02.FR.02)
            return HandlerResult({"status": "NoProfiles", "statusInfo": {"reasonCode": "CSNotAccepted"}})
        if self._pending_reports.is_full:
            return HandlerResult({"status": "NoProfiles", "statusInfo": {"reasonCode": "OutOfMemory"}})
        report = self._report(parse_integer(request["requestId"], "requestId"), found)
        return self._pending_reports.response_with_report({"status": "Accepted"}, report)

    async def clear_charging_profile(
        self, request: m.ClearChargingProfileRequest
    ) -> HandlerResult[m.ClearChargingProfileResponse]:
        """Delete the matching charging profiles; Unknown if none matches.

        K10.FR.01, K10.FR.03, K10.FR.04, K10.FR.05, K10.FR.07. A profile that is set aside is deleted by its id, and
        together with all others; criteria do not find it, since it is not read.

        Raises:
            PayloadError: smart charging is disabled.
        """
        self._check_enabled()
        identity = request.get("chargingProfileId")
        if identity is not None:
            criteria = ProfileCriteria(profile_ids=(identity,))
        else:
            criterion = request.get("chargingProfileCriteria", {})
            purpose = criterion.get("chargingProfilePurpose")
            if purpose is not None and purpose not in _PURPOSES:
                return HandlerResult({"status": "Unknown"})
            criteria = ProfileCriteria(
                evse_id=criterion.get("evseId"),
                purpose=_PURPOSES[purpose] if purpose is not None else None,
                stack_level=criterion.get("stackLevel"),
            )
        cleared = await self._profiles.clear(criteria) > 0
        cleared |= await self._clear_set_aside(identity, criteria)
        return HandlerResult({"status": "Accepted" if cleared else "Unknown"})

    async def _clear_set_aside(self, identity: int | None, criteria: ProfileCriteria) -> bool:
        """Delete profiles that a safe start has set aside; returns whether there was one.

        Raises:
            PayloadError: they cannot be deleted from disk, and are still there.
        """
        try:
            if identity is not None:
                return bool(await self._set_aside_rows.delete_ids(CHARGING_PROFILES, [identity]))
            return criteria == ProfileCriteria() and await self._set_aside_rows.delete([CHARGING_PROFILES]) > 0
        except StorageError as error:
            _log.error("charging profiles that are set aside could not be deleted: %s", error)
            raise PayloadError("InternalError", "the profiles could not be deleted from disk") from error

    def _check_enabled(self) -> None:
        """Raise unless smart charging is enabled (K01.FR.29).

        Raises:
            PayloadError: smart charging is switched off.
        """
        if not self._settings.smart_charging_enabled:
            raise PayloadError("NotSupported", "smart charging is disabled (SmartChargingCtrlr.Enabled)")

    def _report(self, request_id: int, profiles: list[ChargingProfile]) -> FollowUp:
        async def send() -> None:
            """Send the report (K09.FR.01, K09.FR.02)."""
            try:
                parts, delays = list(_parts(profiles)), repetition_delays()
                for number, part in enumerate(parts, start=1):
                    report: m.ReportChargingProfilesRequest = {
                        "requestId": request_id,
                        "chargingLimitSource": part[0].source.value,
                        "evseId": part[0].evse_id,
                        "tbc": number < len(parts),
                        "chargingProfile": [profile_to_wire(profile) for profile in part],
                    }
                    try:
                        await self._link.notify(actions.REPORT_CHARGING_PROFILES, report, delays=delays)
                    except CallRefusedError as error:  # the CSMS may still accept the next part
                        _log.warning(
                            "the CSMS refused part %d of charging profile report %d: %s", number, request_id, error
                        )
            except NoAnswerError as error:
                _log.warning("charging profile report %d was not sent completely: %s", request_id, error)

        return send


def _known_sources(names: Iterable[str]) -> frozenset[ChargingLimitSource]:
    """The sources with these names; OCPP 2.1 allows any name, and the station has no profile of another source."""
    return frozenset(source for source in ChargingLimitSource if source.value in set(names))


def status_info(refusal: ProfileRefusal) -> m.StatusInfoType:
    """Translate the refusal of a charging profile to StatusInfoType."""
    return {"reasonCode": refusal.reason_code, "additionalInfo": refusal.sentence[:512]}


def _parts(profiles: Iterable[ChargingProfile]) -> Iterator[list[ChargingProfile]]:
    """Split profiles into messages: each of one EVSE and one source, and of a limited number of periods."""
    ordered = sorted(profiles, key=lambda profile_key: (profile_key.evse_id, profile_key.source, profile_key.id))
    for _, group in groupby(ordered, key=lambda profile_key: (profile_key.evse_id, profile_key.source)):
        part: list[ChargingProfile] = []
        periods = 0
        for profile in group:
            size = len(profile.schedule.periods) + len(profile.schedule.sales_tariff or "") // _BYTES_PER_PERIOD
            periods += size
            if part and periods > _PERIODS_PER_REPORT:
                yield part
                part, periods = [], size
            part.append(profile)
        yield part
