"""Notifies the CSMS of needs and schedules of a vehicle, and passes on its requests for certificates (K15–K17, M01)."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Final

from station.core.csms import NeedsStatus, NoAnswerError
from station.core.vehicle_link import MAX_EXI_CHARACTERS, CertificateResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy.charging_profile import Schedule
    from foundation.clock import Clock
    from station.core.csms import VehicleCsms
    from station.core.vehicle_link import CertificateRequested, ChargingNeeds
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_CERTIFICATE_WAIT_S: Final = 4.5
"""the vehicle waits 5 s for its certificate (M01, remark)"""
_DELIVERY_WAIT_S: Final = 5.0
"""longest wait for the delivery of the events of a transaction"""


def is_base64(text: str) -> bool:
    """Return whether a text is base64 in the alphabet of OCPP's EXI fields."""
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


class VehicleNotices:
    """Sends the CSMS what it must know of vehicles; a CSMS that does not answer is logged, and holds up nothing."""

    def __init__(self, csms: Callable[[], VehicleCsms], outbox: Outbox, clock: Clock) -> None:
        """`csms` returns the CSMS of the present OCPP stack, which is built again after a failure."""
        self._csms = csms
        self._outbox = outbox
        self._clock = clock

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        return self._csms().online

    async def deliver_events(self) -> None:
        """Wait until the CSMS has the events of the transaction, so that it knows whose needs follow (K15.FR.16)."""
        await self._outbox.wait_delivered(within_s=_DELIVERY_WAIT_S)

    async def notify_needs(self, evse_id: int, needs: ChargingNeeds, departs_at: datetime | None) -> NeedsStatus | None:
        """Notify the CSMS of the needs of a vehicle (K15.FR.01); None: no answer."""
        try:
            return await self._csms().notify_needs(evse_id, needs, departs_at)
        except NoAnswerError as error:
            _log.warning("EVSE %d: the CSMS has not answered to the needs of the vehicle: %s", evse_id, error)
            return None

    async def notify_schedule(self, evse_id: int, begin: datetime, schedule: Schedule) -> None:
        """Notify the CSMS of the schedule by which a vehicle charges, if it is online (K15.FR.10).

        `begin`: from when its periods count.
        """
        if not self.online:
            return
        try:
            if not await self._csms().notify_schedule(evse_id, begin, schedule):
                _log.info("EVSE %d: the CSMS has rejected the schedule of the vehicle", evse_id)
        except NoAnswerError as error:
            _log.warning("EVSE %d: the CSMS does not know the schedule of the vehicle: %s", evse_id, error)

    async def request_certificate(self, evse_id: int, request: CertificateRequested) -> CertificateResponse:
        """Pass a request for a contract certificate on to the CSMS, unchanged; refuse it without an answer in time."""
        if len(request.exi_request) > MAX_EXI_CHARACTERS or not is_base64(request.exi_request):
            _log.warning("EVSE %d: the vehicle requests a certificate by a message that cannot be passed on", evse_id)
            return CertificateResponse(accepted=False)
        try:
            async with self._clock.timeout(_CERTIFICATE_WAIT_S):
                return await self._csms().request_certificate(request)
        except TimeoutError:
            _log.warning("EVSE %d: the CSMS has not sent the certificate of the vehicle in time", evse_id)
        except NoAnswerError as error:
            _log.warning("EVSE %d: the CSMS has sent no certificate for the vehicle: %s", evse_id, error)
        return CertificateResponse(accepted=False)
