"""Sets rows of the database aside, so that no part of the station reads them, and puts them back unchanged.

Used by the safe start. SQL moves the rows, without parsing them, to tables of their own (`aside_…`), which are dropped
once they are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.storage.payloads import READABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from station.storage.database import Database
    from station.storage.sql import Statement

_PREFIX: Final = "aside_"


class _RowSelection(Frozen):
    """Rows of one table: all of them, or the facts of some kinds."""

    table: str
    fact_kinds: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The SQL condition that selects the rows."""
        if not self.fact_kinds:
            return "TRUE"
        return " OR ".join(f"substr(name, 1, {len(kind) + 1}) = '{kind}/'" for kind in self.fact_kinds)


class RowKind(Frozen):
    """Rows that are set aside and put back together."""

    name: str
    """for the record of the safe start, the log and the API"""
    stage: int
    """1: what a CSMS has set; 2: what a station can do without while it charges, meters and bills"""
    rows: tuple[_RowSelection, ...]
    key: str = ""
    """the column of the ids that the CSMS gave the rows of the first table; empty: it gives none"""
    dropped_if_replaced: bool = False
    """whether these rows are dropped, not put back, if the last of the tables has rows again"""


CHARGING_PROFILES: Final = RowKind("charging-profiles", 1, (_RowSelection("charging_profiles"),), key="id")
MONITORS: Final = RowKind(
    "monitors",
    1,
    (_RowSelection("monitors"), _RowSelection("monitor_states"), _RowSelection("monitoring_events")),
    key="id",
)
DISPLAY_MESSAGES: Final = RowKind("display-messages", 1, (_RowSelection("display_messages"),), key="id")
SETTINGS: Final = RowKind("settings", 1, (_RowSelection("settings"),))
KINDS: Final = (
    CHARGING_PROFILES,
    MONITORS,
    DISPLAY_MESSAGES,
    SETTINGS,
    RowKind("reservations", 2, (_RowSelection("reservations"),)),
    RowKind(
        "local-list", 2, (_RowSelection("local_list"), _RowSelection("local_list_state")), dropped_if_replaced=True
    ),
    RowKind("authorization-cache", 2, (_RowSelection("authorization_cache"),)),
    RowKind("firmware-updates", 2, (_RowSelection("firmware_updates"), _RowSelection("firmware_statuses"))),
    RowKind("customers-to-forget", 2, (_RowSelection("customers_to_forget"),)),
    RowKind(
        "other-facts",
        2,
        (
            _RowSelection(
                "facts",
                (
                    "cable",
                    "card",
                    "charge-plan",
                    "commissioning",
                    "contactor",
                    "external-limit",
                    "log-upload",
                    "monitoring",
                    "priority",
                    "retention",
                    "variable",
                ),
            ),
        ),
    ),
)
"""the rows that a safe start can set aside; never records, bills, meters, prices, access, faults, orders or limits"""
LAST_STAGE: Final = max(kind.stage for kind in KINDS)
_FACT: Final = "CASE WHEN json_valid(value) THEN value ELSE '{}' END"
_TOKEN_CONDITIONS: Final = {
    "authorization_cache": "token = ?1 AND type = ?2",
    "reservations": (
        f"lower(json_extract({READABLE}, '$.id_token.value')) = ?1 AND json_extract({READABLE}, '$.id_token.type') = ?2"
    ),
    "facts": (
        f"substr(name, 1, 5) = 'card/' AND lower(json_extract({_FACT}, '$.value')) = ?1"
        f" AND json_extract({_FACT}, '$.type') = ?2"
    ),
}
"""the rows of an id token, by table: ?1 its value in lower case, ?2 its type; the local list belongs to the CSMS"""


class SetAsideRows:
    """The rows of one database that are set aside; call it at a start only before the parts of the station load."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.counts: dict[str, int] = {}
        """number of rows that are set aside, by the name of their kind; as of the last call of a method"""

    async def load(self) -> None:
        """Count the rows that are set aside.

        Raises:
            StorageError: the disk cannot be read.
        """
        aside_tables = await self._tables()
        self.counts = {}
        for kind in KINDS:
            for rows in kind.rows:
                if _PREFIX + rows.table in aside_tables:
                    counted = await self._database.rows(
                        f"SELECT COUNT(*) FROM {_PREFIX}{rows.table} WHERE {rows.where}"
                    )
                    self.counts[kind.name] = self.counts.get(kind.name, 0) + int(str(counted[0][0]))
        self.counts = {name: count for name, count in self.counts.items() if count}

    async def set_aside(self, kinds: Iterable[RowKind]) -> None:
        """Set the rows of these kinds aside, in one write; rows that are aside already stay.

        Raises:
            StorageError: nothing was set aside.
        """
        aside_tables = await self._tables()
        statements: list[Statement] = []
        for rows in _rows_of(kinds):
            target = _PREFIX + rows.table
            columns = await self._columns(target if target in aside_tables else rows.table)
            statements += [
                (f"CREATE TABLE IF NOT EXISTS {target} AS SELECT * FROM {rows.table} WHERE FALSE", [()]),
                (f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {rows.table} WHERE {rows.where}", [()]),
                (f"DELETE FROM {rows.table} WHERE {rows.where}", [()]),
            ]
        await self._database.write_together(*statements)
        await self.load()

    async def put_back(self, kinds: Collection[RowKind]) -> None:
        """Put the rows of these kinds back, in one write; of rows with the same key the one that was stored last stays.

        Raises:
            StorageError: nothing was put back.
        """
        aside_tables = await self._tables()
        statements: list[Statement] = []
        for kind in kinds:
            condition = f" AND NOT EXISTS (SELECT * FROM {kind.rows[-1].table})" if kind.dropped_if_replaced else ""
            for rows in kind.rows:
                source = _PREFIX + rows.table
                if source not in aside_tables:
                    continue
                columns = await self._columns(source)  # a later version of the station may have more
                insert = f"INSERT OR IGNORE INTO {rows.table} ({columns}) SELECT {columns} FROM {source}"
                statements += [
                    (
                        f"{insert} WHERE ({rows.where}){condition} ORDER BY {source}.rowid DESC",
                        [()],
                    ),  # the newest first
                    (f"DELETE FROM {source} WHERE {rows.where}", [()]),
                ]
        await self._database.write_together(*statements)
        await self._drop_empty(aside_tables)

    async def delete(self, kinds: Collection[RowKind]) -> int:
        """Delete the rows of these kinds that are set aside; returns how many there were.

        Raises:
            StorageError: nothing was deleted.
        """
        deleted = sum(self.counts.get(kind.name, 0) for kind in kinds)
        if not deleted:
            return 0
        aside_tables = await self._tables()
        await self._database.write_together(
            *(
                (f"DELETE FROM {_PREFIX}{rows.table} WHERE {rows.where}", [()])
                for rows in _rows_of(kinds)
                if _PREFIX + rows.table in aside_tables
            )
        )
        await self._drop_empty(aside_tables)
        return deleted

    async def delete_ids(self, kind: RowKind, ids: Collection[int]) -> list[int]:
        """Delete set-aside rows by the ids that the CSMS gave them; returns the ids of those that existed.

        Raises:
            StorageError: as `delete`.
        """
        table = _PREFIX + kind.rows[0].table
        if not self.counts.get(kind.name):
            return []
        sql = f"DELETE FROM {table} WHERE {kind.key} = ? RETURNING {kind.key}"
        deleted = [identity for identity in ids if await self._database.rows(sql, (identity,))]
        await self.load()
        return deleted

    async def count_of_token(self, token: str, kind: str) -> int:
        """Return how many set-aside rows are of an id token, given by its value in lower case and its type.

        Raises:
            StorageError: the disk cannot be read.
        """
        aside_tables, count = await self._tables() if self.counts else (), 0
        for table, where in _TOKEN_CONDITIONS.items():
            if _PREFIX + table in aside_tables:
                rows = await self._database.rows(f"SELECT COUNT(*) FROM {_PREFIX}{table} WHERE {where}", (token, kind))
                count += int(str(rows[0][0]))
        return count

    async def delete_of_token(self, token: str, kind: str) -> None:
        """Delete the rows that `count_of_token` counts, in one write.

        Raises:
            StorageError: nothing was deleted.
        """
        if not self.counts:
            return
        aside_tables = await self._tables()
        await self._database.write_together(
            *(
                (f"DELETE FROM {_PREFIX}{table} WHERE {where}", [(token, kind)])
                for table, where in _TOKEN_CONDITIONS.items()
                if _PREFIX + table in aside_tables
            )
        )
        await self.load()

    async def _drop_empty(self, aside_tables: Collection[str]) -> None:
        """Drop the tables without rows."""
        for table in aside_tables:
            if not await self._database.rows(f"SELECT 1 FROM {table} LIMIT 1"):
                await self._database.write(f"DROP TABLE {table}")
        await self.load()

    async def _columns(self, table: str) -> str:
        """The names of the columns of a table, for SQL."""
        rows = await self._database.rows("SELECT name FROM pragma_table_info(?)", (table,))
        return ", ".join(str(name) for (name,) in rows)

    async def _tables(self) -> frozenset[str]:
        """The tables of rows that are set aside."""
        rows = await self._database.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?", (len(_PREFIX), _PREFIX)
        )
        return frozenset(str(name) for (name,) in rows)


def _rows_of(kinds: Iterable[RowKind]) -> list[_RowSelection]:
    return [rows for kind in kinds for rows in kind.rows]
