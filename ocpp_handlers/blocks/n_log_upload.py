"""Block N: uploads a log file for the CSMS, and reports the status of the upload (N01)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ocpp_handlers.translate import translate
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError
from ocpp_handlers.wire.edition import V21
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.maintenance.logs.log_files import LogKind, LogPeriod
from station.maintenance.logs.upload import LogUploadOrder, LogUploads, UploadProgress, UploadStatus
from station.security.file_transfer.location import TransferError

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m

_log = logging.getLogger(__name__)

_KINDS: Final = {kind.value: kind for kind in LogKind}
"""by name: those that the station keeps, of OCPP 2.1 without DataCollectorLog"""
_LONGEST_NAME: Final = 255
"""characters of GetLogResponse.filename"""
_REPETITION_S = 10.0
_REPETITION_PERIOD_S = 3_600.0
"""how long the final status of an upload is repeated to a CSMS that does not answer"""


class LogUploadBlock:
    """Handles GetLog, and sends LogStatusNotifications of the uploads."""

    def __init__(self, link: Link, uploads: LogUploads, clock: Clock) -> None:
        self._link = link
        self._uploads = uploads
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Register the handler of GetLog."""
        handlers.on(actions.GET_LOG, self.get_log)

    async def get_log(self, request: m.GetLogRequest) -> HandlerResult[m.GetLogResponse]:
        """Accept or reject a log upload; follow-up: release it to start (N01.FR.01, N01.FR.05, N01.FR.12).

        AcceptedCanceled if it replaces an upload in progress. Rejected if the URL is unusable, too many are in
        progress, or the log has no entries of the period.
        """
        uploads, log = self._uploads, request["log"]
        if (kind := _KINDS.get(request["logType"])) is None:
            return _rejected("UnsupportedParam", f"logType {request['logType']} is not supported")
        span = LogPeriod(_optional_date_time(log, "oldestTimestamp"), _optional_date_time(log, "latestTimestamp"))
        order = LogUploadOrder(
            request_id=translate.parse_integer(request["requestId"], "requestId"),
            kind=kind,
            span=span,
            url=log["remoteLocation"],
            name=uploads.logs.name(kind),
            retries=_optional_count(request, "retries"),
            retry_interval_s=_optional_count(request, "retryInterval"),
            follow_redirects=not self._link.edition.includes(V21),  # N01.FR.30
        )
        try:
            file_name = uploads.location(order.url).file_name(order.name)
        except TransferError as error:
            return _rejected("InvalidURL", str(error))
        if uploads.is_full:
            return _rejected("OutOfMemory", "too many log uploads are in progress")
        if not await uploads.logs.has_entries(kind, span):
            return _rejected("NotFound", "the log has no entries in the requested period")
        canceled = uploads.accept(order)

        async def begin() -> None:
            order.answered.set()

        return HandlerResult(
            {"status": "AcceptedCanceled" if canceled else "Accepted", "filename": file_name[:_LONGEST_NAME]}, begin
        )

    def trigger(self) -> TriggerResult:
        """Return Accepted and the follow-up that sends a LogStatusNotification: Uploading or Idle.

        F06.FR.14, F06.FR.15, N01.FR.13.
        """

        async def report() -> None:
            notification: m.LogStatusNotificationRequest = {"status": "Idle"}
            if (request_id := self._uploads.uploading) is not None:
                notification = {"status": "Uploading", "requestId": request_id}
            await self._link.call(actions.LOG_STATUS_NOTIFICATION, notification, requested=True)

        return "Accepted", report

    async def run(self) -> None:
        """Send a LogStatusNotification for each status of an upload until cancelled; uploads do not wait for it."""
        while True:
            progress = await self._uploads.next_progress()
            await self._report(progress)
            await self._uploads.mark_reported(progress)

    async def _report(self, progress: UploadProgress) -> None:
        """Report a status of an upload, not again after a final refusal (N01.FR.07 to N01.FR.10, N01.FR.20).

        An upload does not wait for the link or for the acceptance of the station: GetLog does not allow sending before
        that (B02.FR.02). Its final status is repeated until the CSMS answers, for _REPETITION_PERIOD_S at most;
        Uploading is sent once, so that it does not delay the final one.
        """
        request_id, status = progress.request_id, progress.status
        final = status is not UploadStatus.UPLOADING
        given_up_s = self._clock.monotonic() + (_REPETITION_PERIOD_S if final else 0.0)
        notification: m.LogStatusNotificationRequest = {"status": status.value, "requestId": request_id}
        send = self._link.notify if final else self._link.call
        while True:
            try:
                await send(actions.LOG_STATUS_NOTIFICATION, notification)
                return
            except NoAnswerError as error:
                if isinstance(error, CallRefusedError) or self._clock.monotonic() >= given_up_s:
                    _log.warning(
                        "log upload %d: status %s could not be reported to the CSMS: %s", request_id, status, error
                    )
                    return
            await self._clock.sleep(_REPETITION_S)


def _rejected(reason: str, more: str) -> HandlerResult[m.GetLogResponse]:
    return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": reason, "additionalInfo": more[:512]}})


def _optional_date_time(log: m.LogParametersType, field: str) -> datetime | None:
    text = log.get(field)
    return translate.parse_date_time(str(text), field) if text is not None else None


def _optional_count(request: m.GetLogRequest, field: str) -> int | None:
    value = request.get(field)
    return max(0, translate.parse_integer(float(str(value)), field)) if value is not None else None
