"""The authorization cache: what was last heard of each id token (OCPP 2.0.1 C10)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen
from station.core.model import CSMS_TOKEN_TYPES, AuthorizationStatus, IdToken, IdTokenInfo, MessageContent
from station.storage.database import Database, StorageError
from station.storage.payloads import ID_TOKEN_NAMES
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.setting_groups import AuthorizationSettings
    from station.storage.sql import Row

Key = tuple[str, str]
"""token (folded: identifiers ignore case) and type"""

_log = logging.getLogger(__name__)

TABLE: Final = "authorization_cache"
MOST_BYTES = 262_144
"""what the cache may hold (AuthCacheCtrlr.Storage): about a thousand tokens, a small part of any flash memory"""
_CORRECTED = timedelta(hours=1)
"""a clock that is set back by less was not wrong, but drifted"""
_OVERHEAD_BYTES = 100
"""of a row besides its texts: its three times, its count and its place in the index"""


TOKEN_INFOS: Final = StoredFormat(
    IdTokenInfo,
    {
        **ID_TOKEN_NAMES,
        IdTokenInfo: names("status", "group_id", "expires_at", "evse_ids", "personal_message", "charging_priority"),
        MessageContent: names("content", "format", "language"),
        AuthorizationStatus: names(
            ACCEPTED="Accepted",
            BLOCKED="Blocked",
            CONCURRENT_TX="ConcurrentTx",
            EXPIRED="Expired",
            INVALID="Invalid",
            NO_CREDIT="NoCredit",
            NOT_ALLOWED_TYPE_EVSE="NotAllowedTypeEVSE",
            NOT_AT_THIS_LOCATION="NotAtThisLocation",
            NOT_AT_THIS_TIME="NotAtThisTime",
            UNKNOWN="Unknown",
        ),
    },
)


@frozen
class CacheEntry:
    """What the cache holds of a token."""

    info: IdTokenInfo
    updated_at: datetime
    stored_at: datetime
    """when the token came into the cache"""
    used_at: datetime
    """when it was last presented, or came"""
    uses: int
    size_bytes: int


_POLICIES: dict[str, Callable[[CacheEntry], tuple[int, datetime]]] = {
    "LRU": lambda entry: (0, entry.used_at),
    "LFU": lambda entry: (entry.uses, entry.used_at),
    "FIFO": lambda entry: (0, entry.stored_at),
    # C10.FR.07: those that are refused first, then those that were heard of longest ago.
    "CUSTOM": lambda entry: (int(entry.info.accepted), entry.updated_at),
}
"""what goes first when the cache is full (AuthCacheCtrlr.Policy): the entry for which this is least"""


class AuthorizationCache:
    """Cached id tokens, in memory and on disk."""

    def __init__(
        self, database: Database | None, settings: AuthorizationSettings, clock: Clock, *, most_bytes: int = MOST_BYTES
    ) -> None:
        self.most_bytes = most_bytes
        self._database = database
        self._settings = settings
        self._clock = clock
        self._entries: dict[Key, CacheEntry] = {}

    @property
    def size_bytes(self) -> int:
        """How much the cache holds (AuthCacheCtrlr.Storage)."""
        return sum(entry.size_bytes for entry in self._entries.values())

    async def load(self) -> None:
        """Take what is on disk (C10.FR.02), and forget there what is too old.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        rows = await self._database.rows(
            "SELECT token, type, info, updated_at, stored_at, used_at, uses FROM authorization_cache"
        )
        stored = {place_of((str(row[0]), str(row[1]))) for row in rows}
        for listed in self._database.unreadable.of(TABLE):
            if listed.place not in stored:  # forgotten since
                self._database.unreadable.remove(listed.place)
        for row in rows:
            key = str(row[0]), str(row[1])
            entry = self._database.unreadable.read(entry_of, row, place_of(key))
            if entry is not None:
                self._entries[key] = entry
        await self.purge()

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What is known of a token; None when nothing is, or when it is too old (C10.FR.10, C10.FR.13)."""
        entry = self._entries.get(id_token.key)
        if entry is None or not self._settings.auth_cache_enabled or self._expired(entry):  # C10.FR.11
            return None
        return entry.info

    def use(self, id_token: IdToken) -> IdTokenInfo | None:
        """The same for a token that is presented: that counts as a use of it, on disk with its next update."""
        entry = self._entries.get(id_token.key)
        if entry is not None:
            self._entries[id_token.key] = replace(entry, used_at=self._clock.now(), uses=entry.uses + 1)
        return self.find(id_token)

    async def update(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Keep what was just heard of a token (C10.FR.01, C10.FR.04, C10.FR.05, C12.FR.06)."""
        if id_token.type in CSMS_TOKEN_TYPES:  # C02.FR.03, C03.FR.02, C05.FR.02: for one use
            return
        if not self._settings.auth_cache_enabled:
            await self.forget(id_token)  # what was known of it before is no longer so when the cache is used again
            return
        # I04: what charging costs is asked of the CSMS each time, or not known.
        await self.put(id_token, replace(info, personal_message=None))

    async def put(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Put an entry into the cache, whether it is in use or not; others make room for it (C10.FR.07)."""
        now, key = self._clock.now(), id_token.key
        if info.expires_at is not None and info.expires_at <= now:  # C10.FR.13
            await self._drop([key])
            return
        text = TOKEN_INFOS.to_text(info, without=("personal_message",))
        entry = CacheEntry(info, now, now, now, 1, _size_bytes(*key, text))
        if (known := self._entries.get(key)) is not None:
            entry = replace(entry, stored_at=known.stored_at, used_at=known.used_at, uses=known.uses)
        self._entries[key] = entry
        await self._drop(self._too_many(key))
        try:
            await self._save(key, entry, text)
        except StorageError as error:
            _log.error("authorization cache is not on disk: %s", error)

    async def forget(self, id_token: IdToken) -> None:
        """Forget one token."""
        if id_token.key in self._entries:
            await self._drop([id_token.key])

    async def purge(self) -> None:
        """Forget what is too old (C10.FR.10, C10.FR.13)."""
        await self._drop([key for key, entry in self._entries.items() if self._expired(entry)])

    async def clear(self) -> None:
        """Forget all tokens (C11).

        Raises:
            StorageError: they are forgotten until the next start only.
        """
        self._entries.clear()
        if self._database is not None:
            await self._database.write("DELETE FROM authorization_cache")

    def entries(self) -> list[tuple[Key, IdTokenInfo]]:
        """All that is cached: token and type, and what is known."""
        return [(key, entry.info) for key, entry in self._entries.items() if not self._expired(entry)]

    def _expired(self, entry: CacheEntry) -> bool:
        life, now = timedelta(seconds=self._settings.auth_cache_life_time_s), self._clock.now()
        if entry.updated_at > now + _CORRECTED:  # by a clock that was ahead: nobody knows how old it is
            return True
        expires_at = entry.info.expires_at
        return now >= (expires_at if expires_at is not None else entry.updated_at + life)

    def _too_many(self, newest: Key) -> list[Key]:
        """Those that must go so that the newest has room."""
        excess = self.size_bytes - self.most_bytes
        if excess <= 0:
            return []
        policy = _POLICIES[self._settings.auth_cache_policy]
        gone: list[Key] = []
        for key in sorted(self._entries.keys() - {newest}, key=lambda key: policy(self._entries[key])):
            if excess <= 0:
                break
            excess -= self._entries[key].size_bytes
            gone.append(key)
        return gone

    async def _drop(self, keys: list[Key]) -> None:
        for key in keys:
            self._entries.pop(key, None)
        if self._database is None or not keys:
            return
        try:
            await self._database.write_many("DELETE FROM authorization_cache WHERE token = ? AND type = ?", keys)
        except StorageError as error:
            _log.error("entries of the authorization cache are still on disk: %s", error)

    async def _save(self, key: Key, entry: CacheEntry, info: str) -> None:
        if self._database is None:
            return
        self._database.unreadable.remove(place_of(key))  # what is saved takes its place
        times = (entry.updated_at.isoformat(), entry.stored_at.isoformat(), entry.used_at.isoformat())
        await self._database.write(
            "INSERT INTO authorization_cache (token, type, info, updated_at, stored_at, used_at, uses)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token, type) DO UPDATE SET info = excluded.info,"
            " updated_at = excluded.updated_at, used_at = excluded.used_at, uses = excluded.uses",
            (*key, info, *times, entry.uses),
        )


def place_of(key: Key) -> RowAddress:
    """Where a token is stored in the cache; its number, which whoever sees it could charge with, is not shown."""
    return RowAddress(TABLE, hashlib.sha256("/".join(key).encode()).hexdigest()[:16])


def entry_of(row: Row) -> CacheEntry:
    """The entry of a row.

    Raises:
        ValueError: the row cannot be read.
    """
    token, kind, info, updated, stored, used, uses = row
    updated_at = datetime.fromisoformat(str(updated))
    return CacheEntry(
        TOKEN_INFOS.from_text(info),
        updated_at,
        datetime.fromisoformat(str(stored)) if stored is not None else updated_at,
        datetime.fromisoformat(str(used)) if used is not None else updated_at,
        int(str(uses)),
        _size_bytes(str(token), str(kind), str(info)),
    )


def _size_bytes(token: str, kind: str, info: str) -> int:
    return len(token.encode()) + len(kind) + len(info.encode()) + _OVERHEAD_BYTES
