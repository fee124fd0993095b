"""What is old is forgotten only by a clock that is known to be right, and whose time has passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from borne.composition.maintenance import prune
from metering.reading import RegisterReading
from metering.time_quality import TimeSource, TimeStatus
from simulator.clock import VirtualClock
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.billing.retention import Retention
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.core.clock_settings import ClockSettings
from station.core.model import EventType, TriggerReason
from station.storage.fact_store import FactStore, save_fact
from station.storage.outbox import Outbox
from station.storage.record_settings import RecordSettings
from tests import fakes
from tests.databases import open_database

RETENTION_DAYS = 30
DAY_S = 86_400.0
YEARS = timedelta(days=14 * 365)


class RetentionHarness:
    """A transaction log that is pruned to its retention time."""

    def __init__(self, outbox: Outbox, log: TransactionLog, time: TimeQualityMonitor, clock: VirtualClock) -> None:
        self.outbox, self.log, self.time, self.clock = outbox, log, time, clock

    async def charge(self, identity: str) -> None:
        """Record a transaction that begins and ends now."""
        now = self.clock.now()
        await self.outbox.append(fakes.event(identity, EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN))
        end = fakes.event(identity, EventType.ENDED, TriggerReason.STOP_AUTHORIZED)
        register = RegisterReading(2000.0, now, TimeStatus.SYNCHRONIZED)
        await self.outbox.append(replace(end, occurred_at=now, register=register))

    async def pass_days(self, days: int) -> None:
        """Let days pass, with one pruning each."""
        for _ in range(days):
            await self.clock.advance(DAY_S)
            await self.clock.settle()

    async def stored_ids(self) -> set[str]:
        """Ids of the transactions that have not been deleted."""
        return {transaction.transaction_id for transaction in (await self.log.find(TransactionQuery())).transactions}


@contextlib.asynccontextmanager
async def running_retention(
    path: Path, clock: VirtualClock, source: TimeSource | None
) -> AsyncGenerator[RetentionHarness]:
    """One run of the station; `source` sets its clock, None: nothing does."""
    settings = RecordSettings()
    settings.override(RecordSettings.recorded_transactions_days, RETENTION_DAYS)
    async with open_database(path / "db", clock) as database:
        outbox, log = Outbox(database, clock), TransactionLog(database)
        time = TimeQualityMonitor(clock, ClockSettings(), lambda: 300, lambda: False)
        if source is TimeSource.MACHINE:
            time.begin(fakes.NOON)
        elif source is not None:
            time.note_time_set(source, timedelta(0))
        retention = Retention(log, FactStore(database, "retention"), time, settings, clock)
        cache = AuthorizationCache(database, AuthorizationSettings(), clock)
        running = asyncio.create_task(prune(outbox, retention, cache, settings, clock))
        await clock.advance(1.0)
        try:
            yield RetentionHarness(outbox, log, time, clock)
        finally:
            running.cancel()
            await asyncio.wait({running})


@pytest.mark.parametrize(
    ("source", "expected_ids"),
    [(None, {"one"}), (TimeSource.MACHINE, {"one"}), (TimeSource.CSMS, {"one"}), (TimeSource.NTP, set[str]())],
)
async def test_records_older_than_the_retention_time_are_deleted_where_a_time_service_holds_the_clock(
    tmp_path: Path, source: TimeSource | None, expected_ids: set[str]
) -> None:
    async with running_retention(tmp_path, fakes.clock(), source) as harness:
        await harness.pass_days(2)
        await harness.charge("one")
        await harness.pass_days(RETENTION_DAYS - 1)
        assert await harness.stored_ids() == {"one"}
        await harness.pass_days(3)
        assert await harness.stored_ids() == expected_ids


@pytest.mark.parametrize("spoilt", ["x{", "null", "7", '["x", "y", 1]'])
async def test_where_it_cannot_be_read_when_the_time_was_looked_at_records_are_kept_for_longer(
    tmp_path: Path, spoilt: str
) -> None:
    clock = fakes.clock()
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.pass_days(2)
        await harness.charge("one")
        await harness.pass_days(RETENTION_DAYS - 1)
    async with open_database(tmp_path / "db", clock) as database:
        await save_fact(database, "retention/time", spoilt)
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.pass_days(RETENTION_DAYS - 1)
        assert await harness.stored_ids() == {"one"}
        await harness.pass_days(3)
        assert await harness.stored_ids() == set()


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_jumps_by_years_deletes_nothing_whoever_vouches_for_it(
    tmp_path: Path, restarted: bool
) -> None:
    """Records of then are kept for a whole retention time again, also when the clock is right again."""
    clock = fakes.clock()
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.pass_days(2)
        await harness.charge("before")
        if not restarted:
            clock.adjust(YEARS)
            harness.time.note_time_set(TimeSource.NTP, YEARS)
            await harness.charge("in 2040")
            await harness.pass_days(RETENTION_DAYS - 1)
            assert await harness.stored_ids() == {"before", "in 2040"}
    if restarted:
        clock.adjust(YEARS)
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.charge("later")
        await harness.pass_days(1)
        assert {"before", "later"} <= await harness.stored_ids()
        clock.adjust(-YEARS)
        harness.time.note_time_set(TimeSource.NTP, -YEARS)
        await harness.pass_days(RETENTION_DAYS - 1)
        assert {"before", "later"} <= await harness.stored_ids()


async def test_after_a_jump_what_is_on_record_goes_once_its_time_has_passed_again(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.pass_days(2)
        await harness.charge("before")
        clock.adjust(timedelta(days=60))
        await harness.pass_days(RETENTION_DAYS + 3)
        assert await harness.stored_ids() == set()
        assert await harness.log.newest() == 1


async def test_a_log_from_before_anybody_looked_at_the_time_counts_as_new(tmp_path: Path) -> None:
    """The clock may be years ahead at the first pruning."""
    clock = fakes.clock()
    async with running_retention(tmp_path, clock, None) as harness:
        await harness.charge("old")
    clock.adjust(YEARS)
    async with running_retention(tmp_path, clock, TimeSource.NTP) as harness:
        await harness.pass_days(RETENTION_DAYS - 1)
        assert await harness.stored_ids() == {"old"}
