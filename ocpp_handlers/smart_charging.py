"""Block K, smart charging: charging profiles come and go (K01, K10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from energy.charging_profile import Purpose
from energy.profile_store import Criteria
from ocpp_handlers import actions
from ocpp_handlers.session import Answer, Handlers
from ocpp_handlers.translate import profile_from_wire, whole

if TYPE_CHECKING:
    from ocpp_handlers import messages as m
    from station.charging_station import ChargingStation
    from station.profiles import Profiles


class SmartCharging:
    """Installs and clears profiles. What they mean, the energy room decides."""

    def __init__(self, station: ChargingStation, profiles: Profiles, changed: Callable[[], None]) -> None:
        self._station = station
        self._profiles = profiles
        self._changed = changed

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.SET_CHARGING_PROFILE, self.set_charging_profile)
        handlers.on(actions.CLEAR_CHARGING_PROFILE, self.clear_charging_profile)

    async def set_charging_profile(self, request: m.SetChargingProfileRequest) -> Answer[m.SetChargingProfileResponse]:
        """K01.FR.04, K01.FR.05, K01.FR.07 and the refusals of profile_store."""
        if not self._station.settings.smart_charging_enabled:
            return _rejected("NotEnabled", "smart charging is switched off")
        evse_id = whole(request["evseId"], "evseId")
        profile = profile_from_wire(request["chargingProfile"], evse_id)
        if len(request["chargingProfile"]["chargingSchedule"]) > 1:  # K01.FR.34
            return _rejected("InvalidSchedule", "more than one chargingSchedule needs ISO 15118")
        evse = self._station.evses.get(evse_id)
        refusal = self._profiles.refusal(profile, evse.transaction_id if evse is not None else None)
        if refusal is not None:
            return _rejected(refusal.reason_code, refusal.sentence)
        await self._profiles.install(profile)
        self._changed()
        return Answer({"status": "Accepted"})

    async def clear_charging_profile(
        self, request: m.ClearChargingProfileRequest
    ) -> Answer[m.ClearChargingProfileResponse]:
        """K10.FR.01, K10.FR.03, K10.FR.04, K10.FR.05."""
        wanted = request.get("chargingProfileCriteria", {})
        purpose = wanted.get("chargingProfilePurpose")
        criteria = Criteria(
            profile_id=request.get("chargingProfileId"),
            evse_id=wanted.get("evseId"),
            purpose=Purpose(purpose) if purpose is not None else None,
            stack_level=wanted.get("stackLevel"),
        )
        cleared = await self._profiles.clear(criteria)
        self._changed()
        return Answer({"status": "Accepted" if cleared else "Unknown"})


def _rejected(reason_code: str, info: str) -> Answer[m.SetChargingProfileResponse]:
    return Answer({"status": "Rejected", "statusInfo": {"reasonCode": reason_code, "additionalInfo": info[:512]}})
