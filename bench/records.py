"""Measures speed and size of the transaction log after ten years (`python -m bench.records`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from foundation.clock import SystemClock
from foundation.frozen import Frozen
from metering.reading import RegisterReading
from metering.time_quality import TimeStatus
from station.billing.documents import table
from station.billing.price import BillableCharge, PeriodPrice, PeriodReading, PriceList, calculate_bill
from station.billing.prices import Prices
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.core.model import EventType, IdToken, StoppedReason, TransactionEvent, TriggerReason
from station.storage.database import Database, open_database
from station.storage.database_thread import DatabaseThread
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.read_connections import ReadConnections

MONTH_AIM_MS = 20.0
CSV_AIM_S = 10.0
SIZE_AIM_MIB = 200.0
_EVENTS = 1_000
"""events committed in each round"""
BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
CARDS = [IdToken(f"04A3B2C1D5{number:02X}80", "ISO14443") for number in range(20)]
_PRICES = PriceList("EUR", Decimal("0.30"), (PeriodPrice("HC", Decimal("0.20")),), Decimal(1))


async def fill(database: Database, log: TransactionLog, count: int, *, first: int = 0) -> None:
    """Record `count` transactions over ten years, each with its events, two tariff periods and a bill.

    `first`: number of the first one, if there are earlier ones.
    """
    outbox, apart = Outbox(database, SystemClock()), timedelta(days=3652) / count
    await Prices(FactStore(database, "prices")).load(_PRICES)
    await database.write("PRAGMA synchronous=OFF")  # to fill it faster
    for number in range(first, first + count):
        began, name, wh = BEGIN + number * apart, f"{number:08x}-0000-4000-8000-000000000000", number * 12_000.0
        half, end = PeriodReading("HC", began + timedelta(hours=1), wh + 6_000.0), began + timedelta(hours=2)
        start = PeriodReading("HP", began, wh)
        begun = TransactionEvent(
            name, 1 + number % 2, EventType.STARTED, TriggerReason.AUTHORIZED, began, id_token=CARDS[number % 20]
        )
        ended = replace(
            begun,
            event_type=EventType.ENDED,
            occurred_at=end,
            stopped_reason=StoppedReason.LOCAL,
            register=RegisterReading(wh + 12_000.0, end, TimeStatus.SYNCHRONIZED),
        )
        await outbox.append(replace(begun, register=RegisterReading(wh, began, TimeStatus.SYNCHRONIZED)))
        for reading in (start, half):
            await log.begin_period(name, reading)
        await outbox.append(ended)
        await log.store_meter_serial(name, "23-1234567")
        charge = BillableCharge([start, half], wh + 12_000.0, duration=timedelta(hours=2))
        await log.store_bill(name, calculate_bill(_PRICES, charge))
    # In operation the events are pruned and only the log is kept.
    await database.write("DELETE FROM events")
    await database.write("VACUUM")
    await database.rows("PRAGMA wal_checkpoint(TRUNCATE)")


async def _best_ms(work: Callable[[], Awaitable[object]], times: int = 20) -> float:
    took: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        await work()
        took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)[times // 2]


async def _export(log: TransactionLog) -> int:
    size = len(table.csv_heading())
    async for page in log.pages(TransactionQuery()):
        size += len(table.csv_rows(page, UTC, {}))
    return size


class RecordFigure(Frozen):
    """One measured figure of the log; `at_most`: its aim, None without one."""

    name: str
    what: str
    value: float
    unit: str
    at_most: float | None = None


async def measure(count: int) -> list[RecordFigure]:
    """Measure a log of `count` transactions, then the event commits of one station and of several at once."""
    with tempfile.TemporaryDirectory() as folder, DatabaseThread() as thread:
        reads = ReadConnections(SystemClock())
        figures = await _measure_log(Path(folder) / "borne.sqlite", thread, reads, count)
        for stations in (1, 10):
            per_s = await _committed_per_s(Path(folder) / str(stations), thread, reads, stations)
            title = f"events committed by {stations} station{'s' if stations > 1 else ''} of a process"
            figures.append(RecordFigure(f"commits-{stations}", title, per_s, "/s"))
    return figures


async def _measure_log(path: Path, thread: DatabaseThread, reads: ReadConnections, count: int) -> list[RecordFigure]:
    async with open_database(path, SystemClock(), thread, reads) as database:
        log = TransactionLog(database)
        await fill(database, log, count)
        size_mib = path.stat().st_size / 2**20  # noqa: ASYNC240 - nothing else runs
        since = BEGIN + timedelta(days=3_000)
        month = TransactionQuery(since, since + timedelta(days=31))
        card = replace(month, token=CARDS[3].value)
        month_ms, card_ms = await _best_ms(lambda: log.find(month)), await _best_ms(lambda: log.find(card))
        newest_ms = await _best_ms(lambda: log.find(TransactionQuery()))
        begun = time.perf_counter()
        size = await _export(log)
        took_s = time.perf_counter() - begun
    table_title = f"log: all of them as a table of {size / 2**20:.1f} MiB"
    return [
        RecordFigure("log-size", f"log of {count:,} transactions on disk", size_mib, "MiB", SIZE_AIM_MIB),
        RecordFigure("log-month", "log: the first 100 of a month", month_ms, "ms", MONTH_AIM_MS),
        RecordFigure("log-card", "log: those of a card in a month", card_ms, "ms", MONTH_AIM_MS),
        RecordFigure("log-newest", "log: the newest 100 of all", newest_ms, "ms", MONTH_AIM_MS),
        RecordFigure("log-table", table_title, took_s, "s", CSV_AIM_S),
    ]


async def _committed_per_s(folder: Path, thread: DatabaseThread, reads: ReadConnections, stations: int) -> float:
    """Events that the stations commit to the disk per second, in the best of five rounds."""
    async with contextlib.AsyncExitStack() as stack:
        paths = [folder / str(number) / "borne.sqlite" for number in range(stations)]
        databases = [
            await stack.enter_async_context(open_database(path, SystemClock(), thread, reads)) for path in paths
        ]
        outboxes = [Outbox(database, SystemClock()) for database in databases]
        fastest_s = math.inf
        for turn in range(5):
            begun = time.perf_counter()
            await asyncio.gather(*(_commit(outbox, turn, _EVENTS // stations) for outbox in outboxes))
            fastest_s = min(fastest_s, time.perf_counter() - begun)
    return _EVENTS / fastest_s


async def _commit(outbox: Outbox, turn: int, count: int) -> None:
    for number in range(count):
        name, at = f"{turn}-{number}", BEGIN + timedelta(seconds=number)
        await outbox.append(
            TransactionEvent(name, 1, EventType.STARTED, TriggerReason.AUTHORIZED, at, id_token=CARDS[number % 20])
        )


def print_figures(figures: Sequence[RecordFigure]) -> None:
    """Print one line for each figure."""
    for figure in figures:
        verdict = (
            f"aim ≤ {figure.at_most:g}: {'met' if figure.value <= figure.at_most else 'NOT MET'}"
            if figure.at_most
            else ""
        )
        print(f"{figure.what:68} {figure.value:9.2f} {figure.unit:4} {verdict}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the log of transactions after ten years.")
    parser.add_argument("--transactions", type=int, default=50_000)
    print_figures(asyncio.run(measure(parser.parse_args().transactions)))
