"""Browser sessions, in memory, and access tokens of scripts, on disk; both only as hashes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.security.access.accounts import Role
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

_MAX_SESSIONS = 64
MAX_ACCESS_TOKENS = 20
LONGEST_ACCESS = timedelta(days=730)
_PREFIX = "borne_"
"""prefix of access tokens, so that leaked ones can be recognized"""
_IDLE_S = {Role.DRIVER: 14 * 86_400.0, Role.OWNER: 86_400.0, Role.INSTALLER: 3_600.0, Role.SERVICE: 1_800.0}
"""a session ends after this time without a request"""
_AT_MOST_S = {Role.DRIVER: 90 * 86_400.0, Role.OWNER: 14 * 86_400.0, Role.INSTALLER: 43_200.0, Role.SERVICE: 43_200.0}
"""maximum duration of a session"""


@dataclass(slots=True)
class BrowserSession:
    """A browser session, in memory: its role, CSRF token, begin and last use. Its secret (the cookie) is not kept."""

    role: Role
    csrf: str
    """token that must accompany each changing request with the cookie (protection against CSRF)"""
    began_s: float
    """monotonic"""
    used_s: float
    """the last request, monotonic"""
    ended: bool = False

    def is_valid(self, now_s: float) -> bool:
        """Return whether the session has not ended, and is neither idle too long nor too old. `now_s`: monotonic."""
        idle = now_s - self.used_s >= _IDLE_S[self.role]
        return not self.ended and not idle and now_s - self.began_s < _AT_MOST_S[self.role]


class BrowserSessions:
    """The browser sessions of all users, in memory, by hash of their secret; they end with the program.

    With too many, the least recently used one ends.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, BrowserSession] = OrderedDict()

    def begin(self, role: Role) -> tuple[str, BrowserSession]:
        """Create a session of a role; returns the secret for the cookie, and the session. Checks no password."""
        secret, now_s = secrets.token_urlsafe(32), self._clock.monotonic()
        session = BrowserSession(role, secrets.token_urlsafe(24), now_s, now_s)
        self._sessions[_digest(secret)] = session
        while len(self._sessions) > _MAX_SESSIONS:
            _, oldest = self._sessions.popitem(last=False)
            oldest.ended = True
        return secret, session

    def find(self, secret: str) -> BrowserSession | None:
        """Return the valid session for the secret of a cookie, or None; counts as a use, and removes an expired one."""
        key, now_s = _digest(secret), self._clock.monotonic()
        session = self._sessions.get(key)
        if session is None:
            return None
        if not session.is_valid(now_s):
            session.ended = True
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session

    def end(self, session: BrowserSession) -> None:
        """End a session: it becomes invalid at once and is removed."""
        session.ended = True
        self._sessions = OrderedDict((key, session) for key, session in self._sessions.items() if not session.ended)

    def end_all_of(self, role: Role, *, except_session: BrowserSession | None = None) -> None:
        """End all sessions of a role but `except_session`, for example after a change of its password."""
        for session in list(self._sessions.values()):
            if session.role is role and session is not except_session:
                self.end(session)


class AccessToken(Frozen):
    """What is stored of the access token with which a script has the permissions of a role; its secret is not."""

    digest: str
    """SHA-256 of its secret; 256 random bits need no slower hash"""
    role: Role
    expires_at: datetime
    parent: str | None = None
    """digest of the access token that created this one, which ends with it; None if a person created it"""


_FORMAT: Final = FlatFormat(AccessToken, names("digest", "role", "expires_at", "parent"))


class AccessTokens:
    """The access tokens (bearer tokens) of scripts, by name, on disk; only a hash of each secret is stored."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._tokens: dict[str, AccessToken] = {}
        self._token_lock = asyncio.Lock()  # no token is created while its parent is being revoked

    async def load(self) -> None:
        """Load the stored tokens; those that cannot be read or whose parent is gone are dropped.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if not text:
                continue
            if (token := self._facts.read(name, _from_json, text)) is not None:
                self._tokens[name] = token
            else:
                _log.error("the access token %s cannot be read: it is no longer valid", name)
        while orphans := self._orphans():  # a power cut while a token and its children were being revoked
            for name in orphans:
                del self._tokens[name]

    def all(self) -> dict[str, AccessToken]:
        """The access tokens that have not expired, by name, sorted."""
        now = self._clock.now()
        return {name: token for name, token in sorted(self._tokens.items()) if now < token.expires_at}

    async def add(self, name: str, role: Role, expires_at: datetime, *, maker: AccessToken | None = None) -> str:
        """Create and store a token, replacing one of that name; returns its secret, which is not stored.

        `maker`: the token that requests it, None for a person. The new one expires no later than its maker, and ends
        when the maker is revoked.

        Raises:
            ValueError: there are too many, the maker has ended, or it would replace one of its own ancestors.
            StorageError: the token is neither stored nor valid.
        """
        async with self._token_lock:
            if name not in self._tokens and len(self.all()) >= MAX_ACCESS_TOKENS:
                raise ValueError(f"the maximum of {MAX_ACCESS_TOKENS} access tokens exists already")
            parent, replaced = None, self._tokens.get(name)
            if maker is not None:
                if not self.is_valid(maker):
                    raise ValueError("the requesting access token is no longer valid")
                if replaced is not None and self._is_ancestor(replaced, maker):
                    raise ValueError("an access token cannot replace the one that created it")
                # A token that replaces itself keeps its parent: it does not become its own child.
                parent = maker.parent if replaced == maker else maker.digest
                expires_at = min(expires_at, maker.expires_at)
            secret = _PREFIX + secrets.token_urlsafe(32)
            token = AccessToken(_digest(secret), role, expires_at, parent)
            await self._facts.save(name, _to_json(token))
            self._tokens[name] = token
            if replaced is not None:
                await self._remove(self._orphans())
            return secret

    async def revoke(self, name: str) -> bool:
        """Revoke a token and all tokens created with it; returns False if there is none of that name.

        Raises:
            StorageError: the token is valid again after the next start.
        """
        async with self._token_lock:
            if name not in self._tokens:
                return False
            await self._remove([name])
            return True

    async def revoke_all_of(self, role: Role) -> None:
        """Revoke all tokens of a role, for example after a change of its password.

        Raises:
            StorageError: as `revoke`.
        """
        for name in [name for name, token in self._tokens.items() if token.role is role]:
            await self.revoke(name)

    def find(self, secret: str) -> AccessToken | None:
        """The valid access token for a secret, or None."""
        digest, now = _digest(secret), self._clock.now()
        for token in self._tokens.values():
            if hmac.compare_digest(token.digest, digest) and now < token.expires_at:
                return token
        return None

    def is_valid(self, token: AccessToken) -> bool:
        """Return whether a token still exists and has not expired."""
        return token in self.all().values()

    async def _remove(self, names: list[str]) -> None:
        """Remove tokens and their descendants: all at once in memory, parents first on disk."""
        ended: list[str] = []
        while names:
            for name in names:
                del self._tokens[name]
            ended += names
            names = self._orphans()
        for name in ended:
            await self._facts.save(name, "")

    def _orphans(self) -> list[str]:
        """The names of tokens whose parent does not exist any more."""
        digests = {token.digest for token in self._tokens.values()}
        return [name for name, token in self._tokens.items() if token.parent not in {None, *digests}]

    def _is_ancestor(self, token: AccessToken, descendant: AccessToken) -> bool:
        """Return whether `token` created `descendant`, directly or through other tokens."""
        by_digest = {other.digest: other for other in self._tokens.values()}
        ancestor: AccessToken | None = descendant
        while ancestor is not None and ancestor.parent is not None:
            if ancestor.parent == token.digest:
                return True
            ancestor = by_digest.get(ancestor.parent)
        return False


def _to_json(token: AccessToken) -> str:
    return json.dumps(_FORMAT.to_dict(token) | {"expires_at": token.expires_at.isoformat()})


def _from_json(text: str) -> AccessToken:
    """Parse a stored token; raises ValueError, KeyError or TypeError."""
    stored = json.loads(text)
    expires_at = datetime.fromisoformat(str(stored["expires_at"]))
    parent = stored.get("parent")  # tokens of version 0.1.0 have none
    return AccessToken(
        str(stored["digest"]), Role(int(stored["role"])), expires_at, None if parent is None else str(parent)
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
