"""What is old is forgotten only by a clock that is known to be right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from metering.reading import RegisterReading
from metering.time_quality import TimeSource, TimeStatus
from station.assembly.upkeep import prune
from station.billing.transaction_log import Search, TransactionLog
from station.metrology.time_keeper import TimeKeeper
from station.model import EventType, TriggerReason
from station.records.database import open_database
from station.records.outbox import Outbox
from station.settings import Settings
from station.tokens.token_store import TokenStore
from tests import fakes

AHEAD = timedelta(days=20_000)
"""beyond what is kept by default"""


@pytest.mark.parametrize(
    ("source", "kept"), [(None, 1), (TimeSource.MACHINE, 1), (TimeSource.CSMS, 1), (TimeSource.NTP, 0)]
)
async def test_a_clock_that_is_years_ahead_empties_the_log_only_where_a_time_service_holds_it(
    tmp_path: Path, source: TimeSource | None, kept: int
) -> None:
    clock, settings = fakes.clock(), Settings()
    async with open_database(tmp_path / "db", clock) as database:
        outbox, log, time = (
            Outbox(database, clock),
            TransactionLog(database),
            TimeKeeper(clock, settings, lambda: False),
        )
        await outbox.append(fakes.event("one", EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN))
        end = fakes.event("one", EventType.ENDED, TriggerReason.STOP_AUTHORIZED)
        register = RegisterReading(2000.0, fakes.NOON, TimeStatus.SYNCHRONIZED)
        await outbox.append(replace(end, occurred_at=fakes.NOON, register=register))
        clock.adjust(AHEAD)
        if source is TimeSource.MACHINE:
            time.begin(fakes.NOON)
        elif source is not None:
            time.heard(source, timedelta(0))
        keeping = asyncio.create_task(prune(outbox, log, TokenStore(database, settings, clock), time, settings, clock))
        await clock.advance(86_401.0)
        keeping.cancel()
        await asyncio.wait({keeping})
        assert (await log.find(Search())).total == kept
