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
        found = [transaction async for page in log.pages(TransactionQuery()) for transaction in page]
        assert len({transaction.transaction_id for transaction in found}) == 1_500
        assert all(
            transaction.bill is not None and transaction.ended_at is not None and transaction.prices is not None
            for transaction in found
        )


async def test_commits_are_measured_alone_and_beside_each_kind_of_reading() -> None:
    figures = await export.measure(600, alone_s=0.1)
    assert [figure.while_done for figure in figures] == [
        "nothing else",
        "600 charges are exported",
        "600 charges are searched",
    ]
    for figure in figures:
        assert figure.commits > 0
        assert 0.0 < figure.p50_ms <= figure.p99_ms <= figure.longest_ms
