"""The rows of a new database, which need no reading: each of the forty queries of a start costs two thread changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from station.storage.database_schema import rows_in_new_database
from station.storage.sql import Row, Value

TABLES_WITH_TRIGGERS: Final = frozenset({"events"})
"""tables whose writes also change others"""

_MAX_QUERIES: Final = 60
"""of one start, repeated ones included; a station with the default configuration makes some 40"""
_WRITE_STATEMENT: Final = re.compile(
    r"\s*(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|UPDATE(?: OR \w+)?|DELETE FROM) ([a-z_]+)(?![\w.])"
)
"""a statement with the table that it writes, if it names the table as the queries do"""


class NewDatabaseRows:
    """The rows of a database that was just created: those of any new one, in each table until it is written.

    Used for the queries of the start only; of a database that is not new, all rows are read.
    """

    def __init__(self) -> None:
        self._changes = 0
        self._remaining = 0
        """how many more queries belong to the start; 0: all rows are read"""
        self._written_tables: set[str] = set()

    def begin_start(self, changes: int) -> None:
        """Begin the start of a station with a new database; `changes`: how many jobs have changed rows until now."""
        self._changes, self._remaining = changes, _MAX_QUERIES

    def of_query(self, sql: str, values: tuple[Value, ...], changes: int) -> list[Row] | None:
        """Return the rows of a query; None: read them. `changes`: how many jobs have changed rows until now."""
        if not self._remaining:
            return None
        self._remaining -= 1
        if changes != self._changes:  # by a job that was not noted
            self.forget()
            return None
        if not _only_reads(sql) or any(table in sql for table in self._written_tables):
            return None
        rows = rows_in_new_database(sql, values)
        return list(rows) if rows is not None else None

    def note_job(self, statements: Iterable[str], changes: int) -> None:
        """Note which tables a job with these statements has changed; `changes`: as for `of_query`, after the job."""
        if not self._remaining or changes == self._changes:
            return
        self._changes += 1
        for sql in statements:
            match = _WRITE_STATEMENT.match(sql)
            if match is None or match[1] in TABLES_WITH_TRIGGERS:
                self.forget()
            else:
                self._written_tables.add(match[1])

    def forget(self) -> None:
        """Regard the database as any other from now on."""
        self._remaining = 0


def _only_reads(sql: str) -> bool:
    return sql.lstrip()[:6].upper() == "SELECT"
