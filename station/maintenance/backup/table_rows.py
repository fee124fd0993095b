"""The rows of a database as entries of a backup, in bounded memory, and back.

An entry is named by its table, and has JSON lines: the columns, then one row in each line. Large tables have several
entries. Rows that a safe start has set aside follow under the name of their own table, and return to the original one.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from foundation.json_values import is_object
from station.maintenance.backup.backup_error import DamagedBackupError
from station.maintenance.backup.contents import ASIDE_PREFIX, Part
from station.storage.set_aside_rows import KINDS
from station.storage.sql import Value

_FACTS: Final = "facts"
_SEQUENCE: Final = "sqlite_sequence"
"""the table of SQLite with the highest id that each table ever had"""
_BUSY_TIMEOUT_S: Final = 5.0
"""wait for a lock that another process holds for a moment"""
_MAX_ENTRY_CHARS: Final = 262_144
"""an entry ends with the row that reaches this length"""


def decode_stored_text(raw: bytes) -> str:
    """Decode a stored text; invalid bytes become lone surrogates, from which `_to_json` makes the same bytes again."""
    return raw.decode(errors="surrogateescape")


def entries_of_rows(connection: sqlite3.Connection, parts: Sequence[Part]) -> Iterator[tuple[str, bytes]]:
    """Yield the rows of these parts as entries: name of the table, and content.

    The texts of the connection are those of `decode_stored_text`.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    tables = _table_names(connection)
    for part in parts:
        for table in part.tables:
            if table not in tables:  # a database of an older version
                continue
            yield from _entries(connection, table, table, "TRUE")
            if ASIDE_PREFIX + table in tables and not _is_replaced(connection, table):
                yield from _entries(connection, ASIDE_PREFIX + table, ASIDE_PREFIX + table, "TRUE")
        yield from _entries(connection, _FACTS, _FACTS, part.facts_condition)
        if ASIDE_PREFIX + _FACTS in tables:
            yield from _entries(connection, ASIDE_PREFIX + _FACTS, ASIDE_PREFIX + _FACTS, part.facts_condition)
        names = ", ".join(f"'{table}'" for table in part.tables)
        yield from _entries(connection, _SEQUENCE, _SEQUENCE, f"name IN ({names})")


def insert_entry(connection: sqlite3.Connection, table: str, content: bytes) -> None:
    """Insert the rows of an entry into a database with the schema of the one that they are from, without triggers.

    Raises:
        DamagedBackupError: the rows do not fit the table.
    """
    original = table.removeprefix(ASIDE_PREFIX)
    lines = content.splitlines()
    try:
        columns = [str(column) for column in json.loads(lines[0])]
        if original not in _table_names(connection) or not set(columns) <= _column_names(connection, original):
            raise DamagedBackupError(f"the backup has rows that do not fit the table {original}")
        # What was stored since rows were set aside counts; the newest of those is the last one.
        insert = "INSERT OR IGNORE" if table != original else "INSERT"
        names = ", ".join(f'"{column}"' for column in columns)
        for line in lines[1:]:
            values = [_from_json(value) for value in json.loads(line)]
            if original == _SEQUENCE:  # the rows inserted before have made one already
                connection.execute(f"DELETE FROM {_SEQUENCE} WHERE name = ?", (values[0][1],))
            marks = ", ".join("CAST(? AS TEXT)" if is_text else "?" for is_text, _ in values)
            connection.execute(f'{insert} INTO "{original}" ({names}) VALUES ({marks})', [value for _, value in values])
    except (ValueError, TypeError, IndexError, sqlite3.Error) as error:
        raise DamagedBackupError(f"the backup has rows that do not fit the table {original}: {error}") from error


@contextmanager
def without_triggers(connection: sqlite3.Connection) -> Generator[None]:
    """Drop the triggers of a database for the length of a block: the rows that they would write are copied too."""
    triggers = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f'DROP TRIGGER main."{name}"')
    yield
    for _, sql in triggers:
        connection.execute(str(sql))


def replace_part(connection: sqlite3.Connection, part: Part, source: str) -> None:
    """Replace the rows of a part by those of the attached database `source`, which has the same schema.

    Rows that a safe start has set aside go too: they are of the state that is replaced.

    Raises:
        sqlite3.Error: a row cannot be inserted, or the disk is full.
    """
    tables = _table_names(connection)
    for table in part.tables:
        _replace_rows(connection, table, "TRUE", source)
        if ASIDE_PREFIX + table in tables:
            connection.execute(f"DELETE FROM main.{ASIDE_PREFIX}{table}")
        connection.execute(f"DELETE FROM main.{_SEQUENCE} WHERE name = ?", (table,))
        connection.execute(
            f"INSERT INTO main.{_SEQUENCE} (name, seq) SELECT name, seq FROM {source}.{_SEQUENCE} WHERE name = ?",
            (table,),
        )
    _replace_rows(connection, _FACTS, part.facts_condition, source)
    if ASIDE_PREFIX + _FACTS in tables:
        connection.execute(f"DELETE FROM main.{ASIDE_PREFIX}{_FACTS} WHERE {part.facts_condition}")


def _replace_rows(connection: sqlite3.Connection, table: str, condition: str, source: str) -> None:
    names = ", ".join(f'"{column}"' for column in sorted(_column_names(connection, table)))
    connection.execute(f"DELETE FROM main.{table} WHERE {condition}")
    connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM {source}.{table} WHERE {condition}")


def _entries(connection: sqlite3.Connection, name: str, table: str, condition: str) -> Iterator[tuple[str, bytes]]:
    """Yield the rows of one table as entries; none if there are no rows."""
    order = "" if table == _SEQUENCE else " ORDER BY 1"
    order = " ORDER BY rowid DESC" if table.startswith(ASIDE_PREFIX) else order  # the newest counts
    cursor = connection.execute(f'SELECT * FROM "{table}" WHERE {condition}{order}')
    head = json.dumps([column[0] for column in cursor.description])
    lines, length = [head], 0
    for row in cursor:
        lines.append(json.dumps([_to_json(value) for value in row]))
        length += len(lines[-1])
        if length >= _MAX_ENTRY_CHARS:
            yield name, "\n".join(lines).encode()
            lines, length = [head], 0
    if len(lines) > 1:
        yield name, "\n".join(lines).encode()


def _to_json(value: Value) -> object:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # a damaged text
            return {"text": base64.b64encode(value.encode(errors="surrogateescape")).decode()}
    return value


def _from_json(value: object) -> tuple[bool, Value]:
    """The stored value, and whether it is a damaged text, which SQLite accepts as bytes only.

    Raises:
        ValueError: it is no stored value.
    """
    if value is None or isinstance(value, str | int | float):
        return False, value
    if is_object(value) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in {"bytes", "text"} and isinstance(text, str):
            return kind == "text", base64.b64decode(text, validate=True)
    raise ValueError("unknown kind of value")


def _is_replaced(connection: sqlite3.Connection, table: str) -> bool:
    """Whether rows of a table that are set aside are obsolete, since a whole list was stored after them."""
    for kind in KINDS:
        if kind.dropped_if_replaced and any(rows.table == table for rows in kind.rows):
            return connection.execute(f"SELECT 1 FROM {kind.rows[-1].table} LIMIT 1").fetchone() is not None
    return False


def _table_names(connection: sqlite3.Connection) -> frozenset[str]:
    rows = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    return frozenset(str(name) for (name,) in rows)


def _column_names(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
    return frozenset(str(name) for (name,) in rows)


def tolerant_connection(address: str, *, uri: bool = False) -> sqlite3.Connection:
    """Connect in autocommit mode, with texts as `decode_stored_text` returns them.

    Raises:
        sqlite3.Error: the database cannot be opened.
    """
    return _LosslessConnection(address, uri=uri)


class _LosslessConnection(sqlite3.Connection):
    """A connection that reads damaged texts so that they can be written again as they were."""

    def __init__(self, database: str, *, uri: bool = False) -> None:
        super().__init__(database, timeout=_BUSY_TIMEOUT_S, isolation_level=None, uri=uri)
        self.text_factory = decode_stored_text
