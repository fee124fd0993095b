"""The authorization cache: what was last heard of each id token (OCPP 2.0.1 C10)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from station.database import Database, StorageError
from station.model import IdToken, IdTokenInfo

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from metering.clock import Clock
    from station.settings import Settings

_log = logging.getLogger(__name__)

_MOST_ENTRIES = 1_000
"""when full, the entries that were heard of longest ago make room (C10.FR.07)"""
_NEVER_CACHED = frozenset({"Central", "NoAuthorization"})
"""C05.FR.02: the CSMS made these up for one use"""


@cache
def _infos() -> TypeAdapter[IdTokenInfo]:
    from pydantic import TypeAdapter

    return TypeAdapter(IdTokenInfo)


class TokenStore:
    """Cached id tokens, in memory and on disk."""

    def __init__(self, database: Database | None, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._entries: dict[tuple[str, str], tuple[IdTokenInfo, datetime]] = {}

    async def load(self) -> None:
        """Take what is on disk (C10.FR.02).

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        rows = await self._database.rows(
            "SELECT token, type, info, updated_at FROM authorization_cache ORDER BY updated_at"
        )
        for token, kind, info, updated_at in rows:
            try:
                known = _infos().validate_json(str(info)), datetime.fromisoformat(str(updated_at))
            except ValueError as error:
                _log.error("an entry of the authorization cache cannot be read and is left out: %s", error)
                continue
            self._entries[str(token), str(kind)] = known

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What is known of a token; None when nothing is, or when it is too old (C10.FR.10, C10.FR.13)."""
        if not self._settings.auth_cache_enabled:
            return None
        entry = self._entries.get(id_token.key)
        if entry is None:
            return None
        info, heard = entry
        life = timedelta(seconds=self._settings.auth_cache_life_time_s)
        expires = info.expires_at if info.expires_at is not None else heard + life
        return info if self._clock.now() < expires else None

    async def remember(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Keep what was just heard of a token (C10.FR.01, C10.FR.04, C10.FR.05)."""
        if not self._settings.auth_cache_enabled or id_token.type in _NEVER_CACHED:
            return
        now = self._clock.now()
        self._entries.pop(id_token.key, None)
        self._entries[id_token.key] = (info, now)
        dropped = [next(iter(self._entries))] if len(self._entries) > _MOST_ENTRIES else []
        for key in dropped:
            del self._entries[key]
        try:
            await self._save(id_token, info, now, dropped)
        except StorageError as error:
            _log.error("authorization cache is not on disk: %s", error)

    async def clear(self) -> None:
        """Forget all tokens (C11).

        Raises:
            StorageError: they are forgotten until the next start only.
        """
        self._entries.clear()
        if self._database is not None:
            await self._database.write("DELETE FROM authorization_cache")

    def entries(self) -> list[tuple[tuple[str, str], IdTokenInfo]]:
        """All that is cached: token and type, and what is known."""
        return [(key, info) for key, (info, _) in self._entries.items()]

    async def _save(self, id_token: IdToken, info: IdTokenInfo, now: datetime, dropped: list[tuple[str, str]]) -> None:
        if self._database is None:
            return
        value, kind = id_token.key
        await self._database.write(
            "INSERT INTO authorization_cache (token, type, info, updated_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (token, type) DO UPDATE SET info = excluded.info, updated_at = excluded.updated_at",
            (value, kind, _infos().dump_json(info).decode(), now.isoformat()),
        )
        for key in dropped:
            await self._database.write("DELETE FROM authorization_cache WHERE token = ? AND type = ?", key)
