"""The local authorization list, which the CSMS sends and only the CSMS changes (OCPP 2.0.1 D01, D02, C13, C14).

The list is on disk only, and each look-up is a query by primary key: 0.04 ms with 100,000 tokens, which would take some
30 MB in memory. An update is one transaction of the database, together with the version of the list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from station.charging.authorization import local_list_rows as on_disk
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.authorization.authorization_cache import Key
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.storage.database import Database
    from station.storage.sql import Row, Statement, Value

_log = logging.getLogger(__name__)

MAX_ENTRIES: Final = 100_000
"""most tokens in the list (maxLimit of LocalAuthListCtrlr.Entries)"""
MAX_BYTES: Final = 33_554_432
"""most bytes of the list (maxLimit of LocalAuthListCtrlr.Storage): 335 for each of 100,000 tokens"""
_PREPARED_AT_ONCE: Final = 50
"""entries that are converted before other tasks get their turn"""
_ROWS_AT_ONCE: Final = 1_000
"""rows of one query; three values each are far below SQLite's limit of 32,766 for a statement"""

_UNREADABLE: Final = IdTokenInfo(AuthorizationStatus.UNKNOWN)
"""the authorization of a token whose entry cannot be read: without the CSMS, it may not charge"""

_INSERT: Final = (
    "INSERT INTO local_list (token, type, info, spelling) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (token, type) DO UPDATE SET info = excluded.info, spelling = excluded.spelling"
)
_DELETE: Final = "DELETE FROM local_list WHERE token = ? AND type = ?"
_DELETE_ALL: Final = "DELETE FROM local_list"
_FIND: Final = "SELECT token, type, info, spelling FROM local_list WHERE token = ? AND type = ?"
_STATE: Final = "SELECT version, entries, size_bytes FROM local_list_state"
_COUNT_STATE: Final = (
    "SELECT 0, COUNT(*), COALESCE(SUM(length(CAST(token || type || info AS BLOB))), 0)"
    f" + COUNT(*) * {on_disk.OVERHEAD_BYTES} FROM {on_disk.TABLE}"
)
_SAVE_STATE: Final = (
    "INSERT INTO local_list_state (id, version, entries, size_bytes) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
    " SET version = excluded.version, entries = excluded.entries, size_bytes = excluded.size_bytes"
)


class LocalListEntry(Frozen):
    """An item of an update: a token with its authorization, or without one if it is to be removed."""

    id_token: IdToken
    info: IdTokenInfo | None = None
    """None: remove the token from the list"""


class ListedToken(Frozen):
    """The entry of a token in the local authorization list."""

    info: IdTokenInfo
    """as the CSMS sent it; status Expired if it was Accepted until its cacheExpiryDateTime, Unknown if unreadable"""
    requires_csms: bool = False
    """whether the CSMS is asked if online, regardless of DisablePostAuthorize: the entry is expired or unreadable"""


class LocalListRefusal(Frozen):
    """Why an update was refused; the list is unchanged."""

    reason_code: str
    """reasonCode for statusInfo (OCPP 2.0.1 part 2, appendix 5)"""
    sentence: str
    """what is wrong, with the name of the field"""
    version_mismatch: bool = False
    """whether the version is not higher than that of the list (D01.FR.19)"""


class LocalAuthorizationList:
    """The local authorization list on disk: found by token, replaced or changed as a whole, with a version number.

    While LocalAuthListCtrlr.Enabled is false, it keeps its entries, but finds nothing and accepts no update.
    """

    def __init__(
        self,
        database: Database,
        settings: AuthorizationSettings,
        clock: Clock,
        *,
        most_entries: int = MAX_ENTRIES,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        self.most_entries = most_entries
        self.most_bytes = most_bytes
        self.changed: Event[None] = Event()
        """published after each update"""
        self._database = database
        self._settings = settings
        self._clock = clock
        self._state = on_disk.LocalListState()
        self._outdated = False
        """whether `_state` may differ from the disk, since an update was interrupted"""
        self._update_lock = asyncio.Lock()

    async def load(self) -> None:
        """Load version and size of the list, at startup; its entries stay on disk.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._state = await self._stored_state()
        if self._database.unreadable.of(on_disk.TABLE):
            await self._forget_removed_unreadable()

    @property
    def entries(self) -> int:
        """The number of tokens in the list (LocalAuthListCtrlr.Entries)."""
        return self._state.entries

    @property
    def size_bytes(self) -> int:
        """The approximate size of the list on disk in bytes (LocalAuthListCtrlr.Storage)."""
        return self._state.size_bytes

    async def version(self) -> int:
        """The version of the list; 0 if the CSMS has never sent one, or the list is disabled (D02.FR.01–D02.FR.03).

        Raises:
            StorageError: the disk cannot be read.
        """
        return (await self._current_state()).version if self._settings.local_list_enabled else 0

    async def find(self, id_token: IdToken) -> ListedToken | None:
        """Look up a token; None: it is not in the list, or the list is disabled.

        An entry that cannot be read is logged, and found with status Unknown.
        """
        if not self._settings.local_list_enabled:
            return None
        try:
            if not (await self._current_state()).entries:
                return None
            rows = await self._database.rows(_FIND, id_token.key)
        except StorageError as error:
            _log.error("the local authorization list cannot be read: %s", error)
            return ListedToken(_UNREADABLE, requires_csms=True)
        if not rows:
            return None
        info = self._database.unreadable.read(on_disk.info_of, rows[0], on_disk.address_of(id_token.key))
        return self._listed_token(info)

    async def replace(self, version: int, entries: Sequence[LocalListEntry]) -> LocalListRefusal | None:
        """Replace the whole list, also by an empty one (D01.FR.04, D01.FR.15); it is on disk when this returns.

        Returns why it is refused, and the list unchanged; None: done.

        Raises:
            StorageError: the list is unchanged.
        """
        if version <= 0:  # D01.FR.18
            return LocalListRefusal("ValuePositiveOnly", "versionNumber must be greater than 0")
        if (missing := next((number for number, entry in enumerate(entries) if entry.info is None), None)) is not None:
            return LocalListRefusal("MissingParam", f"localAuthorizationList[{missing}].idTokenInfo is missing")
        async with self._update_lock:
            return self._refusal(entries) or await self._apply_update(version, entries, replaces=True)

    async def change(self, version: int, entries: Sequence[LocalListEntry]) -> LocalListRefusal | None:
        """Add, update and remove entries (D01.FR.05, D01.FR.16, D01.FR.17); they are on disk when this returns.

        Returns why this is refused, and the list unchanged; None: done.

        Raises:
            StorageError: the list is unchanged.
        """
        async with self._update_lock:
            if (refusal := self._refusal(entries)) is not None:
                return refusal
            current_version = (await self._current_state()).version
            if version <= current_version:  # D01.FR.19
                sentence = f"versionNumber must be greater than {current_version}"
                return LocalListRefusal("ValueTooLow", sentence, version_mismatch=True)
            return await self._apply_update(version, entries, replaces=False)

    async def seed(self, version: int | None, entries: Sequence[LocalListEntry]) -> LocalListRefusal | None:
        """Change entries and set the version, whatever it was; for tests of a simulated station.

        `version` None: one more than the present one. Returns why this is refused; None: done.

        Raises:
            StorageError: the list is unchanged.
        """
        async with self._update_lock:
            if version is None:
                version = (await self._current_state()).version + 1
            return self._refusal(entries) or await self._apply_update(version, entries, replaces=False)

    async def clear(self) -> None:
        """Delete the list with its version, as if the CSMS had never sent one, for a factory reset.

        Raises:
            StorageError: the list is unchanged.
        """
        async with self._update_lock:
            await self._write(on_disk.LocalListState(), (_DELETE_ALL, [()]))
            self._forget_unreadable(None)
        self.changed.publish(None)

    async def page(self, most: int, *, after: Key = ("", ""), skip: int = 0) -> list[tuple[IdToken, IdTokenInfo]]:
        """Return at most `most` entries in the order of their keys, also while the list is disabled.

        It begins after the key `after`, and skips `skip` entries more. Tokens are spelled as the CSMS has sent
        them; the status is as in `ListedToken`.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.long_query(
            "SELECT token, type, info, spelling FROM local_list WHERE (token, type) > (?, ?)"
            " ORDER BY token, type LIMIT ? OFFSET ?",
            (*after, most, skip),
        )
        return self._read(rows)

    async def entries_of(self, value: str) -> list[tuple[IdToken, IdTokenInfo]]:
        """Return the entries of all tokens with this value, ignoring case, whatever their type, also if disabled.

        Raises:
            StorageError: the disk cannot be read.
        """
        return self._read(
            await self._database.rows(
                "SELECT token, type, info, spelling FROM local_list WHERE token = ? ORDER BY type", (value.casefold(),)
            )
        )

    def _read(self, rows: Iterable[Row]) -> list[tuple[IdToken, IdTokenInfo]]:
        """Parse rows, each with the authorization at the present time."""
        read_row = self._database.unreadable.read
        tokens = [(on_disk.token_of(row), row) for row in rows]
        return [
            (token, self._listed_token(read_row(on_disk.info_of, row, on_disk.address_of(_key_of(row)))).info)
            for token, row in tokens
        ]

    def _listed_token(self, info: IdTokenInfo | None) -> ListedToken:
        """The entry at the present time (C13.FR.05, C14.FR.05); `info` None: it cannot be read."""
        if info is None:
            return ListedToken(_UNREADABLE, requires_csms=True)
        expired = info.expires_at is not None and info.expires_at <= self._clock.now()
        if not expired or not info.accepted or not self._settings.local_list_supports_expiry:
            return ListedToken(info)
        return ListedToken(replace(info, status=AuthorizationStatus.EXPIRED), requires_csms=True)

    def _refusal(self, entries: Sequence[LocalListEntry]) -> LocalListRefusal | None:
        """Why an update is refused whatever is in the list; None: it is not."""
        if not self._settings.local_list_enabled:
            return LocalListRefusal("NotEnabled", "LocalAuthListCtrlr.Enabled is false")
        known_keys: set[Key] = set()
        for number, entry in enumerate(entries):
            if entry.id_token.key in known_keys:  # D01.FR.06
                return LocalListRefusal("InvalidValue", f"localAuthorizationList[{number}].idToken occurs twice")
            known_keys.add(entry.id_token.key)
        return None

    async def _apply_update(
        self, version: int, entries: Sequence[LocalListEntry], *, replaces: bool
    ) -> LocalListRefusal | None:
        """Write an update with its version in one transaction, if the list stays within its bounds."""
        state = on_disk.LocalListState() if replaces else await self._current_state()
        rows = await _rows_of(entries)
        replaced_rows = {} if replaces else await self._stored_rows([entry.id_token.key for entry in entries])
        state = on_disk.LocalListState(
            version,
            state.entries + len(rows) - len(replaced_rows),
            state.size_bytes
            + sum(map(on_disk.size_bytes_of, rows))
            - sum(map(on_disk.size_bytes_of, replaced_rows.values())),
        )
        if state.entries > self.most_entries:
            return LocalListRefusal("OutOfStorage", f"the list would have more than {self.most_entries} entries")
        if state.size_bytes > self.most_bytes:
            return LocalListRefusal("OutOfStorage", f"the list would be larger than {self.most_bytes} bytes")
        removed = [entry.id_token.key for entry in entries if entry.info is None]
        deletion: Statement = (_DELETE_ALL, [()]) if replaces else (_DELETE, removed)
        await self._write(state, deletion, (_INSERT, rows))
        self._forget_unreadable(None if replaces else [entry.id_token.key for entry in entries])
        _log.info("local authorization list: version %d, %d entries", state.version, state.entries)
        self.changed.publish(None)
        return None

    async def _write(self, state: on_disk.LocalListState, *writes: Statement) -> None:
        row = (state.version, state.entries, state.size_bytes)
        try:
            await self._database.write_together(*writes, (_SAVE_STATE, [row]))
        except BaseException:  # also if cancelled: the database thread may complete the write nevertheless
            self._outdated = True
            raise
        self._state = state
        self._database.unreadable.remove(on_disk.STATE_ADDRESS)

    async def _current_state(self) -> on_disk.LocalListState:
        """Version and size, read from disk again after an interrupted update."""
        if self._outdated:
            self._state, self._outdated = await self._stored_state(), False
        return self._state

    async def _stored_state(self) -> on_disk.LocalListState:
        """Version and size on disk; if they cannot be read, version 0, so that the CSMS sends the list."""
        rows = await self._database.rows(_STATE)
        if not rows:
            return on_disk.LocalListState()
        state = self._database.unreadable.read(on_disk.state_of, rows[0], on_disk.STATE_ADDRESS)
        return state if state is not None else on_disk.state_of((await self._database.rows(_COUNT_STATE))[0])

    async def _stored_rows(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """The stored rows of these tokens."""
        found: dict[Key, Row] = {}
        for start in range(0, len(keys), _ROWS_AT_ONCE):
            batch = keys[start : start + _ROWS_AT_ONCE]
            values: list[Value] = [value for key in batch for value in key]
            rows = await self._database.rows(
                "SELECT token, type, info, spelling FROM local_list"
                f" WHERE (token, type) IN (VALUES {', '.join(['(?, ?)'] * len(batch))})",
                values,
            )
            found |= {(str(row[0]), str(row[1])): row for row in rows}
        return found

    def _forget_unreadable(self, keys: Iterable[Key] | None) -> None:
        """Remove the rows that an update replaced from the list of unreadable rows; None: all rows."""
        unreadable = self._database.unreadable
        listed = {row.address.identity: row.address for row in unreadable.of(on_disk.TABLE)}
        if not listed:
            return
        replaced = listed if keys is None else {on_disk.address_of(key).identity for key in keys}
        for identity in listed.keys() & replaced:
            unreadable.remove(listed[identity])

    async def _forget_removed_unreadable(self) -> None:
        """Read the list once, and remove rows that are readable or not stored any more from the unreadable ones."""
        stored: set[tuple[str, str]] = set()
        after: Key = ("", "")
        while entries := await self.page(_ROWS_AT_ONCE, after=after):
            stored |= {on_disk.address_of(token.key).identity for token, _ in entries}
            after = entries[-1][0].key
        for row in self._database.unreadable.of(on_disk.TABLE):
            if row.address.identity not in stored:
                self._database.unreadable.remove(row.address)


def _key_of(row: Row) -> Key:
    return (str(row[0]), str(row[1]))


async def _rows_of(entries: Sequence[LocalListEntry]) -> list[tuple[str, str, str, str | None]]:
    """Convert the entries with an authorization to rows; other tasks run in between."""
    rows: list[tuple[str, str, str, str | None]] = []
    for start in range(0, len(entries), _PREPARED_AT_ONCE):
        batch = entries[start : start + _PREPARED_AT_ONCE]
        rows += [on_disk.row_of(entry.id_token, entry.info) for entry in batch if entry.info is not None]
        await asyncio.sleep(0)
    return rows
