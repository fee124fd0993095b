"""A customer's data is found beside the commits, and the connection that writes reads only the rows that it changes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.local_list import LocalAuthorizationList
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.reservations.reservation_settings import ReservationSettings
from station.charging.reservations.reservation_store import ReservationStore
from station.charging.reservations.reservations import Reservations
from station.core.model import EventType, IdToken, TransactionEvent, TriggerReason
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue, SignedValue
from station.maintenance.customer_information import Customer, CustomerInformation, StoredTokens
from station.maintenance.found_rows import KEYS_PER_WRITE
from station.security.certificates.contract_records import ContractRecords
from station.storage.database import Database, Row, Value
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.set_aside_rows import SetAsideRows
from station.storage.sql import Statement
from tests import fakes
from tests.databases import open_database
from tests.walk import CARD, OTHER_CARD

TRANSACTIONS = KEYS_PER_WRITE + 1
"""ended and delivered transactions of a card, more than are changed in one write"""


class ExplainingDatabase(Database):
    """A database that records the query plans, and the numbers of rows, of what the writing connection executes."""

    plans: list[str]
    row_counts: list[int]

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Record the query plan of a query, then execute it."""
        await self._explain(sql, values)
        found = await super().rows(sql, values)
        self.row_counts.append(len(found))
        return found

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Record the query plan of a statement, then execute it."""
        await self._explain(sql, values)
        return await super().write(sql, values)

    async def write_together(self, *writes: Statement) -> None:
        """Record the query plans of statements, then execute them."""
        listed = [(sql, list(rows)) for sql, rows in writes]
        for sql, rows in listed:
            self.row_counts.append(len(rows))
            for values in rows[:1]:
                await self._explain(sql, values)
        await super().write_together(*listed)

    async def _explain(self, sql: str, values: Sequence[Value]) -> None:
        plan = await super().rows(f"EXPLAIN QUERY PLAN {sql}", values)
        self.plans.extend(str(row[3]) for row in plan)


class ChangingDatabase(Database):
    """A database in which another task corrects the times of payloads once they have been read to be changed."""

    corrected: dict[str, int]
    """by table, how many payloads were corrected; tables not in it are left alone"""

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Execute a query, then change the payloads that it has read."""
        found = await super().rows(sql, values)
        for table in ("events", "ended_samples"):
            if sql.startswith("SELECT payload, CAST") and f"FROM {table} WHERE" in sql and table not in self.corrected:
                await super().write(f"UPDATE {table} SET payload = replace(payload, '12:00:00', '12:00:01')")
                self.corrected[table] = len(found)
        return found


def signed_value(card: IdToken) -> MeterValue:
    """A meter value that is signed for a card."""
    record = "OCMF|" + json.dumps({"IT": "ISO14443", "ID": card.value}, separators=(",", ":"))
    register = SampledValue(
        5.0, Measurand.ENERGY_IMPORT_REGISTER, ReadingContext.SAMPLE_PERIODIC, "Wh", signed=SignedValue(record)
    )
    return MeterValue(fakes.NOON, (register,))


def begin(name: str, card: IdToken) -> TransactionEvent:
    """The signed Started event of a transaction."""
    values = (signed_value(card),)
    return TransactionEvent(
        name, 1, EventType.STARTED, TriggerReason.AUTHORIZED, fakes.NOON, id_token=card, meter_values=values
    )


async def record_end(outbox: Outbox, name: str, card: IdToken) -> None:
    """Record the signed Ended event of a transaction."""
    await outbox.append(replace(begin(name, card), event_type=EventType.ENDED, trigger=TriggerReason.STOP_AUTHORIZED))


async def record(outbox: Outbox, name: str, card: IdToken, *, ended: bool = True) -> None:
    """Record a transaction with signed events and a signed sample."""
    await outbox.append(begin(name, card))
    await outbox.end_data.store_sample(name, signed_value(card))
    if ended:
        await record_end(outbox, name, card)


async def deliver_all(outbox: Outbox) -> None:
    """Settle all events."""
    while (queued := await outbox.oldest()) is not None:
        await outbox.settle(queued)
    await outbox.flush()


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[tuple[Database, Outbox]]:
    """A database with delivered transactions of two cards, one of the first running, and one that is not delivered."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        outbox = Outbox(database, clock)
        for number in range(TRANSACTIONS):
            await record(outbox, f"ended-{number}", CARD)
        await record(outbox, "other", OTHER_CARD)
        await record(outbox, "running", CARD, ended=False)
        await deliver_all(outbox)
        await record(outbox, "undelivered", CARD)
        yield database, outbox


def customer_information(database: Database, outbox: Outbox) -> CustomerInformation:
    """The customer information of a station with this database."""
    clock, settings = fakes.clock(), AuthorizationSettings()
    tokens = StoredTokens(
        AuthorizationCache(database, settings, clock),
        LocalAuthorizationList(database, settings, clock),
        OwnerCards(FactStore(database, "card"), clock),
    )
    reservations = Reservations({}, ReservationStore(database), ReservationSettings(), clock, reports_ends=False)
    contracts = ContractRecords(FactStore(database, "contract"), clock)
    return CustomerInformation(tokens, reservations, contracts, outbox, database, SetAsideRows(database), clock)


def explaining(opened: Database) -> ExplainingDatabase:
    """The same database, recording its query plans."""
    connection, reads = opened._connection, opened._read_connections  # pyright: ignore[reportPrivateUsage]  # the same file
    database = ExplainingDatabase(connection, fakes.clock(), reads)
    database.plans, database.row_counts = [], []
    return database


def changing(opened: Database) -> ChangingDatabase:
    """The same database, with another task that changes payloads."""
    connection, reads = opened._connection, opened._read_connections  # pyright: ignore[reportPrivateUsage]  # the same file
    database = ChangingDatabase(connection, fakes.clock(), reads)
    database.corrected = {}
    return database


async def naming(database: Database, card: IdToken) -> set[tuple[str, str]]:
    """Return table and transaction of each row that contains a card."""
    return {
        (table, str(of))
        for table, text in (("events", "payload"), ("ended_samples", "payload"), ("transactions", "token"))
        for (of,) in await database.rows(
            f"SELECT transaction_id FROM {table} WHERE instr(lower({text}), ?)", (card.value.lower(),)
        )
    }


def all_of(names: Iterable[str]) -> set[tuple[str, str]]:
    """The rows of these transactions in all tables."""
    return {(table, name) for table in ("events", "ended_samples", "transactions") for name in names}


async def test_the_writing_connection_scans_no_records_and_changes_few_in_each_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, outbox):
        explained = explaining(database)
        await customer_information(explained, outbox).clear(Customer(id_token=CARD))
        searched = [plan for plan in explained.plans if plan.startswith("SEARCH")]
        assert {"events", "ended_samples", "transactions"} <= {plan.split()[1] for plan in searched}
        scans = [plan for plan in explained.plans if plan.startswith("SCAN")]
        assert set(scans) <= {"SCAN json_each VIRTUAL TABLE INDEX 1:"}, "only keys passed by the caller"
        assert max(explained.row_counts) == KEYS_PER_WRITE


async def test_only_what_is_still_needed_names_a_customer_who_was_cleared(tmp_path: Path) -> None:
    """N10.FR.03: of a running transaction, and of one that the CSMS has not received; later that goes too."""
    async with opened(tmp_path) as (database, outbox):
        customers = customer_information(database, outbox)
        of_other_card = await naming(database, OTHER_CARD)
        assert (await customers.clear(Customer(id_token=CARD))).needed == 3
        assert await naming(database, CARD) == all_of(["running", "undelivered"])
        await deliver_all(outbox)
        assert (await customers.clear(Customer(id_token=CARD))).needed == 1
        assert await naming(database, CARD) == all_of(["running"])
        await record_end(outbox, "running", CARD)
        await deliver_all(outbox)
        assert (await customers.clear(Customer(id_token=CARD))).needed == 0
        assert await naming(database, CARD) == set()
        assert await naming(database, OTHER_CARD) == of_other_card == all_of(["other"])


async def test_a_payload_that_changes_while_it_is_erased_keeps_the_change_and_no_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, outbox):
        corrected = changing(database)
        await customer_information(corrected, outbox).clear(Customer(id_token=CARD))
        assert corrected.corrected == {"events": KEYS_PER_WRITE, "ended_samples": KEYS_PER_WRITE}
        assert await naming(database, CARD) == all_of(["running", "undelivered"])
        for table in ("events", "ended_samples"):
            assert await database.rows(f"SELECT id FROM {table} WHERE instr(payload, '12:00:00')") == []
