"""Finds unreadable rows of a storage: all of them in `borne check --storage`, the pending ones at the start."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.billing.transaction_rows import BILLS, COLUMNS, PRICE_LISTS, period_of, transaction_of
from station.charging.authorization import local_list_rows
from station.charging.authorization.authorization_cache import entry_of, place_of
from station.charging.reservations.reservation import RESERVATIONS
from station.charging.signing import signed_records
from station.load.charging_profiles import PROFILES
from station.maintenance.firmware.record import ORDERS
from station.maintenance.firmware.state import FirmwareStatus
from station.maintenance.monitoring.monitor_store import monitor_from_text, monitoring_event_from_text
from station.security.security_events import SecurityEventType, event_from_row
from station.storage import payloads
from station.storage.database_schema import NewerDatabaseError, migrate, migrations
from station.storage.read_only_access import read_only_access
from station.storage.unreadable_rows import UNREADABLE_ERRORS, RowAddress, UnreadableRow, describe_error

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.setting_groups import SettingGroups
    from station.security.security_events import SecurityEvents
    from station.storage.database import Database
    from station.storage.sql import Row, Value

_ROWS_AT_ONCE: Final = 100
"""rows read at once at the start, so that other tasks do not wait long"""
_MAX_REPORTED: Final = 20
"""most rows of one check that are reported to the CSMS one by one"""


class StorageUnreadableError(Exception):
    """The storage cannot be opened for `borne check --storage`; the message says why, for people."""


class _Source(Frozen):
    """A table, or one column of it, with the parser of its rows."""

    name: str
    key: str
    """column of the primary key"""
    columns: str
    """columns to parse"""
    parse: Callable[[Row], object]
    """raises one of UNREADABLE_ERRORS if a row is unreadable"""
    transaction: str = "NULL"
    """column of the transaction id"""
    number: str = "NULL"
    """column of the sequence number of the event in its transaction"""
    where: str = "TRUE"

    @property
    def select(self) -> str:
        """SQL that reads the rows: key, transaction, sequence number, columns."""
        table = self.name.partition(".")[0]
        return f"SELECT {self.key}, {self.transaction}, {self.number}, {self.columns} FROM {table} WHERE {self.where}"

    def place(self, row: Row) -> RowAddress:
        """The address of a row of `select`."""
        key, transaction_id, number = row[:3]
        return RowAddress(
            self.name,
            str(key),
            str(transaction_id) if transaction_id is not None else None,
            number if isinstance(number, int) else None,
        )


def _of_first_column(parse: Callable[[Value], object]) -> Callable[[Row], object]:
    return lambda row: parse(row[0])


_PENDING: Final = (
    _Source(
        "events",
        "id",
        "payload",
        _of_first_column(payloads.event_from_text),
        transaction="transaction_id",
        number="seq_no",
        where="settled_at IS NULL",
    ),
    _Source("ended_samples", "id", "payload", _of_first_column(payloads.value_from_text), transaction="transaction_id"),
    _Source(
        "awaited_ends",
        "transaction_id",
        "payload",
        _of_first_column(payloads.event_from_text),
        transaction="transaction_id",
    ),
)
"""data still to be sent to the CSMS"""
_SOURCES: Final = (
    _Source(
        "events",
        "id",
        "payload",
        _of_first_column(payloads.event_from_text),
        transaction="transaction_id",
        number="seq_no",
    ),
    *_PENDING[1:],
    _Source(
        "transactions",
        "transaction_id",
        COLUMNS,
        lambda row: transaction_of(row, None, None),
        transaction="transaction_id",
    ),
    _Source(
        "transactions.prices",
        "transaction_id",
        "prices",
        _of_first_column(PRICE_LISTS.from_text),
        transaction="transaction_id",
        where="prices IS NOT NULL",
    ),
    _Source(
        "transactions.bill",
        "transaction_id",
        "bill",
        _of_first_column(BILLS.from_text),
        transaction="transaction_id",
        where="bill IS NOT NULL",
    ),
    _Source("tariff_readings", "id", "period, at, energy_wh", period_of, transaction="transaction_id"),
    _Source(
        "signed_records",
        "number",
        signed_records.COLUMNS,
        signed_records.record_of,
        transaction="transaction_id",
    ),
    _Source(
        "signing_keys",
        "fingerprint",
        "fingerprint, evse_id, signer, spki, since",
        lambda row: signed_records.known_key_of(row, None),
    ),
    _Source("charging_profiles", "id", "payload", _of_first_column(PROFILES.from_text)),
    _Source(local_list_rows.STATE_TABLE, "id", "version, entries, size_bytes", local_list_rows.state_of),
    _Source("reservations", "number", "payload", _of_first_column(RESERVATIONS.from_text), where="ended IS NULL"),
    _Source("firmware_updates", "id", "payload", _of_first_column(ORDERS.from_text)),
    _Source("firmware_statuses", "id", "status", _of_first_column(lambda word: FirmwareStatus(str(word)))),
    _Source("monitors", "id", "monitor", _of_first_column(monitor_from_text)),
    _Source("monitoring_events", "number", "event", _of_first_column(monitoring_event_from_text)),
    _Source("security_events", "id", "id, type, occurred_at, info, to_tell", event_from_row),
)
"""all data, except settings"""
_CACHE: Final = "SELECT token, type, info, updated_at, stored_at, used_at, uses FROM authorization_cache"
_LOCAL_LIST: Final = "SELECT token, type, info FROM local_list"


def _sources(settings: SettingGroups) -> tuple[_Source, ...]:
    """All data with a parser, settings last."""

    def check_setting(row: Row) -> None:
        settings.check_stored(str(row[0]), str(row[1]))

    return (*_SOURCES, _Source("settings", "name", "name, value", check_setting))


def unreadable_rows(storage: Path, settings: SettingGroups, *, only_new: bool = False) -> list[str]:
    """Describe each unreadable row of a storage folder in a sentence; read-only, a station may be using it. Blocks.

    A storage of an older version is checked as this version would read it after its start. Rows recorded by the station
    itself, such as facts, are included; with `only_new` no row is that it has recorded.

    Raises:
        StorageUnreadableError: there is no storage, it is of a newer version, or it is not a database.
    """
    sources = _sources(settings)
    with _open_read_only(storage) as connection:
        problems = {
            row_place.identity: (row_place, problem) for row_place, problem in _find_unreadable(connection, sources)
        }
        checked = {source.name for source in sources} | {"authorization_cache", local_list_rows.TABLE}
        recorded = connection.execute(
            "SELECT source, row_key, transaction_id, seq_no, problem FROM unreadable_rows ORDER BY source, row_key"
        )
        for source, key, transaction_id, seq_no, problem in recorded:
            address = RowAddress(str(source), str(key), transaction_id, seq_no)
            if only_new:
                problems.pop(address.identity, None)
            elif source not in checked:
                problems[address.identity] = (address, str(problem))
        return [f"{address}: {problem}" for address, problem in problems.values()]


def _find_unreadable(connection: sqlite3.Connection, sources: Sequence[_Source]) -> Iterator[tuple[RowAddress, str]]:
    for source in sources:
        for row in connection.execute(source.select):
            if (problem := _parse_problem(source.parse, row[3:])) is not None:
                yield source.place(row), problem
    for row in connection.execute(_CACHE):
        if (problem := _parse_problem(entry_of, row)) is not None:
            yield place_of((str(row[0]), str(row[1]))), problem
    for row in connection.execute(_LOCAL_LIST):
        if (problem := _parse_problem(local_list_rows.info_of, row)) is not None:
            yield local_list_rows.address_of((str(row[0]), str(row[1]))), problem


def _parse_problem(parse: Callable[[Row], object], row: Row) -> str | None:
    try:
        parse(row)
    except UNREADABLE_ERRORS as error:
        return describe_error(error)
    return None


@contextlib.contextmanager
def _open_read_only(storage: Path) -> Generator[sqlite3.Connection]:
    """Open a database read-only; one of an older version is copied into memory and migrated.

    If another process opens it meanwhile, a row that it writes may be reported although it is readable
    (`ReadOnlyAccess.immutable`).
    """
    file = storage / "borne.sqlite"
    if not file.is_file():
        raise StorageUnreadableError(f"{file}: does not exist")
    try:
        with contextlib.closing(_TolerantConnection(read_only_access(file).address, uri=True)) as connection:
            ((version,),) = connection.execute("PRAGMA user_version")
            if version == len(migrations()):
                yield connection
                return
            with contextlib.closing(_TolerantConnection(":memory:")) as copy:
                connection.backup(copy)
                migrate(copy)
                yield copy
    except NewerDatabaseError as error:
        raise StorageUnreadableError(f"{file}: was written by a newer version of this program") from error
    except sqlite3.Error as error:
        raise StorageUnreadableError(f"{file}: {error}") from error


class _TolerantConnection(sqlite3.Connection):
    """A connection that reads damaged texts, with replacement characters for what is no UTF-8."""

    def __init__(self, database: str, *, uri: bool = False) -> None:
        super().__init__(database, uri=uri)
        self.text_factory = partial(bytes.decode, errors="replace")


class UnreadableRowsMonitor:
    """Finds unreadable rows of the running station's database, and reports each once as a security event."""

    def __init__(
        self, database: Database, security_events: SecurityEvents, settings: SettingGroups, clock: Clock
    ) -> None:
        self._database = database
        self._unreadable = database.unreadable
        self._sources = _sources(settings)
        self._security_events = security_events
        self._clock = clock

    async def run(self) -> None:
        """Retry the rows recorded as unreadable, check the data still to be sent, then report rows until cancelled.

        Raises:
            StorageError: the disk cannot be read or written; the next run completes it.
        """
        await self._recheck_recorded()
        for source in _PENDING:
            await self._check_pending(source)
        while True:
            change_count = self._unreadable.changed.count
            await self._unreadable.save()
            await self._report([row for row in self._unreadable.all() if not row.reported])
            await self._unreadable.changed.wait(change_count)

    async def _recheck_recorded(self) -> None:
        """Read the recorded rows again; remove those that are readable or deleted."""
        for source in self._sources:
            for recorded in self._unreadable.of(source.name):
                rows = await self._database.rows(f"{source.select} AND {source.key} = ?", (recorded.address.key,))
                if not rows:
                    self._unreadable.remove(recorded.address)
                for row in rows:
                    self._unreadable.read(source.parse, row[3:], source.place(row))

        for recorded in self._unreadable.of("facts"):  # owners read their facts again; only deleted ones remain here
            if not await self._database.rows("SELECT 1 FROM facts WHERE name = ?", (recorded.address.key,)):
                self._unreadable.remove(recorded.address)

    async def _check_pending(self, source: _Source) -> None:
        after: Value = None
        while rows := await self._database.rows(
            f"{source.select} AND (?1 IS NULL OR {source.key} > ?1) ORDER BY {source.key} LIMIT ?2",
            (after, _ROWS_AT_ONCE),
        ):
            for row in rows:
                self._unreadable.read(source.parse, row[3:], source.place(row))
            after = rows[-1][0]
            await self._clock.sleep(0.0)

    async def _report(self, rows: list[UnreadableRow]) -> None:
        for row in rows[:_MAX_REPORTED]:
            await self._security_events.report(SecurityEventType.UNREADABLE_RECORD, str(row))
        if (more := len(rows) - _MAX_REPORTED) > 0:
            await self._security_events.report(
                SecurityEventType.UNREADABLE_RECORD, f"{more} more rows cannot be read; the station lists them"
            )
        await self._unreadable.mark_reported(rows)
