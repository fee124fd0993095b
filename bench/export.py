"""Measures commits while a log of a million charges is exported or searched (`python -m bench.export`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from bench.records import BEGIN, CARDS, fill
from borne.composition.station_assembly import event_loop_at
from foundation.clock import SystemClock
from foundation.frozen import Frozen
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.authorization.owner_cards import OwnerCards
from station.core.clock_settings import ClockSettings
from station.core.model import EventType, TransactionEvent, TriggerReason
from station.interfaces.api.transaction import TransactionFilters, export_transactions
from station.storage.database import Database, open_database
from station.storage.database_thread import DatabaseThread
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.read_connections import ReadConnections

CHARGES: Final = 1_000_000
_TEMPLATES: Final = 500
"""charges recorded as a station records them; the others are copies with other numbers, times and ids"""
_COMMIT_EVERY_S: Final = 0.02
"""pause between two events: as if fifty EVSEs reported every second"""
_ALONE_S: Final = 10.0
"""how long commits are measured without any reader"""
_SEARCHES: Final = 60
_COPY_STATEMENT: Final = """
    WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < ?)
    INSERT INTO transactions (transaction_id, {columns}) SELECT
        substr(transaction_id, 1, 9) || printf('%04x', n) || substr(transaction_id, 14), {columns}
    FROM copy CROSS JOIN (SELECT * FROM transactions WHERE number <= {templates})
"""


class CommitFigures(Frozen):
    """How long commits took while something else was done."""

    while_done: str
    """what was done meanwhile"""
    commits: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    took_s: float
    """how long all of it took"""
    wal_mib: float
    """largest size of the write-ahead log"""


async def fill_quickly(database: Database, log: TransactionLog, count: int) -> None:
    """Record some charges as a station does, and copy their rows in the log until it has `count`."""
    templates = min(count, _TEMPLATES)
    await fill(database, log, templates)
    await database.write("PRAGMA synchronous=OFF")
    described = await database.rows("SELECT name FROM pragma_table_info('transactions')")
    columns = ", ".join(str(name) for (name,) in described if name not in {"number", "transaction_id"})
    if copies := count // templates - 1:
        await database.write(_COPY_STATEMENT.format(columns=columns, templates=templates), (copies,))
    await database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.write("PRAGMA synchronous=FULL")


class _Commits:
    """Commits an event every few milliseconds as a station does, and measures how long each takes."""

    def __init__(self, database: Database, path: Path) -> None:
        self._outbox = Outbox(database, SystemClock())
        self._wal = path.with_name(f"{path.name}-wal")
        self._number = 0
        self._wal_bytes = 0
        self._durations_ms: list[float] = []

    async def measure(self, activity: str, work: Callable[[], Awaitable[object]]) -> CommitFigures:
        """Commit events while `work` runs."""
        self._durations_ms, self._wal_bytes = [], 0
        began_s = time.perf_counter()
        working = asyncio.ensure_future(work())
        while not working.done():
            await self._commit()
            await asyncio.sleep(_COMMIT_EVERY_S)
        await working
        took_s, ordered = time.perf_counter() - began_s, sorted(self._durations_ms)
        count = len(ordered)
        p50_ms, p99_ms = ordered[count // 2], ordered[count * 99 // 100]
        return CommitFigures(activity, count, p50_ms, p99_ms, ordered[-1], took_s, self._wal_bytes / 2**20)

    async def _commit(self) -> None:
        self._number += 1
        name, card = f"commit-{self._number}", CARDS[self._number % len(CARDS)]
        event = TransactionEvent(name, 1, EventType.STARTED, TriggerReason.AUTHORIZED, BEGIN, id_token=card)
        began_s = time.perf_counter()
        await self._outbox.append(event)
        self._durations_ms.append((time.perf_counter() - began_s) * 1e3)
        self._wal_bytes = max(self._wal_bytes, self._wal.stat().st_size)


async def _export(log: TransactionLog, cards: OwnerCards) -> int:
    """Export all charges as the API does; returns the number of lines."""
    filters = TransactionFilters(None, None, None, None, None, None)
    response = await export_transactions(filters, log, ClockSettings(), cards, "en")
    lines = 0
    async for chunk in response.body_iterator:
        lines += bytes(chunk).count(b"\n") if not isinstance(chunk, str) else chunk.count("\n")
    return lines


async def _search(log: TransactionLog, count: int) -> None:
    """Search for a shortened token, which no index finds, and for charges in the middle of all."""
    for number in range(_SEARCHES):
        await log.find(TransactionQuery(token=f"{CARDS[number % 20].value[:2]}…{CARDS[number % 20].value[-4:]}"))
        await log.find(TransactionQuery(), skip=count // 2)


@contextlib.asynccontextmanager
async def _database(path: Path) -> AsyncGenerator[Database]:
    with DatabaseThread() as thread:
        async with open_database(path, SystemClock(), thread, ReadConnections(SystemClock())) as database:
            yield database


async def measure(count: int = CHARGES, *, alone_s: float = _ALONE_S) -> list[CommitFigures]:
    """Measure commits alone, while all of `count` charges are exported as CSV, and while they are searched."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "borne.sqlite"
        async with _database(path) as database:
            log, cards = TransactionLog(database), OwnerCards(FactStore(database, "cards"), SystemClock())
            await fill_quickly(database, log, count)
            commits = _Commits(database, path)
            return [
                await commits.measure("nothing else", lambda: asyncio.sleep(alone_s)),
                await commits.measure(f"{count:,} charges are exported", lambda: _export(log, cards)),
                await commits.measure(f"{count:,} charges are searched", lambda: _search(log, count)),
            ]


def print_figures(figures: Sequence[CommitFigures]) -> None:
    """Print one line for each figure."""
    for figure in figures:
        print(
            f"commit while {figure.while_done:32} p50 {figure.p50_ms:7.2f} ms   p99 {figure.p99_ms:7.2f} ms   longest"
            f" {figure.longest_ms:7.2f} ms   {figure.commits} commits in {figure.took_s:.1f} s"
            f"   log {figure.wal_mib:.1f} MiB"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure commits while a long log is exported and searched.")
    parser.add_argument("--charges", type=int, default=CHARGES)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=event_loop_at(1.0)) as runner:
        print_figures(runner.run(measure(given.charges)))
