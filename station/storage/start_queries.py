"""The queries of a start: read in one job, or not at all from a new database.

Each job of the database thread costs two changes of threads, and a start would need forty.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from station.storage.database_schema import rows_in_new_database
from station.storage.sql import Row, Value

Query = tuple[str, tuple[Value, ...]]
"""SQL and its values"""

TABLES_WITH_TRIGGERS: Final = frozenset({"events"})
"""tables whose writes also change others"""

_MAX_QUERIES: Final = 60
"""of one start, repeated ones included; a station with the default configuration makes some 40"""
_WRITE_STATEMENT: Final = re.compile(
    r"\s*(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|UPDATE(?: OR \w+)?|DELETE FROM) ([a-z_]+)(?![\w.])"
)
"""a statement with the table that it writes, if it names the table as the queries do"""


class StartQueries:
    """The queries with which the stations of a process start: the first ones of the station that started first."""

    def __init__(self) -> None:
        self._known: dict[Query, None] = {}

    @property
    def known(self) -> Collection[Query]:
        """The queries, in their order; empty until a station has started."""
        return self._known.keys()

    def add(self, query: Query) -> None:
        """Add a query, unless it writes."""
        if _reads_only(query):
            self._known[query] = None


class StartReads:
    """The rows of the queries with which one station starts, known before the parts of the station execute them.

    Those of a new database are known anyway. From another one, what the first station of the process has queried at
    its start is read ahead for the others. The rows of a query are valid until a table is written whose name is in its
    text; those that were read ahead are handed out once.
    """

    def __init__(self, queries: StartQueries) -> None:
        self._queries = queries
        self._rows: dict[Query, list[Row]] = {}
        self._changes = 0
        self._remaining = 0
        """how many more queries belong to the start"""
        self._records_queries = False
        """whether the queries of this station are noted for the others"""
        self._written_tables: set[str] | None = None
        """the tables written since the database was created; None: it is not new"""

    @property
    def queries_to_read_ahead(self) -> Collection[Query]:
        """The queries to read ahead."""
        return self._queries.known

    def begin(self, rows: Mapping[Query, list[Row]], changes: int) -> None:
        """Begin a start with these rows; `changes`: how many jobs had changed rows when they were read."""
        self._begin(changes)
        self._rows = dict(rows)

    def begin_new(self, changes: int) -> None:
        """Begin a start with a new database, to which nothing was written yet; `changes`: as for `begin`."""
        self._begin(changes)
        self._written_tables = set()

    def _begin(self, changes: int) -> None:
        self._changes, self._remaining, self._records_queries = changes, _MAX_QUERIES, not self._queries.known

    def take(self, query: Query, changes: int) -> list[Row] | None:
        """Return the rows of a query; None: read them. `changes`: how many jobs have changed rows until now."""
        if not self._remaining:
            return None
        self._remaining -= 1
        if self._remaining == 0:
            self.forget()
        if self._records_queries:
            self._queries.add(query)
        if changes != self._changes:  # by a job that was not noted
            self.forget()
        elif self._written_tables is not None:
            return self._in_new_database(query, self._written_tables)
        return self._rows.pop(query, None)

    def _in_new_database(self, query: Query, written: Collection[str]) -> list[Row] | None:
        if not _reads_only(query) or any(table in query[0] for table in written):
            return None
        rows = rows_in_new_database(*query)
        return list(rows) if rows is not None else None

    def note_job(self, statements: Iterable[str], changes: int) -> None:
        """Drop the rows that a job with these statements may have changed; `changes`: as for `take`, after the job."""
        if not self._remaining or changes == self._changes:
            return
        self._changes += 1
        for sql in statements:
            match = _WRITE_STATEMENT.match(sql)
            if match is None or match[1] in TABLES_WITH_TRIGGERS:
                self.forget()
            elif self._written_tables is not None:
                self._written_tables.add(match[1])
            else:
                self._rows = {query: rows for query, rows in self._rows.items() if match[1] not in query[0]}

    def forget(self) -> None:
        """Forget all rows, so that the station reads from disk."""
        self._rows.clear()
        self._written_tables = None


def _reads_only(query: Query) -> bool:
    return query[0].lstrip()[:6].upper() == "SELECT"
