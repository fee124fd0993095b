"""The measurement of commits beside a long log: it fills the log as a station does, and commits while it is read."""

from __future__ import annotations

from pathlib import Path

from bench import export
from foundation.clock import SystemClock
from station.billing.transaction_log import TransactionLog, TransactionQuery
from tests.databases import open_database


async def test_a_log_that_is_filled_quickly_has_rows_as_a_station_writes_them(tmp_path: Path) -> None:
    async with open_database(tmp_path / "borne.sqlite", SystemClock()) as database:
        log = TransactionLog(database)
        await export.fill_quickly(database, log, 1_500)
        found = [one async for page in log.pages(TransactionQuery()) for one in page]
        assert len({one.transaction_id for one in found}) == 1_500
        assert all(one.bill is not None and one.ended_at is not None and one.prices is not None for one in found)


async def test_commits_are_measured_alone_and_beside_each_kind_of_reading() -> None:
    figures = await export.measure(600, alone_s=0.1)
    assert [one.while_done for one in figures] == [
        "nothing else",
        "600 charges are exported",
        "600 charges are searched",
    ]
    for one in figures:
        assert one.commits > 0
        assert 0.0 < one.p50_ms <= one.p99_ms <= one.longest_ms
