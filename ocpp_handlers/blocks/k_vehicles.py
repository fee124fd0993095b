"""Blocks K and M: what vehicles that communicate tell and ask the CSMS (K15 to K17, M01, M02)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocpp_handlers.translate.charging_profiles import schedule_to_wire
from ocpp_handlers.wire import actions, timestamps
from station.core.csms import NeedsStatus
from station.core.vehicle_link import CertificateResponse, EnergyTransferMode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from energy.charging_profile import Schedule
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.core.vehicle_link import CertificateRequested, ChargingNeeds

_MODES: Final[Mapping[EnergyTransferMode, m.EnergyTransferModeEnumType]] = {
    EnergyTransferMode.AC_SINGLE_PHASE: "AC_single_phase",
    EnergyTransferMode.AC_TWO_PHASE: "AC_two_phase",
    EnergyTransferMode.AC_THREE_PHASE: "AC_three_phase",
}
_MAX_SCHEDULE_PERIODS: Final = 1024
"""periods of chargingSchedule (its schema)"""


class VehicleBlock:
    """Sends NotifyEVChargingNeeds, NotifyEVChargingSchedule, Get15118EVCertificate (`core.csms.VehicleCsms`)."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def online(self) -> bool:
        """Whether the websocket is open and the CSMS has accepted the station."""
        return self._link.online

    async def notify_needs(self, evse_id: int, needs: ChargingNeeds, departs_at: datetime | None) -> NeedsStatus:
        """Send NotifyEVChargingNeeds (K15.FR.01, K15.FR.06); whole numbers: current up for the minimum, else down.

        Raises:
            NoAnswerError: there is no answer of the CSMS.
        """
        charging_needs: m.ChargingNeedsType = {
            "requestedEnergyTransfer": _MODES[needs.mode],
            "acChargingParameters": {
                "energyAmount": round(needs.energy_wh),
                "evMinCurrent": -int(-needs.min_current_a // 1),
                "evMaxCurrent": int(needs.max_current_a),
                "evMaxVoltage": int(needs.max_voltage_v),
            },
        }
        if departs_at is not None:
            charging_needs["departureTime"] = timestamps.encode(departs_at)
        request: m.NotifyEVChargingNeedsRequest = {"evseId": evse_id, "chargingNeeds": charging_needs}
        if needs.max_periods is not None:
            request["maxScheduleTuples"] = needs.max_periods
        response = await self._link.call(actions.NOTIFY_EV_CHARGING_NEEDS, request)
        return NeedsStatus(response["status"])

    async def notify_schedule(self, evse_id: int, begin: datetime, schedule: Schedule) -> bool:
        """Send NotifyEVChargingSchedule (K15.FR.10, K15.FR.19); returns whether the CSMS accepts it.

        Raises:
            NoAnswerError: there is no answer of the CSMS.
        """
        wire = schedule_to_wire(schedule)
        wire["chargingSchedulePeriod"] = wire["chargingSchedulePeriod"][:_MAX_SCHEDULE_PERIODS]
        response = await self._link.call(
            actions.NOTIFY_EV_CHARGING_SCHEDULE,
            {"timeBase": timestamps.encode(begin), "evseId": evse_id, "chargingSchedule": wire},
        )
        return response["status"] == "Accepted"

    async def request_certificate(self, request: CertificateRequested, /) -> CertificateResponse:
        """Send Get15118EVCertificate with the request of a vehicle, unchanged (M01.FR.01, M02.FR.01).

        Raises:
            NoAnswerError: there is no answer of the CSMS.
        """

        response = await self._link.call(
            actions.GET_15118_EV_CERTIFICATE,
            {
                "iso15118SchemaVersion": request.schema_version,
                "action": request.action.value,
                "exiRequest": request.exi_request,
            },
        )
        return CertificateResponse(response["status"] == "Accepted", response.get("exiResponse", ""))
