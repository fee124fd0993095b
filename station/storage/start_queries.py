"""The queries of a start, read in one job: each job costs two changes of threads, and a start would need forty."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from station.storage.sql import Row, Value

Query = tuple[str, tuple[Value, ...]]
"""SQL and its values"""

TABLES_WITH_TRIGGERS: Final = frozenset({"events"})
"""tables whose writes also change others"""

_MAX_QUERIES: Final = 100
"""of one start, repeated ones included"""
_WRITTEN: Final = re.compile(r"\s*(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|UPDATE(?: OR \w+)?|DELETE FROM) (\w+)")


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
        if query[0].lstrip()[:6].upper() == "SELECT":
            self._known[query] = None


class StartReads:
    """The rows of the queries with which one station starts, read ahead of the parts that ask for them.

    The rows of a query are valid until a table is written whose name is in its text. Each are handed out once. The
    queries of the first station of the process are noted, so that the others read them ahead.
    """

    def __init__(self, queries: StartQueries) -> None:
        self._queries = queries
        self._rows: dict[Query, list[Row]] = {}
        self._changes = 0
        self._to_note = 0
        """how many more queries of this station are noted"""

    @property
    def wanted(self) -> Collection[Query]:
        """The queries to read ahead."""
        return self._queries.known

    def begin(self, rows: Mapping[Query, list[Row]], changes: int) -> None:
        """Begin a start with these rows; `changes`: how many jobs had changed rows when they were read."""
        self._rows, self._changes = dict(rows), changes
        self._to_note = 0 if self._queries.known else _MAX_QUERIES

    def take(self, query: Query, changes: int) -> list[Row] | None:
        """Return the rows of a query; None: read them. `changes`: how many jobs have changed rows until now."""
        if self._to_note:
            self._to_note -= 1
            self._queries.add(query)
        if not self._rows:
            return None
        if changes != self._changes:  # by a job that was not noted
            self._rows.clear()
        return self._rows.pop(query, None)

    def note_job(self, statements: Iterable[str], changes: int) -> None:
        """Drop the rows that a job with these statements may have changed; `changes`: as for `take`, after the job."""
        if not self._rows or changes == self._changes:
            return
        self._changes += 1
        for sql in statements:
            written = _WRITTEN.match(sql)
            if written is None or written[1] in TABLES_WITH_TRIGGERS:
                self._rows.clear()
            else:
                self._rows = {query: rows for query, rows in self._rows.items() if written[1] not in query[0]}

    def forget(self) -> None:
        """Drop all rows that were not handed out."""
        self._rows.clear()
