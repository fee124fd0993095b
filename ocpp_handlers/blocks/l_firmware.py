"""Block L: starts firmware updates, and reports their statuses in order (L01, L02)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import parse_date_time, parse_integer
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.maintenance.firmware.state import FirmwareStatus, UpdateOrder
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.maintenance.firmware.firmware import FirmwareUpdates as StationFirmware
    from station.maintenance.firmware.record import EnteredStatus

_log = logging.getLogger(__name__)

_RETRY_S = 10.0
_MAX_ATTEMPTS = 3
"""attempts to send a status; then the next status is sent"""
_LONGEST_INFO = 512
"""characters of additionalInfo (StatusInfoType)"""


class FirmwareBlock:
    """Handles UpdateFirmware, and sends FirmwareStatusNotifications."""

    def __init__(self, link: Link, firmware: StationFirmware, clock: Clock) -> None:
        self._link = link
        self._firmware = firmware
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Register the handler of UpdateFirmware."""
        handlers.on(actions.UPDATE_FIRMWARE, self.update_firmware)

    async def update_firmware(self, request: m.UpdateFirmwareRequest) -> HandlerResult[m.UpdateFirmwareResponse]:
        """Accept or reject an update; it starts after the response (L01.FR.21, L01.FR.22, L01.FR.24, L01.FR.27)."""
        try:
            verdict = await self._firmware.order(_order(request))
        except StorageError as error:
            _log.error("the firmware update is rejected because its order could not be stored: %s", error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})
        answer: m.UpdateFirmwareResponse = {"status": verdict.status.value}
        if verdict.reason_code is not None:
            answer["statusInfo"] = {"reasonCode": verdict.reason_code}
            if verdict.info:
                answer["statusInfo"]["additionalInfo"] = verdict.info[:_LONGEST_INFO]
        return HandlerResult(answer, verdict.follow_up)

    async def report(self) -> None:
        """Send the recorded statuses that are unreported, in order, until the link ends (L01.FR.01, L01.FR.10).

        A status is marked as reported when answered, refused for good, or unanswered three times.

        Raises:
            LinkLostError: the session has ended; the status is sent again on the next link.
        """
        record = self._firmware.record
        while True:
            try:
                entered = await record.oldest_unreported()
                if entered is None:
                    await record.wait()
                    continue
                await self._send_status(entered)
                await record.mark_reported(entered)
            except StorageError as error:
                _log.error("firmware update statuses cannot be read or stored: %s; trying again", error)
                await self._clock.sleep(_RETRY_S)

    async def _send_status(self, entered: EnteredStatus) -> None:
        self._firmware.record.last_sent = entered
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                await self._send(entered.status.value, entered.request_id)
            except LinkLostError:
                raise
            except NoAnswerError as error:
                _log.warning("firmware update status %s was not accepted by the CSMS: %s", entered.status, error)
                if isinstance(error, CallRefusedError) or attempt == _MAX_ATTEMPTS:
                    return  # a status that is refused for good (NotImplemented, for example) would be refused again
                await self._clock.sleep(_RETRY_S)
            else:
                return

    def trigger(self) -> TriggerResult:
        """Return Accepted and the follow-up that sends the last status again (L01.FR.25, L01.FR.26, F06.FR.16).

        It sends Idle after Installed, or if there was no status. Sends nothing itself.
        """

        async def report() -> None:
            last = self._firmware.record.last_sent
            if last is None or last.status is FirmwareStatus.INSTALLED:
                await self._link.call(actions.FIRMWARE_STATUS_NOTIFICATION, {"status": "Idle"}, requested=True)
            else:
                await self._send(last.status.value, last.request_id, requested=True)

        return "Accepted", report

    async def _send(self, status: m.FirmwareStatusEnumType, request_id: int, *, requested: bool = False) -> None:
        notification: m.FirmwareStatusNotificationRequest = {"status": status, "requestId": request_id}
        await self._link.notify(actions.FIRMWARE_STATUS_NOTIFICATION, notification, requested=requested)


def _order(request: m.UpdateFirmwareRequest) -> UpdateOrder:
    """Translate an UpdateFirmwareRequest; an empty certificate or signature counts as absent."""
    firmware = request["firmware"]
    install_at = firmware.get("installDateTime")
    retries, interval_s = request.get("retries"), request.get("retryInterval")
    return UpdateOrder(
        request_id=parse_integer(request["requestId"], "requestId"),
        location=firmware["location"],
        retrieve_at=parse_date_time(firmware["retrieveDateTime"], "retrieveDateTime"),
        install_at=parse_date_time(install_at, "installDateTime") if install_at is not None else None,
        signing_certificate=firmware.get("signingCertificate") or None,
        signature=firmware.get("signature") or None,
        retries=parse_integer(retries, "retries") if retries is not None else None,
        retry_interval_s=parse_integer(interval_s, "retryInterval") if interval_s is not None else None,
    )
