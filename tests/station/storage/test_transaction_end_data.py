"""The samples stored for the end of a transaction: in order, few, and all that a bill needs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue, SignedValue
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

MOST = 400
"""samples on disk of one transaction"""


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Outbox]:
    """An outbox on a disk."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield Outbox(database, clock)


def value(minute: int, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC, *, signed: bool = False) -> MeterValue:
    """A meter value with the import register of that minute."""
    record = SignedValue(f"OCMF|{minute}") if signed else None
    sample = SampledValue(float(minute), Measurand.ENERGY_IMPORT_REGISTER, context, "Wh", signed=record)
    return MeterValue(fakes.NOON + timedelta(minutes=minute), (sample,))


async def test_samples_are_kept_in_order_for_each_transaction(tmp_path: Path) -> None:
    values = [value(minute) for minute in range(4)]
    async with opened(tmp_path) as outbox:
        for sample in values:
            await outbox.end_data.store_sample("tx", sample)
        await outbox.end_data.store_sample("other", value(9))
    async with opened(tmp_path) as outbox:
        assert await outbox.end_data.samples("tx") == values
        assert await outbox.end_data.samples("none") == []


async def test_samples_stay_few_on_disk_however_long_the_transaction(tmp_path: Path) -> None:
    """E06.FR.13"""
    async with opened(tmp_path) as outbox:
        for minute in range(900):
            await outbox.end_data.store_sample("tx", value(minute))
            assert len(await outbox.end_data.samples("tx")) <= MOST
        stored = await outbox.end_data.samples("tx")
        assert stored[0] == value(0)
        assert stored[-1] == value(899)
        assert len(stored) >= MOST // 2


async def test_intervals_on_disk_add_up_however_many_samples_went(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        for minute in range(900):
            counted = SampledValue(2.5, Measurand.ENERGY_IMPORT_INTERVAL, ReadingContext.SAMPLE_PERIODIC, "Wh")
            await outbox.end_data.store_sample("tx", MeterValue(fakes.NOON + timedelta(minutes=minute), (counted,)))
        stored = await outbox.end_data.samples("tx")
        assert len(stored) <= MOST
        assert sum(sample.value for value in stored for sample in value.samples) == 900 * 2.5


@pytest.mark.parametrize("signed", [False, True])
async def test_samples_that_a_bill_needs_are_kept_however_long_the_transaction(tmp_path: Path, signed: bool) -> None:
    """J02.FR.20: removing samples does not affect billing; signed ones of a rhythm are samples as the others."""
    needed = [value(0, ReadingContext.TRANSACTION_BEGIN, signed=True)]
    needed += [value(minute, ReadingContext.OTHER, signed=True) for minute in (1, 2, 150, 151, 700)]
    minutes = {sample.taken_at: sample for sample in needed}
    async with opened(tmp_path) as outbox:
        for minute in range(900):
            sampled = value(minute, signed=signed)
            await outbox.end_data.store_sample("tx", minutes.get(sampled.taken_at, sampled))
        stored = await outbox.end_data.samples("tx")
        assert [sample for sample in stored if sample in needed] == needed
        assert len(stored) <= MOST


async def test_a_grid_meter_that_changes_the_tariff_all_the_time_fills_no_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        await outbox.end_data.store_sample("tx", value(0, ReadingContext.TRANSACTION_BEGIN))
        await outbox.end_data.store_sample("tx", value(1))
        for minute in range(2, 900):
            await outbox.end_data.store_sample("tx", value(minute, ReadingContext.OTHER, signed=True))
        stored = await outbox.end_data.samples("tx")
        assert len(stored) <= MOST
        assert stored[0] == value(0, ReadingContext.TRANSACTION_BEGIN)
        assert stored[-1] == value(899, ReadingContext.OTHER, signed=True)
