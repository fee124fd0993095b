"""The queries of a start, read in one job: each job costs two changes of threads, and a start would need thirty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from station.storage.sql import Row, Value

Query = tuple[str, tuple[Value, ...]]
"""SQL and its values"""

_MAX_QUERIES: Final = 64


class StartQueries:
    """The queries with which the stations of a process start: those that the first one has executed one by one."""

    def __init__(self) -> None:
        self.known: Sequence[Query] = ()
        """empty until the first station has started"""


class StartReads:
    """The rows of the queries with which one station starts, read ahead of the parts that ask for them.

    They are valid as long as no row of the database changes. Each is handed out once. A query that was not read ahead
    is noted, so that the next station of the process reads it ahead.
    """

    def __init__(self, queries: StartQueries) -> None:
        self._queries = queries
        self._asked: list[Query] | None = None
        """the queries of this start; None: the station is not starting"""
        self._rows: dict[Query, list[Row]] = {}
        self._changes = 0

    @property
    def wanted(self) -> Sequence[Query]:
        """The queries to read ahead."""
        return self._queries.known

    def begin(self, rows: Mapping[Query, list[Row]], changes: int) -> None:
        """Begin a start with these rows; `changes`: how many jobs had changed rows when they were read."""
        self._asked, self._rows, self._changes = [], dict(rows), changes

    def take(self, query: Query, changes: int) -> list[Row] | None:
        """Return the rows of a query; None: read them. `changes`: how many jobs have changed rows until now."""
        if self._asked is None:
            return None
        self._asked.append(query)
        if changes != self._changes:
            self._rows.clear()
        return self._rows.pop(query, None)

    def end(self) -> None:
        """Forget all rows: the station has started."""
        if self._asked is not None and not self._queries.known:
            self._queries.known = [query for query in dict.fromkeys(self._asked) if _reads_only(query)][:_MAX_QUERIES]
        self._asked, self._rows = None, {}


def _reads_only(query: Query) -> bool:
    return query[0].lstrip()[:6].upper() == "SELECT"
