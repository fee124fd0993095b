"""The authorization cache (OCPP 2.0.1 C10)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from station.core.model import CSMS_TOKEN_TYPES, AuthorizationStatus, IdToken, IdTokenInfo, MessageContent
from station.storage.database import Database, StorageError
from station.storage.payloads import ID_TOKEN_NAMES
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.storage.sql import Row

Key = tuple[str, str]
"""token (folded: identifiers ignore case) and type"""

_log = logging.getLogger(__name__)

TABLE: Final = "authorization_cache"
MAX_BYTES = 262_144
"""maximum size of the cache (AuthCacheCtrlr.Storage): about a thousand tokens"""
_CLOCK_TOLERANCE = timedelta(hours=1)
"""an entry further in the future than this was stored by a wrong clock; less is drift"""
_OVERHEAD_BYTES = 100
"""size of a row besides its texts: three times, a counter, an index entry"""


TOKEN_INFOS: Final = StoredFormat(
    IdTokenInfo,
    {
        **ID_TOKEN_NAMES,
        IdTokenInfo: names(
            "status", "group_id", "expires_at", "evse_ids", "personal_message", "charging_priority", "languages"
        ),
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


class CacheEntry(Frozen):
    """An entry of the cache: the CSMS's authorization of one token, and when and how often it was used."""

    info: IdTokenInfo
    updated_at: datetime
    """when the CSMS last sent the authorization"""
    stored_at: datetime
    """when the token was added to the cache"""
    used_at: datetime
    """when the token was last presented, or added"""
    uses: int
    """how often it was presented, counting the first time"""
    size_bytes: int
    """approximate size on disk"""


_POLICIES: dict[str, Callable[[CacheEntry], tuple[int, datetime]]] = {
    "LRU": lambda entry: (0, entry.used_at),
    "LFU": lambda entry: (entry.uses, entry.used_at),
    "FIFO": lambda entry: (0, entry.stored_at),
    # C10.FR.07: rejected tokens first, then those updated longest ago.
    "CUSTOM": lambda entry: (int(entry.info.accepted), entry.updated_at),
}
"""by AuthCacheCtrlr.Policy: sort key of the entries; the lowest is evicted first when the cache is full"""


class AuthorizationCache:
    """The authorizations that the CSMS sent for id tokens, in memory and on disk.

    Lifetime and eviction policy are settings of AuthCacheCtrlr. `database` None: in memory only.
    """

    def __init__(
        self, database: Database | None, settings: AuthorizationSettings, clock: Clock, *, most_bytes: int = MAX_BYTES
    ) -> None:
        self.most_bytes = most_bytes
        self._database = database
        self._settings = settings
        self._clock = clock
        self._entries: dict[Key, CacheEntry] = {}
        self.size_changed: Event[None] = Event()
        """`size_bytes` may have changed"""

    @property
    def size_bytes(self) -> int:
        """The current size of all entries in bytes (AuthCacheCtrlr.Storage); `most_bytes` is the limit."""
        return sum(entry.size_bytes for entry in self._entries.values())

    async def load(self) -> None:
        """Load the stored entries (C10.FR.02), and delete the expired ones.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        rows = await self._database.rows(
            "SELECT token, type, info, updated_at, stored_at, used_at, uses FROM authorization_cache"
        )
        stored = {place_of((str(row[0]), str(row[1]))) for row in rows}
        for unreadable_row in self._database.unreadable.of(TABLE):
            if unreadable_row.address not in stored:  # deleted since
                self._database.unreadable.remove(unreadable_row.address)
        for row in rows:
            key = str(row[0]), str(row[1])
            entry = self._database.unreadable.read(entry_of, row, place_of(key))
            if entry is not None:
                self._entries[key] = entry
        await self.purge()

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """The cached authorization of a token; None if absent, expired or the cache is off (C10.FR.10, C10.FR.13)."""
        entry = self._entries.get(id_token.key)
        if entry is None or not self._settings.auth_cache_enabled or self._is_expired(entry):  # C10.FR.11
            return None
        return entry.info

    def find_and_count_use(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return the same as `find`, for a presented token, and count a use for the eviction policy.

        The use is stored on disk with the next update of the entry.
        """
        entry = self._entries.get(id_token.key)
        if entry is not None:
            self._entries[id_token.key] = replace(entry, used_at=self._clock.now(), uses=entry.uses + 1)
        return self.find(id_token)

    async def update(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Cache an authorization that the CSMS sent (C10.FR.01, C10.FR.04, C10.FR.05, C12.FR.06).

        Not for tokens issued by the CSMS for one use; with the cache off, the old entry is deleted instead.
        """
        if id_token.type in CSMS_TOKEN_TYPES:  # C02.FR.03, C03.FR.02, C05.FR.02: for one use
            return
        if not self._settings.auth_cache_enabled:
            await self.forget(id_token)  # the old entry would be wrong when the cache is enabled again
            return
        # I04: the tariff in the personal message is requested from the CSMS each time, never cached.
        await self.put(id_token, replace(info, personal_message=None))

    async def put(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Store an entry, even if the cache is off; evict others if it is full (C10.FR.07). A disk error is logged.

        An authorization that has expired deletes the entry instead.
        """
        now, key = self._clock.now(), id_token.key
        if info.expires_at is not None and info.expires_at <= now:  # C10.FR.13
            await self._delete([key])
            return
        unused = () if info.languages else ("languages",)  # few tokens have them, and the cache is small
        text = TOKEN_INFOS.to_text(info, without=("personal_message", *unused))
        entry = CacheEntry(info, now, now, now, 1, _size_bytes(*key, text))
        if (existing := self._entries.get(key)) is not None:
            entry = replace(entry, stored_at=existing.stored_at, used_at=existing.used_at, uses=existing.uses)
        self._entries[key] = entry
        self.size_changed.publish(None)
        await self._delete(self._entries_to_evict(key))
        try:
            await self._save(key, entry, text)
        except StorageError as error:
            _log.error("an entry of the authorization cache cannot be stored: %s", error)

    async def forget(self, id_token: IdToken) -> None:
        """Delete the entry of a token from memory and disk, if there is one; a disk error is logged."""
        if id_token.key in self._entries:
            await self._delete([id_token.key])

    async def purge(self) -> None:
        """Delete expired entries from memory and disk (C10.FR.10, C10.FR.13); a disk error is logged."""
        await self._delete([key for key, entry in self._entries.items() if self._is_expired(entry)])

    async def clear(self) -> None:
        """Delete all entries from memory and disk (C11).

        Raises:
            StorageError: the entries are deleted in memory only, and return at the next start.
        """
        self._entries.clear()
        self.size_changed.publish(None)
        if self._database is not None:
            await self._database.write("DELETE FROM authorization_cache")

    def entries(self) -> list[tuple[Key, IdTokenInfo]]:
        """Return all entries that have not expired: (token, type) and authorization."""
        return [(key, entry.info) for key, entry in self._entries.items() if not self._is_expired(entry)]

    def _is_expired(self, entry: CacheEntry) -> bool:
        lifetime, now = timedelta(seconds=self._settings.auth_cache_life_time_s), self._clock.now()
        if entry.updated_at > now + _CLOCK_TOLERANCE:  # stored by a clock that was ahead: age unknown
            return True
        expires_at = entry.info.expires_at
        return now >= (expires_at if expires_at is not None else entry.updated_at + lifetime)

    def _entries_to_evict(self, newest: Key) -> list[Key]:
        """The entries to evict so that the newest fits."""
        excess = self.size_bytes - self.most_bytes
        if excess <= 0:
            return []
        policy = _POLICIES[self._settings.auth_cache_policy]
        evicted: list[Key] = []
        for key in sorted(self._entries.keys() - {newest}, key=lambda key: policy(self._entries[key])):
            if excess <= 0:
                break
            excess -= self._entries[key].size_bytes
            evicted.append(key)
        return evicted

    async def _delete(self, keys: list[Key]) -> None:
        for key in keys:
            self._entries.pop(key, None)
        if keys:
            self.size_changed.publish(None)
        if self._database is None or not keys:
            return
        try:
            await self._database.write_many("DELETE FROM authorization_cache WHERE token = ? AND type = ?", keys)
        except StorageError as error:
            _log.error("entries of the authorization cache cannot be deleted: %s", error)

    async def _save(self, key: Key, entry: CacheEntry, info: str) -> None:
        if self._database is None:
            return
        self._database.unreadable.remove(place_of(key))  # it is overwritten
        times = (entry.updated_at.isoformat(), entry.stored_at.isoformat(), entry.used_at.isoformat())
        await self._database.write(
            "INSERT INTO authorization_cache (token, type, info, updated_at, stored_at, used_at, uses)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token, type) DO UPDATE SET info = excluded.info,"
            " updated_at = excluded.updated_at, used_at = excluded.used_at, uses = excluded.uses",
            (*key, info, *times, entry.uses),
        )


def place_of(key: Key) -> RowAddress:
    """Build the address of a token's row for the list of unreadable rows; with a hash, since the token is secret."""
    return RowAddress(TABLE, hashlib.sha256("/".join(key).encode()).hexdigest()[:16])


def entry_of(row: Row) -> CacheEntry:
    """Parse a row of table `authorization_cache`: token, type, info, updated_at, stored_at, used_at, uses.

    Raises:
        ValueError: the row cannot be read.
    """
    token, token_type, info, updated, stored, used, uses = row
    updated_at = datetime.fromisoformat(str(updated))
    return CacheEntry(
        TOKEN_INFOS.from_text(info),
        updated_at,
        datetime.fromisoformat(str(stored)) if stored is not None else updated_at,
        datetime.fromisoformat(str(used)) if used is not None else updated_at,
        int(str(uses)),
        _size_bytes(str(token), str(token_type), str(info)),
    )


def _size_bytes(token: str, token_type: str, info: str) -> int:
    return len(token.encode()) + len(token_type) + len(info.encode()) + _OVERHEAD_BYTES
