"""The status of a log upload is reported until the CSMS has it, or for an hour (N01), on the block itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from ocpp_handlers.blocks.n_log_upload import LogUploadBlock
from ocpp_handlers.connection.link import Link
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from station.core.csms import NoAnswerError
from station.maintenance.logs.upload import LogUploads, UploadProgress, UploadStatus
from tests import fakes

UPLOADED = UploadProgress(7, UploadStatus.UPLOADED)
HOUR_S = 3_600.0


class LogUploadHarness:
    """A block with a recording link and scripted uploads."""

    def __init__(self) -> None:
        self.clock = fakes.clock()
        self.error: NoAnswerError | None = None
        self.sent: list[Any] = []
        self.settled: list[UploadProgress] = []
        self._waiting: asyncio.Queue[UploadProgress] = asyncio.Queue()
        self.block = LogUploadBlock(cast("Link", self), cast("LogUploads", self), self.clock)

    async def call(self, action: Any, request: Any) -> None:
        del action
        self.sent.append(request)
        if self.error is not None:
            raise self.error

    async def notify(self, action: Any, request: Any) -> None:
        await self.call(action, request)

    async def next_progress(self) -> UploadProgress:
        return await self._waiting.get()

    async def mark_reported(self, progress: UploadProgress) -> None:
        self.settled.append(progress)

    @asynccontextmanager
    async def reporting(self, *progress: UploadProgress) -> AsyncGenerator[None]:
        """While the block runs, and these statuses wait."""
        for entry in progress:
            self._waiting.put_nowait(entry)
        task = asyncio.create_task(self.block.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_each_status_is_sent_once_in_order_and_settled() -> None:
    uploads, uploading = LogUploadHarness(), UploadProgress(7, UploadStatus.UPLOADING)
    async with uploads.reporting(uploading, UPLOADED):
        await uploads.clock.advance(HOUR_S)
    assert uploads.sent == [{"status": "Uploading", "requestId": 7}, {"status": "Uploaded", "requestId": 7}]
    assert uploads.settled == [uploading, UPLOADED]


async def test_the_end_of_an_upload_is_sent_when_the_csms_is_there_again() -> None:
    uploads = LogUploadHarness()
    uploads.error = LinkLostError("not connected to the CSMS")
    async with uploads.reporting(UPLOADED):
        await uploads.clock.advance(HOUR_S / 2)
        assert uploads.settled == []
        uploads.error = None
        await uploads.clock.advance(10.0)
    assert uploads.settled == [UPLOADED]


async def test_after_an_hour_without_an_answer_it_is_given_up() -> None:
    uploads = LogUploadHarness()
    uploads.error = LinkLostError("not connected to the CSMS")
    async with uploads.reporting(UPLOADED):
        await uploads.clock.advance(HOUR_S - 10.0)
        assert uploads.settled == []
        await uploads.clock.advance(20.0)
    assert uploads.settled == [UPLOADED]


async def test_what_the_csms_refuses_is_not_sent_again() -> None:
    uploads = LogUploadHarness()
    uploads.error = CallRefusedError("NotSupported", "")
    async with uploads.reporting(UPLOADED):
        await uploads.clock.advance(HOUR_S)
    assert len(uploads.sent) == 1
    assert uploads.settled == [UPLOADED]
