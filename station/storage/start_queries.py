"""The queries of a start, read in one job: each job costs two changes of threads, and a start would need thirty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from station.storage.sql import Row, Value

Query = tuple[str, tuple[Value, ...]]
"""SQL and its values"""

_MAX_QUERIES: Final = 64
"""of one start"""


class StartQueries:
    """The queries with which the stations of a process start: those that the first one has executed one by one."""

    def __init__(self) -> None:
        self.known: Sequence[Query] = ()
        """empty until the first station has started"""


class StartReads:
    """The rows of the queries with which one station starts, read ahead of the parts that ask for them.

    They are valid as long as no row of the database changes. Each is handed out once. The queries of the first station
    of the process are noted, so that the others read them ahead.
    """

    def __init__(self, queries: StartQueries) -> None:
        self._queries = queries
        self._asked: list[Query] | None = None
        """the queries of this start; None: the station is not starting"""
        self._rows: dict[Query, list[Row]] = {}
        self._changes = 0
        self._assembled = False

    @property
    def wanted(self) -> Sequence[Query]:
        """The queries to read ahead."""
        return self._queries.known

    def begin(self, rows: Mapping[Query, list[Row]], changes: int) -> None:
        """Begin a start with these rows; `changes`: how many jobs had changed rows when they were read."""
        self._asked, self._rows, self._changes, self._assembled = [], dict(rows), changes, False

    def take(self, query: Query, changes: int) -> list[Row] | None:
        """Return the rows of a query; None: read them. `changes`: how many jobs have changed rows until now."""
        if self._asked is None:
            return None
        if changes != self._changes:
            self._rows.clear()
            if self._assembled:
                self._end(self._asked)
                return None
        if len(self._asked) < _MAX_QUERIES:
            self._asked.append(query)
        return self._rows.pop(query, None)

    def assembled(self) -> None:
        """End the start at the next change of a row: until then, the tasks of the station read what was read ahead."""
        self._assembled = True

    def _end(self, asked: Sequence[Query]) -> None:
        if not self._queries.known:
            self._queries.known = [query for query in dict.fromkeys(asked) if _reads_only(query)]
        self._asked = None


def _reads_only(query: Query) -> bool:
    return query[0].lstrip()[:6].upper() == "SELECT"
