"""The log of ten years: it stays small, and nothing of it is found by reading all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bench.records import BEGIN, CARDS, SIZE_AIM_MIB, fill
from foundation.clock import SystemClock
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.storage.database import Database, Row, Value
from tests.databases import open_database

COUNT = 500
TEN_YEARS = 50_000
SINCE = BEGIN + timedelta(days=3_000)
UNTIL = SINCE + timedelta(days=365)


class ExplainingDatabase(Database):
    """A database that records the query plan of each long query."""

    plans: list[str]

    async def long_query(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Record the query plan of a query, then execute it."""
        plan = await super().long_query(f"EXPLAIN QUERY PLAN {sql}", values)
        self.plans.extend(str(row[3]) for row in plan)
        return await super().long_query(sql, values)


def explaining(opened: Database) -> ExplainingDatabase:
    """The same database, recording its query plans."""
    connection, reads = opened._connection, opened._read_connections  # pyright: ignore[reportPrivateUsage]  # the same file
    database = ExplainingDatabase(connection, SystemClock(), reads)
    database.plans = []
    return database


@pytest.mark.parametrize(
    ("search", "bounds"),
    [
        (TransactionQuery(SINCE, UNTIL), "transactions_by_time (began_at>? AND began_at<?)"),
        (
            TransactionQuery(SINCE, UNTIL, token=CARDS[3].value),
            "transactions_by_token (token=? AND began_at>? AND began_at<?)",
        ),
        (TransactionQuery(token=CARDS[3].value), "transactions_by_token (token=?"),
        (TransactionQuery(evse_id=1), "transactions_by_evse (evse_id=?"),
        (TransactionQuery(), "transactions_by_time"),
    ],
)
async def test_a_search_reads_what_it_is_about_and_sorts_nothing(
    tmp_path: Path, search: TransactionQuery, bounds: str
) -> None:
    async with open_database(tmp_path / "borne.sqlite", SystemClock()) as opened:
        await fill(opened, TransactionLog(opened), COUNT)
        database = explaining(opened)
        log, plans = TransactionLog(database), database.plans
        found = await log.find(search)
        assert found.total > 0
        exported = [transaction async for page in log.pages(search) for transaction in page]
        assert len(exported) == found.total
        assert len(plans) >= 5
        of_kinds = [plan for plan in plans if "INDEX transactions_by_time_" in plan]
        assert all(bounds in plan for plan in plans if plan not in of_kinds), plans
        assert len(of_kinds) <= 2, "numbers of test sessions and of charges without energy"


async def test_ten_years_fit(tmp_path: Path) -> None:
    path = tmp_path / "borne.sqlite"
    async with open_database(path, SystemClock()) as database:
        log = TransactionLog(database)
        await fill(database, log, COUNT // 10)
        few = path.stat().st_size
        await fill(database, log, COUNT, first=COUNT // 10)
    grown = (path.stat().st_size - few) / COUNT
    assert grown * TEN_YEARS < SIZE_AIM_MIB * 2**20
