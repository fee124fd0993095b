"""Uploads of logs when something goes wrong around them: lost answers, cancellation, a full disk."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from simulator.clock import VirtualClock
from station.maintenance.logs import log_files as logs
from station.maintenance.logs.log_files import LogFiles, LogKind, LogPeriod, LogSources, StationSnapshot
from station.maintenance.logs.store import LogStore
from station.maintenance.logs.upload import LogUploadOrder, LogUploads, UploadProgress, UploadStatus
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from tests.databases import open_database
from tests.fakes import clock
from tests.patience import PATIENCE_S, until


async def _no_snapshot() -> StationSnapshot:
    raise AssertionError("a security log shows no state")


class UploadFixture:
    """Uploads of a security log to a server that does not exist, and the statuses that are reported to the CSMS."""

    def __init__(self, folder: Path, database: Database, clock: VirtualClock) -> None:
        events, outbox = SecurityEvents(database, clock), Outbox(database, clock)
        self.clock = clock
        self.folder = folder / "uploads"
        sources = LogSources(events, outbox, _no_snapshot)
        self.logs = LogFiles(LogStore(folder / "log", clock), sources, self.folder, "id", clock)
        self.uploads = LogUploads(self.logs, FactStore(database, "log-upload"), clock, ssl.create_default_context)
        self.statuses: list[tuple[int, UploadStatus]] = []

    async def report(self) -> None:
        """Record each status as soon as it is published."""
        while True:
            progress = await self.uploads.next_progress()
            self.statuses.append((progress.request_id, progress.status))
            await self.uploads.mark_reported(progress)

    def order(self, request_id: int) -> LogUploadOrder:
        """An order."""
        name = self.logs.name(LogKind.SECURITY)
        return LogUploadOrder(
            request_id, LogKind.SECURITY, LogPeriod(), "ftp://127.0.0.1:1/", f"{request_id}-{name}", retries=0
        )

    async def idle(self) -> None:
        """Wait until nothing is being uploaded and its last status is reported."""
        await until(
            lambda: self.uploads.uploading is None and self.statuses[-1][1] is not UploadStatus.UPLOADING,
            meanwhile=lambda: self.clock.advance(5.0),
        )

    def remaining_file_count(self) -> int:
        """The number of log files that have not been deleted."""
        return len(list(self.folder.iterdir())) if self.folder.exists() else 0


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncGenerator[UploadFixture]:
    """Log uploads that run, and whose statuses are reported."""
    time = clock()
    async with open_database(tmp_path / "borne.sqlite", time) as database:
        events = SecurityEvents(database, time)
        await events.report(SecurityEventType.STARTUP_OF_THE_DEVICE)
        fixture = UploadFixture(tmp_path, database, time)
        working = [asyncio.create_task(fixture.uploads.run()), asyncio.create_task(fixture.report())]
        yield fixture
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_the_name_of_a_log_replaces_characters_of_the_identity_that_file_systems_refuse(tmp_path: Path) -> None:
    time = clock()
    async with open_database(tmp_path / "borne.sqlite", time) as database:
        sources = LogSources(SecurityEvents(database, time), Outbox(database, time), _no_snapshot)
        log_files = LogFiles(LogStore(tmp_path / "log", time), sources, tmp_path, "BORNE-1_a.b:c*d|e@f", time)
        name = log_files.name(LogKind.SECURITY)
    assert name.startswith(f"BORNE-1_a.b_c_d_e_f_{LogKind.SECURITY}_")


async def test_an_upload_whose_answer_never_leaves_does_not_go_on_for_ever(fixture: UploadFixture) -> None:
    """The link is lost between order and answer: nobody begins it, and a reset on idle waits for it (B12.FR.01)."""
    assert fixture.uploads.accept(fixture.order(1)) is False
    assert fixture.uploads.uploading == 1
    await fixture.idle()
    assert fixture.statuses[-1] == (1, UploadStatus.UPLOAD_FAILURE)


async def test_logs_that_were_cancelled_while_they_were_written_do_not_pile_up(
    fixture: UploadFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that writes cannot be stopped; what it leaves goes when the next log is made."""
    writing = asyncio.Event()
    loop, write = asyncio.get_running_loop(), logs._write  # pyright: ignore[reportPrivateUsage]  # to be delayed

    def slow(*arguments: object) -> None:
        loop.call_soon_threadsafe(writing.set)
        write(*arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(logs, "_write", slow)
    for number in range(20):
        order = fixture.order(number)
        fixture.uploads.accept(order)  # which cancels the one before
        order.answered.set()
        async with asyncio.timeout(PATIENCE_S):
            await writing.wait()
        writing.clear()
    await fixture.idle()
    assert (0, UploadStatus.ACCEPTED_CANCELED) in fixture.statuses
    assert fixture.remaining_file_count() <= 1


async def test_half_a_log_does_not_stay_on_a_full_disk(fixture: UploadFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", full)
    order = fixture.order(1)
    fixture.uploads.accept(order)
    order.answered.set()
    await fixture.idle()
    assert fixture.statuses[-1] == (1, UploadStatus.UPLOAD_FAILURE)
    assert fixture.remaining_file_count() == 0


async def test_a_status_is_returned_until_it_is_settled_and_its_end_outlives_a_power_cut_until_then(
    tmp_path: Path,
) -> None:
    """N01.FR.10: whoever reports may fail in between."""
    time = clock()
    async with open_database(tmp_path / "borne.sqlite", time) as database:
        facts = FactStore(database, "log-upload")
        await facts.save("7", UploadStatus.UPLOADED)
        fixture = UploadFixture(tmp_path, database, time)
        working = asyncio.create_task(fixture.uploads.run())
        first = await asyncio.wait_for(fixture.uploads.next_progress(), PATIENCE_S)
        assert first == UploadProgress(7, UploadStatus.UPLOADED)
        assert await fixture.uploads.next_progress() is first
        assert await facts.load() == {"7": "Uploaded"}
        await fixture.uploads.mark_reported(first)
        assert await facts.load() == {}
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
