"""Uploads of log files, one at a time: retried as ordered, cancelled by the next order (N01)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field

from foundation.frozen import Frozen
from foundation.supervision import result_or_exception
from foundation.waiting import WaitingQueue
from station.security.file_transfer.file_transfer import (
    FileLocation,
    TlsContextFactory,
    TransferError,
    TransferFailure,
    upload,
)
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.maintenance.logs.log_files import LogFiles, LogKind, LogPeriod
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

_OWN_RETRIES = 3
_OWN_RETRY_INTERVAL_S = 60
"""defaults if the CSMS specifies none"""
_SHORTEST_PAUSE_S = 1.0
"""minimum pause between attempts, also if the order has none"""
_ANSWER_TIMEOUT_S = 10.0
"""an upload starts after its response was sent, or after this time at the latest"""
MAX_ORDERS = 20
"""limit of pending orders and unreported statuses; further orders are rejected"""


class UploadStatus(StrEnum):
    """The status of a log upload for the CSMS (UploadLogStatusEnumType, without Idle)."""

    UPLOADING = "Uploading"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    ACCEPTED_CANCELED = "AcceptedCanceled"


_UPLOADING = UploadStatus.UPLOADING
_STATUSES = {
    TransferFailure.BAD_MESSAGE: UploadStatus.BAD_MESSAGE,
    TransferFailure.PERMISSION_DENIED: UploadStatus.PERMISSION_DENIED,
    TransferFailure.NOT_SUPPORTED: UploadStatus.NOT_SUPPORTED_OPERATION,
}


class UploadProgress(Frozen):
    """A status of a log upload, to be reported to the CSMS."""

    request_id: int
    status: UploadStatus


class LogUploadOrder(Frozen, eq=False):
    """A log upload that the CSMS has ordered (GetLogRequest), with the file name given in the response."""

    request_id: int
    kind: LogKind
    span: LogPeriod
    url: str
    name: str
    retries: int | None = None
    """attempts after the first one; None: the station's default, as the interval"""
    retry_interval_s: int | None = None
    follow_redirects: bool = True
    """whether it may go to where an HTTP server redirects it"""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """set by the follow-up when the response was sent; then the upload starts"""


class LogUploads:
    """Carries out the log uploads that the CSMS orders, one at a time, and keeps each status until it is reported.

    One reader reports them (`next_progress`, then `mark_reported`); uploads do not wait for it.
    """

    def __init__(self, logs: LogFiles, facts: FactStore, clock: Clock, tls: TlsContextFactory) -> None:
        self.logs = logs
        self._facts = facts
        """last status by request id of uploads whose end is not yet reported"""
        self._clock = clock
        self._tls = tls
        self._current: LogUploadOrder | None = None
        self._upload_task: asyncio.Task[UploadStatus] | None = None
        self._pausing = False
        self._orders: WaitingQueue[LogUploadOrder] = WaitingQueue()
        self._unreported: WaitingQueue[UploadProgress] = WaitingQueue()
        self._progress_in_report: UploadProgress | None = None
        """last result of `next_progress`, until `mark_reported`"""

    @property
    def uploading(self) -> int | None:
        """The requestId of the newest upload, from its order to its end; None if there is none."""
        return self._current.request_id if self._current is not None else None

    @property
    def busy(self) -> bool:
        """Whether an OnIdle reset must wait for a log upload (B11, errata 2.14).

        Not for a pause between attempts, which may be days.
        """
        return self._current is not None and not self._pausing

    @property
    def is_full(self) -> bool:
        """Whether too many orders or unreported statuses are pending, so that a further order must be rejected."""
        return len(self._orders) + len(self._unreported) >= MAX_ORDERS

    @staticmethod
    def location(url: str) -> FileLocation:
        """Return where an upload to this URL would go; connects to nothing.

        Raises:
            TransferError: it would not be tried.
        """
        return FileLocation.parse(url)

    def accept(self, order: LogUploadOrder) -> bool:
        """Queue an upload, which `run` starts once answered, and cancel the current one; returns whether there was one.

        N01.FR.12.
        """
        cancels = self._current is not None
        self._current = order
        if self._upload_task is not None:
            self._upload_task.cancel()
        self._orders.put_nowait(order)
        return cancels

    async def run(self) -> None:
        """Carry out queued uploads until cancelled; first queue the statuses left from before a restart."""
        await self._queue_unreported()
        while True:
            order = await self._orders.get()
            try:
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(_ANSWER_TIMEOUT_S):
                        await order.answered.wait()
                status = await self._carry_out(order)
            finally:
                if self._current is order:
                    self._current = None
            await self._store_status(order.request_id, status)

    async def _queue_unreported(self) -> None:
        """Queue unreported statuses from before the restart; an interrupted upload has failed (N01.FR.10)."""
        stored: dict[str, str] = {}
        with contextlib.suppress(StorageError):
            stored = await self._facts.load()
        for request_id, text in stored.items():
            status = self._facts.read(request_id, UploadStatus, text)
            if status is None or not request_id.isdecimal():
                continue
            await self._store_status(int(request_id), UploadStatus.UPLOAD_FAILURE if status is _UPLOADING else status)

    async def _store_status(self, request_id: int, status: UploadStatus) -> None:
        """Store a status, and queue it for the report; a storage error is only logged."""
        try:
            await self._facts.save(str(request_id), status)
        except StorageError as error:
            _log.error(
                "log upload %d: its status %s cannot be stored and would be lost in a power cut: %s",
                request_id,
                status,
                error,
            )
        self._unreported.put_nowait(UploadProgress(request_id, status))

    async def next_progress(self) -> UploadProgress:
        """Wait for the oldest unreported status; returns the same one until `mark_reported`."""
        if self._progress_in_report is None:
            self._progress_in_report = await self._unreported.get()
        return self._progress_in_report

    async def mark_reported(self, progress: UploadProgress) -> None:
        """Remove a status that was reported or given up; a final one is removed from disk too."""
        self._progress_in_report = None
        if progress.status is not _UPLOADING:
            with contextlib.suppress(StorageError):
                await self._facts.remove(str(progress.request_id))

    async def _carry_out(self, order: LogUploadOrder) -> UploadStatus:
        if self._current is not order:
            return UploadStatus.ACCEPTED_CANCELED
        await self._store_status(order.request_id, _UPLOADING)  # N01.FR.08
        if self._current is not order:
            return UploadStatus.ACCEPTED_CANCELED
        try:
            async with asyncio.TaskGroup() as group:
                task = self._upload_task = group.create_task(self._upload(order), name="log-upload")
        finally:
            self._upload_task = None
        if self._current is not order or task.cancelled():  # N01.FR.20
            _log.info("upload of log %s cancelled", order.name)
            return UploadStatus.ACCEPTED_CANCELED
        return task.result()

    async def _upload(self, order: LogUploadOrder) -> UploadStatus:
        outcome = await result_or_exception(self._write_and_upload(order))
        if isinstance(outcome, Exception):
            _log.error(
                "log %s cannot be uploaded: %s",
                order.name,
                outcome,
                exc_info=None if isinstance(outcome, OSError) else outcome,
            )
            return UploadStatus.UPLOAD_FAILURE
        return outcome

    async def _write_and_upload(self, order: LogUploadOrder) -> UploadStatus:
        path = await self.logs.write_log(order.kind, order.span, order.name)
        try:
            return await self._upload_with_retries(order, path)
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    async def _upload_with_retries(self, order: LogUploadOrder, path: Path) -> UploadStatus:
        """Upload with retries, and return the status of the last attempt (N01.FR.02, N01.FR.09, N01.FR.10)."""
        retries = order.retries if order.retries is not None else _OWN_RETRIES
        interval_s = order.retry_interval_s if order.retry_interval_s is not None else _OWN_RETRY_INTERVAL_S
        due_s = self._clock.monotonic()
        attempt = 0
        while (status := await self._attempt(order, path)) is not UploadStatus.UPLOADED and attempt < retries:
            attempt += 1
            due_s = max(due_s + interval_s, self._clock.monotonic() + _SHORTEST_PAUSE_S)
            self._pausing = True
            try:
                await self._clock.sleep(due_s - self._clock.monotonic())
            finally:
                self._pausing = False
        return status

    async def _attempt(self, order: LogUploadOrder, path: Path) -> UploadStatus:
        try:
            await upload(
                path,
                order.url,
                name=order.name,
                clock=self._clock,
                tls=self._tls,
                follow_redirects=order.follow_redirects,
            )
        except TransferError as error:
            _log.warning("upload of log %s failed (%s): %s", order.name, error.failure, error)
            return _STATUSES.get(error.failure, UploadStatus.UPLOAD_FAILURE)
        _log.info("log %s uploaded", order.name)
        return UploadStatus.UPLOADED
