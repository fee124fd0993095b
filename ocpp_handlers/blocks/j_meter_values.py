"""Block J: sends clock-aligned samples of an EVSE without a transaction (J01), and values on request (F06)."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import meter_value_to_wire
from ocpp_handlers.wire import actions
from station.charging.evse_state import all_faults
from station.core.model import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.supervision import FollowUpTasks
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.charging.sampling_settings import SamplingSettings
    from station.core.sampling import MeterValue

_log = logging.getLogger(__name__)

MAX_WAITING = 2
"""queued samples of an EVSE while the CSMS does not answer, so that transaction events and requested messages are not
delayed"""


class MeterValueBlock:
    """Sends MeterValues: clock-aligned samples of EVSEs without a transaction, and the latest values when triggered."""

    def __init__(
        self, link: Link, station: ChargingStation, follow_ups: FollowUpTasks, settings: SamplingSettings
    ) -> None:
        self._link = link
        self._station = station
        self._follow_ups = follow_ups
        self._settings = settings
        self._waiting: Counter[int] = Counter()

    def report(self, evse_id: int, value: MeterValue) -> None:
        """Start a task that sends a clock-aligned sample of an EVSE (J01.FR.02, J01.FR.14); returns at once.

        Dropped if offline or if too many samples of the EVSE are queued: these values are not used for billing.
        """
        if not self._link.online:
            return
        if self._waiting[evse_id] >= MAX_WAITING:
            _log.debug("MeterValues of EVSE %d are dropped: too many are still queued", evse_id)
            return

        async def send() -> None:
            try:
                await self._send(evse_id, value)
            finally:
                self._waiting[evse_id] -= 1

        if self._follow_ups.submit("MeterValues", send):
            self._waiting[evse_id] += 1

    def trigger(self, evses: Sequence[Evse]) -> TriggerResult:
        """Return the status and the follow-up that sends the AlignedDataMeasurands of these EVSEs (F06.FR.06).

        For TriggerMessage; Rejected if no meter works or no measurand is configured. Sends nothing itself.
        """
        metered = [evse for evse in evses if Fault.METER not in all_faults(evse.state)]
        if not metered or not self._settings.aligned_measurands:
            return "Rejected", None  # F06.FR.10: nothing could be sent

        async def report() -> None:
            """Send the most recent values of the AlignedDataMeasurands (F06.FR.06)."""
            for evse in metered:
                if (value := await self._station.assemblies[evse.id].sampler.take_aligned_sample()) is not None:
                    await self._send(evse.id, value, requested=True)

        return "Accepted", report

    async def _send(self, evse_id: int, value: MeterValue, *, requested: bool = False) -> None:
        """Send samples of an EVSE.

        Raises:
            NoAnswerError: they did not arrive.
        """
        request: m.MeterValuesRequest = {"evseId": evse_id, "meterValue": [meter_value_to_wire(value)]}
        await self._link.call(actions.METER_VALUES, request, requested=requested)
