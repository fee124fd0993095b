"""The record of firmware updates: statuses are reported in order and once across restarts; the next step by status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec.structs import replace

from station.maintenance.firmware.record import FirmwareRecord
from station.maintenance.firmware.state import (
    END_STATUSES,
    FirmwareStatus,
    FirmwareUpdate,
    UpdateOrder,
    UpdateStep,
    cancelable,
    next_step,
)
from station.storage.database import Database
from tests.databases import open_database
from tests.fakes import NOON, clock
from tests.full_disk import FullDisk
from tests.patience import PATIENCE_S

S = FirmwareStatus


def order(request_id: int = 1, *, signed: bool = True, retries: int | None = None) -> UpdateOrder:
    """An update order with this request id."""
    pem, signature = ("pem", "c2ln") if signed else (None, None)
    return UpdateOrder(request_id, "http://host/image", NOON, None, pem, signature, retries)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """A database."""
    async with open_database(tmp_path / "borne.sqlite", clock()) as opened:
        yield opened


async def drain_statuses(record: FirmwareRecord, *, most: int = 99) -> list[tuple[int, FirmwareStatus]]:
    """Report the unreported statuses in order, at most `most`; returns them."""
    statuses: list[tuple[int, FirmwareStatus]] = []
    while len(statuses) < most and (entered := await record.oldest_unreported()) is not None:
        statuses.append((entered.request_id, entered.status))
        await record.mark_reported(entered)
    return statuses


async def reopened(database: Database) -> FirmwareRecord:
    """The record after a restart of the station."""
    record = FirmwareRecord(database)
    await record.load()
    return record


async def test_statuses_are_reported_in_order_and_once_across_restarts(database: Database) -> None:
    record = FirmwareRecord(database)
    update = await record.begin(order())
    for status in (S.DOWNLOADING, S.DOWNLOADED, S.DOWNLOADED, S.SIGNATURE_VERIFIED):
        update = await record.store_status(update, status)
    assert await drain_statuses(record, most=1) == [(1, S.DOWNLOADING)]
    record = await reopened(database)
    assert record.update == FirmwareUpdate(update.id, order(), S.SIGNATURE_VERIFIED)
    assert record.last_sent is not None
    assert record.last_sent.status is S.DOWNLOADING
    assert await drain_statuses(record) == [(1, S.DOWNLOADED), (1, S.SIGNATURE_VERIFIED)]
    assert await record.all_reported()


async def test_a_cancelled_update_reports_nothing_more(database: Database) -> None:
    record = FirmwareRecord(database)
    await record.store_status(await record.begin(order(1)), S.DOWNLOADING)
    await record.store_status(await record.begin(order(2)), S.DOWNLOADING)
    assert await drain_statuses(await reopened(database)) == [(2, S.DOWNLOADING)]


async def test_an_update_that_ended_reports_its_end_although_another_has_begun(database: Database) -> None:
    record = FirmwareRecord(database)
    first = await record.store_status(await record.begin(order(1)), S.DOWNLOADING)
    await record.store_status(first, S.DOWNLOAD_FAILED)
    await record.store_status(await record.begin(order(1)), S.DOWNLOADING)  # the CSMS may use a request id again
    assert await drain_statuses(record) == [(1, S.DOWNLOADING), (1, S.DOWNLOAD_FAILED), (1, S.DOWNLOADING)]


async def test_an_update_that_has_ended_and_been_reported_is_forgotten(database: Database) -> None:
    record = FirmwareRecord(database)
    for number in range(20):
        update = await record.store_status(await record.begin(order(number)), S.DOWNLOADING)
        await record.store_status(update, S.DOWNLOAD_FAILED)
        await drain_statuses(record)
    rows = await database.rows("SELECT status FROM firmware_statuses ORDER BY id")
    assert rows == [(S.DOWNLOAD_FAILED,), (S.DOWNLOADING,), (S.DOWNLOAD_FAILED,)]  # the last one sent before, and ours
    assert await database.rows("SELECT COUNT(*) FROM firmware_updates") == [(1,)]


async def test_the_last_status_sent_outlives_the_update_that_sent_it(database: Database) -> None:
    record = FirmwareRecord(database)
    await record.store_status(await record.begin(order(1)), S.DOWNLOAD_FAILED)
    await drain_statuses(record)
    await record.begin(order(2))
    reloaded = await reopened(database)
    assert reloaded.last_sent is not None
    assert (reloaded.last_sent.request_id, reloaded.last_sent.status) == (1, S.DOWNLOAD_FAILED)
    assert reloaded.update is not None
    assert reloaded.update.status is None


async def test_a_record_that_cannot_be_read_is_left_out(database: Database) -> None:
    record = FirmwareRecord(database)
    await record.begin(order())
    await database.write("UPDATE firmware_updates SET payload = '{}'")
    assert (await reopened(database)).update is None


@pytest.mark.parametrize("status", [None, *FirmwareStatus])
def test_every_status_but_the_last_ones_has_a_next_step(status: FirmwareStatus | None) -> None:
    update = FirmwareUpdate(1, order(), status)
    assert (next_step(update) is UpdateStep.NONE) is update.finished is (status in END_STATUSES)


def test_without_a_signature_there_is_nothing_to_verify() -> None:
    assert next_step(FirmwareUpdate(1, order(signed=True), S.DOWNLOADED)) is UpdateStep.VERIFY
    assert next_step(FirmwareUpdate(1, order(signed=False), S.DOWNLOADED)) is UpdateStep.INSTALL


def test_what_can_be_cancelled() -> None:
    """L01.FR.24, L01.FR.27."""
    assert cancelable(FirmwareUpdate(1, order(), S.DOWNLOADING), installation=False)
    assert cancelable(FirmwareUpdate(1, order(), S.INSTALL_SCHEDULED), installation=False)
    assert not cancelable(FirmwareUpdate(1, order(), S.INSTALLING), installation=False)
    assert cancelable(FirmwareUpdate(1, order(), S.INSTALLING), installation=True)
    assert not cancelable(FirmwareUpdate(1, order(), S.INSTALL_REBOOTING), installation=True)
    assert cancelable(FirmwareUpdate(1, order(), S.INSTALLED), installation=False)


def test_attempts_and_pauses_are_bounded_below() -> None:
    assert order(retries=0).attempts == 1
    assert order(retries=-5).attempts == 1
    assert order(retries=4).attempts == 5
    assert UpdateOrder(1, "x", NOON, retry_interval_s=0).pause_s > 0
    assert UpdateOrder(1, "x", NOON, retry_interval_s=-7).pause_s > 0


async def test_statuses_that_nobody_listens_to_do_not_fill_the_disk(database: Database) -> None:
    """A CSMS may go on ordering what fails at once, and never answer a notification."""
    record = FirmwareRecord(database)
    for number in range(300):
        update = await record.begin(order(number))
        await record.store_status(await record.store_status(update, S.DOWNLOADING), S.DOWNLOAD_FAILED)
    statuses = await drain_statuses(record, most=999)
    assert len(statuses) <= 202
    assert statuses[-1] == (299, S.DOWNLOAD_FAILED)


async def test_a_full_disk_does_not_keep_the_last_update_from_being_read(disk: FullDisk, database: Database) -> None:
    record = FirmwareRecord(database)
    update = await record.begin(order())
    await record.store_status(update, S.INSTALLING)
    with disk.refusing(""):
        assert (await reopened(database)).update == FirmwareUpdate(update.id, order(), S.INSTALLING)


async def test_the_password_of_the_image_s_server_does_not_stay_on_the_disk(database: Database) -> None:
    record = FirmwareRecord(database)
    update = await record.begin(replace(order(), location="ftp://bob:hidden@host/image"))
    assert (await reopened(database)).update == update
    await record.store_status(await record.store_status(update, S.DOWNLOADING), S.DOWNLOAD_FAILED)
    assert "hidden" not in str(await database.rows("SELECT payload FROM firmware_updates"))
    reloaded = (await reopened(database)).update
    assert reloaded is not None
    assert reloaded.finished


class RacingRecord(FirmwareRecord):
    """A record whose statuses are all reported while it checks for unreported ones."""

    async def all_reported(self) -> bool:
        """Check, then report all statuses; returns the result of the check."""
        known = await super().all_reported()
        if not known:
            await drain_statuses(self)
        return known


async def test_the_last_status_ends_the_wait_also_when_it_is_reported_during_the_check(database: Database) -> None:
    record = RacingRecord(database)
    await record.store_status(await record.begin(order()), S.DOWNLOADING)
    async with asyncio.timeout(PATIENCE_S):
        await record.wait_all_reported()
