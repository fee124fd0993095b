"""The log of transactions: written with the events, searched, corrected, and readable whatever is in it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from metering.reading import RegisterReading
from metering.time_quality import TimeStatus
from station.billing.logged_transaction import TransactionKind
from station.billing.price import Bill, BilledItem, PeriodPrice, PeriodReading, PriceList
from station.billing.prices import Prices
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.billing.transaction_rows import price_list_from, price_list_text
from station.core.model import EventType, IdToken, StoppedReason, TriggerReason
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

HOUR = timedelta(hours=1)
CENTS = PriceList("CHF", Decimal("0.30"), (PeriodPrice("HC", Decimal("0.12345")),), Decimal(1), Decimal(2), 60)


@dataclass
class LogFixture:
    """A database with transaction events, and the log and the prices in it."""

    database: Database
    outbox: Outbox
    log: TransactionLog
    prices: Prices

    async def begin(self, name: str, at: datetime = fakes.NOON, **more: object) -> None:
        """Record the begin of a transaction."""
        event = replace(
            fakes.event(name, EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN),
            occurred_at=at,
            register=RegisterReading(1000.5, at, TimeStatus.SYNCHRONIZED),
        )
        await self.outbox.append(replace(event, **more))

    async def end(
        self,
        name: str,
        at: datetime = fakes.NOON + HOUR,
        wh: float = 3000.25,
        time: TimeStatus = TimeStatus.INFORMATIVE,
    ) -> None:
        """Record the end of the transaction."""
        event = replace(
            fakes.event(name, EventType.ENDED, TriggerReason.STOP_AUTHORIZED),
            occurred_at=at,
            stopped_reason=StoppedReason.LOCAL,
            register=RegisterReading(wh, at, time, substitute=True),
            time_spent_charging_s=1800,
        )
        await self.outbox.append(event)

    async def found(self, search: TransactionQuery | None = None) -> list[str]:
        """Ids of the transactions that the search finds."""
        return [
            transaction.transaction_id
            for transaction in (await self.log.find(search or TransactionQuery())).transactions
        ]


async def correct_times(
    fixture: LogFixture, transaction_id: str, correction: timedelta, until: datetime, *, begin_is_wrong: bool
) -> None:
    """Correct those times of the transaction that the wrong clock gave up to `until`."""

    def corrected(at: datetime) -> datetime:
        return at + correction if at <= until else at

    await fixture.database.write_together(
        *await fixture.log.correction_statements(transaction_id, correction, corrected, begin_is_wrong=begin_is_wrong)
    )


@contextlib.asynccontextmanager
async def log_fixture(path: Path) -> AsyncGenerator[LogFixture]:
    """An empty database of a station."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield LogFixture(
            database, Outbox(database, clock), TransactionLog(database), Prices(FactStore(database, "prices"))
        )


async def test_a_transaction_is_in_the_log_with_the_event_that_begins_it_and_closed_by_the_one_that_ends_it(
    tmp_path: Path,
) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        begun = await fixture.log.get("tx")
        assert begun is not None
        assert (begun.began_at, begun.ended_at, begun.energy_wh, begun.duration) == (fakes.NOON, None, None, None)
        assert begun.begin.energy_wh == Decimal("1000.500")
        assert begun.begin.time == "S"
        await fixture.outbox.append(replace(fakes.event("tx"), id_token=fakes.CARD))
        await fixture.outbox.append(replace(fakes.event("tx"), id_token=fakes.OTHER_CARD))
        await fixture.end("tx")
        ended = await fixture.log.get("tx")
        assert ended is not None
        assert (ended.token, ended.token_type) == (fakes.CARD.value, fakes.CARD.type), "whoever came first"
        assert ended.energy_wh == Decimal("1999.750")
        assert ended.duration == HOUR
        assert (ended.stopped_reason, ended.charging_s) == ("Local", 1800)
        assert (ended.end.time, ended.end.substitute) == ("I", True)


@pytest.mark.parametrize("authorized_first", [True, False])
async def test_a_test_session_is_one_in_the_log_whether_it_was_authorized_before_or_after_its_begin(
    tmp_path: Path, authorized_first: bool
) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx", test_session=authorized_first)
        if not authorized_first:
            await fixture.outbox.append(replace(fakes.event("tx"), test_session=True))
        await fixture.end("tx")
        await fixture.begin("another")
        kinds = {
            transaction.transaction_id: transaction.kind
            for transaction in (await fixture.log.find(TransactionQuery())).transactions
        }
        assert kinds == {"tx": TransactionKind.TEST, "another": TransactionKind.CHARGE}


async def test_a_search_counts_test_sessions_and_those_without_energy_as_the_transactions_say(tmp_path: Path) -> None:
    """One whose register is a substitute, and one that goes on, have not ended without energy."""
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("charge")
        await fixture.end("charge")
        await fixture.begin("test", test_session=True)
        await fixture.end("test", wh=1000.5)
        await fixture.begin("substitute")
        await fixture.end("substitute", wh=1000.5)
        await fixture.begin("empty")
        unchanged = RegisterReading(1000.5, fakes.NOON + HOUR, TimeStatus.SYNCHRONIZED)
        ended = fakes.event("empty", EventType.ENDED, TriggerReason.STOP_AUTHORIZED)
        await fixture.outbox.append(replace(ended, register=unchanged))
        await fixture.begin("running")
        found = await fixture.log.find(TransactionQuery(), most=1)
        assert (found.total, found.tests, found.without_energy) == (5, 1, 1)
        kinds = [transaction.kind for transaction in (await fixture.log.find(TransactionQuery())).transactions]
        assert (kinds.count(TransactionKind.TEST), kinds.count(TransactionKind.NO_ENERGY)) == (1, 1)


async def test_the_log_outlives_the_events(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        await fixture.end("tx")
        while (queued := await fixture.outbox.oldest()) is not None:
            await fixture.outbox.settle(queued)
        await fixture.outbox.flush()
        await fixture.outbox.prune(keep_settled=0)
        assert await fixture.outbox.events("tx") == []
        assert await fixture.found() == ["tx"]


async def test_a_search_finds_what_all_of_its_conditions_fit_the_newest_first(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        for number in range(6):
            card = fakes.CARD if number % 2 else fakes.OTHER_CARD
            await fixture.begin(f"tx{number}", fakes.NOON + number * HOUR, evse_id=1 + number % 3, id_token=card)
            if number != 4:
                await fixture.end(f"tx{number}", fakes.NOON + (number + 1) * HOUR)
        assert await fixture.found() == ["tx5", "tx4", "tx3", "tx2", "tx1", "tx0"]
        span = TransactionQuery(since=fakes.NOON + HOUR, until=fakes.NOON + 4 * HOUR)
        assert await fixture.found(span) == ["tx3", "tx2", "tx1"]
        assert await fixture.found(replace(span, token=fakes.CARD.value.lower())) == ["tx3", "tx1"]
        assert await fixture.found(replace(span, evse_id=2)) == ["tx1"]
        assert await fixture.found(TransactionQuery(ongoing=True)) == ["tx4"]
        assert await fixture.found(TransactionQuery(ongoing=False, evse_id=2)) == ["tx1"]
        page = await fixture.log.find(TransactionQuery(), skip=1, most=2)
        assert (page.total, [transaction.transaction_id for transaction in page.transactions]) == (6, ["tx4", "tx3"])


async def test_a_search_by_a_shortened_token_finds_the_cards_that_are_shown_so(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("one", id_token=fakes.CARD)
        await fixture.begin("two", id_token=fakes.OTHER_CARD)
        await fixture.begin("odd", id_token=IdToken("04B3_%80", "ISO14443"))
        assert await fixture.found(TransactionQuery(token="04A3…80")) == ["one"]
        assert await fixture.found(TransactionQuery(token="04a3…80")) == ["one"]
        assert await fixture.found(TransactionQuery(token="____…80")) == [], "no wildcards"
        await fixture.begin("code", id_token=IdToken("1234", "KeyCode"))
        assert await fixture.found(TransactionQuery(token="…")) == ["code"], "of which nothing is shown"


async def test_a_search_for_cards_finds_those_of_all_of_them_and_of_no_others(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("one", id_token=fakes.CARD)
        await fixture.begin("two", id_token=fakes.OTHER_CARD)
        await fixture.begin("code", id_token=replace(fakes.CARD, type="KeyCode"))
        lower_case = replace(fakes.CARD, value=fakes.CARD.value.lower())
        assert await fixture.found(TransactionQuery(cards=(lower_case,))) == ["one"]
        assert sorted(await fixture.found(TransactionQuery(cards=(fakes.CARD, fakes.OTHER_CARD)))) == ["one", "two"]
        assert await fixture.found(TransactionQuery(cards=())) == []


async def test_a_search_in_another_time_zone_finds_the_same_moment(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        assert await fixture.found(TransactionQuery(since=datetime.fromisoformat("2026-01-15T13:00:00+01:00"))) == [
            "tx"
        ]
        assert await fixture.found(TransactionQuery(since=datetime.fromisoformat("2026-01-15T12:30:00+00:00"))) == []


async def test_a_transaction_keeps_the_prices_of_its_begin(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("free")
        await fixture.prices.load(installed=CENTS)
        await fixture.begin("installed")
        await fixture.prices.change(replace(CENTS, currency="EUR"))
        await fixture.begin("owners")
        await fixture.prices.change(None)
        await fixture.begin("free again")
        transactions = [await fixture.log.get(name) for name in ("free", "installed", "owners", "free again")]
        assert [transaction.prices if transaction is not None else "?" for transaction in transactions] == [
            None,
            CENTS,
            replace(CENTS, currency="EUR"),
            None,
        ]


async def test_prices_and_bills_come_back_as_they_were(tmp_path: Path) -> None:
    line = BilledItem(
        "energy", Decimal("1.9995"), "kWh", Decimal("0.30"), Decimal("0.60"), "HC", Decimal(0), Decimal("1.5")
    )
    cost = Bill("EUR", (line,), Decimal("0.60"), "a register was not read")
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        await fixture.log.store_bill("tx", cost)
        found = await fixture.log.get("tx")
        assert found is not None
        assert found.bill == cost
    assert price_list_from(price_list_text(CENTS)) == CENTS
    with pytest.raises(ValueError, match=r"JSON"):
        price_list_from("{")


async def test_a_line_whose_prices_cannot_be_read_is_a_line_all_the_same(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        await fixture.database.write("UPDATE transactions SET prices = '{', bill = 'null and void'")
        found = await fixture.log.get("tx")
        assert found is not None
        assert (found.prices, found.bill) == (None, None)


@pytest.mark.parametrize("column", ["began_at", "told_cost", "begin_wh", "lasted_s", "end_read_at"])
async def test_a_line_that_flash_memory_has_spoilt_hides_no_other(tmp_path: Path, column: str) -> None:
    async with log_fixture(tmp_path) as fixture:
        for name in ("spoilt", "whole"):
            await fixture.begin(name)
            await fixture.end(name)
        await fixture.database.write(f"UPDATE transactions SET {column} = '1q' WHERE transaction_id = 'spoilt'")
        assert await fixture.found() == ["whole"]
        pages = [page async for page in fixture.log.pages(TransactionQuery())]
        assert [transaction.transaction_id for page in pages for transaction in page] == ["whole"]
        assert await fixture.log.get("spoilt") is None


@pytest.mark.parametrize(("column", "spoilt"), [("at", "'1q'"), ("energy_wh", "'1q'"), ("energy_wh", "1e300")])
async def test_a_register_between_two_periods_that_flash_memory_has_spoilt_is_one_that_was_not_read(
    tmp_path: Path, column: str, spoilt: str
) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        for period, register_wh in (("HP", 1000.0), ("HC", 2000.0)):
            await fixture.log.begin_period("tx", PeriodReading(period, fakes.NOON, register_wh))
        await fixture.database.write(f"UPDATE tariff_readings SET {column} = {spoilt} WHERE period = 'HC'")
        assert [transaction.energy_wh for transaction in await fixture.log.periods("tx")] == [1000.0, None]
        await correct_times(fixture, "tx", HOUR, fakes.NOON, begin_is_wrong=True)
        assert (await fixture.log.periods("tx"))[0].at == fakes.NOON + HOUR


async def test_which_meter_counted_is_noted_once(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("tx")
        for serial in (None, "M1", "M2"):
            await fixture.log.store_meter_serial("tx", serial)
        found = await fixture.log.get("tx")
        assert found is not None
        assert found.meter_serial == "M1"


async def test_what_was_recorded_with_a_wrong_clock_is_moved_and_nothing_else(tmp_path: Path) -> None:
    """The end came after the correction, or the begin in a run whose clock was right."""
    async with log_fixture(tmp_path) as fixture:
        await fixture.begin("begun")
        await fixture.log.begin_period("begun", PeriodReading("HC", fakes.NOON, 1000.0))
        await fixture.end("begun", fakes.NOON + 30 * HOUR)
        await correct_times(fixture, "begun", 24 * HOUR, fakes.NOON + HOUR, begin_is_wrong=True)
        found = await fixture.log.get("begun")
        assert found is not None
        assert (found.began_at, found.ended_at) == (fakes.NOON + 24 * HOUR, fakes.NOON + 30 * HOUR)
        assert (found.begin.read_at, found.end.read_at) == (found.began_at, found.ended_at)
        assert found.corrected_s == 86_400.0
        assert [transaction.at for transaction in await fixture.log.periods("begun")] == [fakes.NOON + 24 * HOUR]
        await fixture.begin("ended")
        await fixture.end("ended", fakes.NOON - 99 * HOUR)
        await correct_times(fixture, "ended", 200 * HOUR, fakes.NOON, begin_is_wrong=False)
        found = await fixture.log.get("ended")
        assert found is not None
        assert (found.began_at, found.ended_at) == (fakes.NOON, fakes.NOON + 101 * HOUR)
        await correct_times(fixture, "never", HOUR, fakes.NOON, begin_is_wrong=True)


async def test_what_is_older_than_it_is_kept_goes_with_its_periods_and_what_goes_on_stays(tmp_path: Path) -> None:
    async with log_fixture(tmp_path) as fixture:
        for name, days in (("old", 400), ("open", 400), ("new", 10)):
            begin = fakes.NOON - timedelta(days=days)
            await fixture.begin(name, begin)
            await fixture.log.begin_period(name, PeriodReading("HC", begin, 1000.0))
            if name != "open":
                await fixture.end(name, begin + HOUR, time=TimeStatus.SYNCHRONIZED)
        await fixture.log.prune(fakes.NOON - timedelta(days=365))
        assert await fixture.found() == ["new", "open"]
        rows = await fixture.database.rows("SELECT transaction_id FROM tariff_readings ORDER BY id")
        assert [row[0] for row in rows] == ["open", "new"]


async def test_a_clock_that_was_years_behind_makes_nothing_old(tmp_path: Path) -> None:
    """A battery ran out: what was recorded then goes with what a right clock dates after it, and not before."""
    async with log_fixture(tmp_path) as fixture:
        behind = fakes.NOON - timedelta(days=4_000)
        for name, time in (("battery", TimeStatus.INFORMATIVE), ("nobody", TimeStatus.UNKNOWN)):
            await fixture.begin(name, behind)
            await fixture.end(name, behind + HOUR, time=time)
        await fixture.begin("right", fakes.NOON)
        await fixture.end("right", fakes.NOON + HOUR, time=TimeStatus.SYNCHRONIZED)
        await fixture.log.prune(fakes.NOON - timedelta(days=365))
        assert await fixture.found() == ["right", "nobody", "battery"]
        await fixture.begin("open", fakes.NOON)
        await fixture.log.prune(fakes.NOON + timedelta(days=365))
        assert await fixture.found() == ["open"]
