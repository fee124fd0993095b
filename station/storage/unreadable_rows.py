"""Unreadable rows: each stays where it is stored, is listed in a separate table, and is retried later.

A row becomes unreadable by corruption, or if another version of the program expects other fields. It is never deleted
or settled, and does not block other rows. It is removed from the list once it is read without an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.supervision import contained_call
from station.storage.stored_names import FieldError, StoredValueError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.sql import Row, SqlStore, Value

S = TypeVar("S")
T = TypeVar("T")
_log = logging.getLogger(__name__)

UNREADABLE_ERRORS: Final = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""exceptions of parsers: ArithmeticError by invalid decimal numbers, the last three by JSON of another shape"""
_MAX_FIELDS: Final = 3
"""maximum number of fields named in the problem of one row"""
_LONGEST_SENTENCE: Final = 160
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_INSERT: Final = (
    "INSERT INTO unreadable_rows (source, row_key, transaction_id, seq_no, problem, found_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (source, row_key) DO UPDATE SET problem = excluded.problem"
)
_DELETE: Final = "DELETE FROM unreadable_rows WHERE source = ? AND row_key = ?"
_MARK_REPORTED: Final = "UPDATE unreadable_rows SET reported = 1 WHERE source = ? AND row_key = ?"


def select_unreadable(source: str) -> str:
    """Return the SQL subquery for the primary keys of the listed unreadable rows of a table."""
    return f"SELECT row_key FROM unreadable_rows WHERE source = '{source}'"


class RowAddress(Frozen):
    """The address of a row of the database: table and primary key; for messages also its transaction."""

    source: str
    """the table, or `table.column` for one column only"""
    key: str
    """its primary key in that table"""
    transaction_id: str | None = None
    seq_no: int | None = None
    """the number of the event in its transaction"""

    @property
    def identity(self) -> tuple[str, str]:
        """Table and primary key, which identify the row without its transaction."""
        return self.source, self.key

    def __str__(self) -> str:
        transaction = f" of transaction {self.transaction_id}" if self.transaction_id is not None else ""
        event = f", event {self.seq_no}" if self.seq_no is not None else ""
        return f"{self.source} {self.key}{transaction}{event}"


def event_address(number: Value, transaction_id: Value, seq_no: Value) -> RowAddress:
    """Build the address of a row of table `events` from its columns; seqNo is left out if it is not an integer."""
    return RowAddress("events", str(number), str(transaction_id), seq_no if isinstance(seq_no, int) else None)


class UnreadableRow(Frozen):
    """An entry of the list of unreadable rows: which stored row could not be parsed, and why."""

    address: RowAddress
    problem: str
    """which field is missing or wrong; never its value"""
    found_at: datetime
    """when it was first found with this problem"""
    reported: bool = False
    """whether a security event has reported it"""

    def __str__(self) -> str:
        return f"{self.address}: {self.problem}"


class UnreadableRows:
    """The list of stored rows that could not be parsed; `save` writes the list to disk. The rows stay as they are."""

    def __init__(self, store: SqlStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rows: dict[tuple[str, str], UnreadableRow] = {}
        self._unsaved: set[tuple[str, str]] = set()
        """rows that were added to the list, or removed from it, since it was saved"""
        self.changed = ChangeSignal()
        """fires when a row is added to the list or removed from it"""

    async def load(self) -> None:
        """Load the list from disk; call once, before the first `read`.

        Raises:
            StorageError: the disk cannot be read.
        """
        found = await self._store.rows(
            "SELECT source, row_key, transaction_id, seq_no, problem, found_at, reported FROM unreadable_rows"
        )
        self._rows = {row.address.identity: row for row in map(_from_row, found)}
        if self._rows:
            _log.error("%d stored rows could not be read before this start; they are kept", len(self._rows))

    def read(self, parse: Callable[[S], T], stored: S, address: RowAddress) -> T | None:
        """Return `parse(stored)`; if it fails, list the row as unreadable, log it once, and return None.

        If it succeeds, the row is removed from the list. Only the list in memory changes, until `save`.
        """
        value = contained_call(partial(parse, stored))  # whatever is wrong with one row must not end the station
        if isinstance(value, Exception):
            self.add(address, describe_error(value))
            return None
        self.remove(address)
        return value

    def add(self, address: RowAddress, problem: str) -> None:
        """Add a row with its problem (`describe_error`) to the list in memory, and log it; nothing if it is listed."""
        listed = self._rows.get(address.identity)
        if listed is not None and listed.problem == problem:
            return
        row = UnreadableRow(address, problem, self._clock.now(), reported=listed is not None and listed.reported)
        self._rows[address.identity] = row
        self._unsaved.add(address.identity)
        _log.error("%s; the row is set aside", row)
        self.changed.notify()

    def remove(self, address: RowAddress) -> None:
        """Remove a row from the list in memory, since it is readable again or not stored any more; keeps the row."""
        if self._rows.pop(address.identity, None) is None:
            return
        self._unsaved.add(address.identity)
        _log.warning("%s is no longer set aside", address)
        self.changed.notify()

    def all(self) -> list[UnreadableRow]:
        """Return all listed rows, sorted by table and key."""
        return [self._rows[key] for key in sorted(self._rows)]

    def of(self, source: str) -> list[UnreadableRow]:
        """Return the listed rows of one table (or `table.column`)."""
        return [row for row in self.all() if row.address.source == source]

    async def save(self) -> None:
        """Write the changes of the list since the last call to disk.

        A power cut before this loses nothing: the rows are still stored, and are found again.

        Raises:
            StorageError: the changes are not stored; the next call retries.
        """
        if not self._unsaved:
            return
        keys, self._unsaved = self._unsaved, set()
        found = [self._rows[key] for key in keys if key in self._rows]
        try:
            await self._store.write_together(
                (_DELETE, [key for key in keys if key not in self._rows]),
                (_INSERT, [_to_row(row) for row in found]),
            )
        except BaseException:
            self._unsaved |= keys
            raise

    async def mark_reported(self, rows: list[UnreadableRow]) -> None:
        """Store that security events have reported these rows, so that they are not reported again.

        Raises:
            StorageError: this is not stored; after a restart they are reported again.
        """
        if not rows:
            return
        for row in rows:
            if (listed := self._rows.get(row.address.identity)) is not None:
                self._rows[row.address.identity] = replace(listed, reported=True)
        await self.save()
        await self._store.write_together((_MARK_REPORTED, [row.address.identity for row in rows]))


def describe_error(error: Exception) -> str:
    """Describe which fields of a row are missing or wrong, without their values, which may be secret."""
    if isinstance(error, StoredValueError):
        found = error.errors
        sentences = [_sentence(field_error) for field_error in found[:_MAX_FIELDS]]
        more = f"; {len(found) - _MAX_FIELDS} more" if len(found) > _MAX_FIELDS else ""
        return "; ".join(sentences) + more
    if isinstance(error, KeyError):
        return f"{error.args[0]}: is missing" if error.args else "a field is missing"
    if not isinstance(error, UNREADABLE_ERRORS):  # an error of this program; its text may contain a value
        return type(error).__name__
    return _shortened(str(error) or type(error).__name__)


def _sentence(error: FieldError) -> str:
    field = ".".join(map(str, error.path))
    if error.kind == "missing":
        return f"{field}: is missing"
    if error.kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"{field}: is not known"
    if error.kind == "enum":
        return f"{field}: has an unknown value"
    return f"{field}: {_shortened(error.message)}" if field else _shortened(error.message)


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[: _LONGEST_SENTENCE - 1]}…"


def _from_row(row: Row) -> UnreadableRow:
    source, key, transaction_id, seq_no, problem, found_at, reported = row
    address = RowAddress(
        str(source),
        str(key),
        str(transaction_id) if transaction_id is not None else None,
        seq_no if isinstance(seq_no, int) else None,
    )
    try:
        found = datetime.fromisoformat(str(found_at))
    except ValueError:  # an unreadable time must not make this list unreadable
        found = _LONG_AGO
    return UnreadableRow(address, str(problem), found, reported=bool(reported))


def _to_row(row: UnreadableRow) -> Row:
    address = row.address
    found_at = row.found_at.isoformat()
    return address.source, address.key, address.transaction_id, address.seq_no, row.problem, found_at
