"""Who is signed in: sessions in memory that expire, and access tokens of scripts that are kept, both only as hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from metering.frozen import frozen
from station.access.accounts import Role

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.records.fact_store import FactStore

_log = logging.getLogger(__name__)

_MOST_SESSIONS = 64
MOST_ACCESS_TOKENS = 20
LONGEST_ACCESS = timedelta(days=730)
_PREFIX = "borne_"
"""of an access token, so that it is known for one where it should not be"""
_IDLE_S = {Role.DRIVER: 14 * 86_400.0, Role.OWNER: 86_400.0, Role.INSTALLER: 3_600.0, Role.SERVICE: 1_800.0}
"""a session ends when nothing was asked for so long"""
_AT_MOST_S = {Role.DRIVER: 90 * 86_400.0, Role.OWNER: 14 * 86_400.0, Role.INSTALLER: 43_200.0, Role.SERVICE: 43_200.0}
"""and in any case after this"""


@dataclass(slots=True)
class Session:
    """Somebody is signed in."""

    role: Role
    csrf: str
    """has to come with each change that the cookie allows: another page does not know it"""
    began_s: float
    used_s: float
    ended: bool = False

    def lives(self, now_s: float) -> bool:
        """Whether it still counts."""
        idle = now_s - self.used_s >= _IDLE_S[self.role]
        return not self.ended and not idle and now_s - self.began_s < _AT_MOST_S[self.role]


class Sessions:
    """The sessions of browsers. They end with the program; of many the one that was used longest ago ends first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, role: Role) -> tuple[str, Session]:
        """A new session, and the secret that proves it."""
        secret, now_s = secrets.token_urlsafe(32), self._clock.monotonic()
        session = Session(role, secrets.token_urlsafe(24), now_s, now_s)
        self._sessions[_digest(secret)] = session
        while len(self._sessions) > _MOST_SESSIONS:
            _, oldest = self._sessions.popitem(last=False)
            oldest.ended = True
        return secret, session

    def find(self, secret: str) -> Session | None:
        """The living session of a secret; to find it is to use it."""
        key, now_s = _digest(secret), self._clock.monotonic()
        session = self._sessions.get(key)
        if session is None:
            return None
        if not session.lives(now_s):
            session.ended = True
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session

    def end(self, session: Session) -> None:
        """Sign out."""
        session.ended = True
        self._sessions = OrderedDict((key, one) for key, one in self._sessions.items() if not one.ended)

    def end_all_of(self, role: Role, *, but: Session | None = None) -> None:
        """Its password is another one now."""
        for session in list(self._sessions.values()):
            if session.role is role and session is not but:
                self.end(session)


@frozen
class AccessToken:
    """A script may do what a role may."""

    role: Role
    expires_at: datetime


class AccessTokens:
    """The bearer tokens of scripts, by name; what is kept of each is a hash, which is enough of 256 random bits."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._tokens: dict[str, tuple[str, AccessToken]] = {}

    async def load(self) -> None:
        """Take what is on disk.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if not text:
                continue
            try:
                kept = json.loads(text)
                token = AccessToken(Role(int(kept["role"])), datetime.fromisoformat(str(kept["expires_at"])))
                self._tokens[name] = (str(kept["digest"]), token)
            except (ValueError, KeyError, TypeError):
                _log.error("the access token %s cannot be read: it is not good any more", name)

    def all(self) -> dict[str, AccessToken]:
        """Those that are good, by name."""
        now = self._clock.now()
        return {name: token for name, (_, token) in sorted(self._tokens.items()) if now < token.expires_at}

    async def add(self, name: str, token: AccessToken) -> str:
        """A new one in place of one of that name; the secret is told once.

        Raises:
            ValueError: there are too many.
            StorageError: it is not on disk, and not good.
        """
        if name not in self._tokens and len(self.all()) >= MOST_ACCESS_TOKENS:
            raise ValueError(f"there are {MOST_ACCESS_TOKENS} already")
        secret = _PREFIX + secrets.token_urlsafe(32)
        kept = {"digest": _digest(secret)} | asdict(token) | {"expires_at": token.expires_at.isoformat()}
        await self._facts.save(name, json.dumps(kept))
        self._tokens[name] = (_digest(secret), token)
        return secret

    async def revoke(self, name: str) -> bool:
        """It is not good any more; False: there is none of that name.

        Raises:
            StorageError: after the next start it would be good again.
        """
        if name not in self._tokens:
            return False
        del self._tokens[name]
        await self._facts.save(name, "")
        return True

    async def revoke_all_of(self, role: Role) -> None:
        """Those that a role had made: its password is another one now.

        Raises:
            StorageError: as `revoke`.
        """
        for name in [name for name, (_, token) in self._tokens.items() if token.role is role]:
            await self.revoke(name)

    def find(self, secret: str) -> AccessToken | None:
        """What a bearer token allows; None: nothing."""
        digest, now = _digest(secret), self._clock.now()
        for kept, token in self._tokens.values():
            if hmac.compare_digest(kept, digest) and now < token.expires_at:
                return token
        return None

    def holds(self, token: AccessToken) -> bool:
        """Whether a token that was found is still good."""
        return token in self.all().values()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
