"""Finds rows by reading a whole table beside the commits, to change them by their key, a few in each write.

A row may change after it was found: the write repeats the condition by which it was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from station.storage.database import Database
    from station.storage.sql import Value

_KEYS_PER_QUERY: Final = 1_000
KEYS_PER_WRITE: Final = 20
"""how many rows one write changes, so that no event waits long for it"""


async def find_keys(
    database: Database, table: str, where: str, values: Sequence[Value], *, key: str = "id"
) -> AsyncGenerator[list[Value]]:
    """Yield the keys of the rows of a table that fulfil a condition, ascending, in groups for one write each.

    `where`: SQL with `values`, a conjunction; `key`: the integer primary key, above 0.

    Raises:
        StorageError: the disk cannot be read.
    """
    after: Value = 0
    while True:
        rows = await database.long_query(
            f"SELECT {key} FROM {table} WHERE {where} AND {key} > ? ORDER BY {key} LIMIT ?",
            (*values, after, _KEYS_PER_QUERY),
        )
        keys = [row[0] for row in rows]
        for begin in range(0, len(keys), KEYS_PER_WRITE):
            yield keys[begin : begin + KEYS_PER_WRITE]
        if len(keys) < _KEYS_PER_QUERY:
            return
        after = keys[-1]
