"""Sign-in, sign-out and password changes, with limits on attempts and entries in the security log."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.security.access.accounts import ACCOUNTS, Role
from station.security.access.sign_in_guard import SignInGuard
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.security.access.accounts import Accounts
    from station.security.access.sessions import AccessToken, AccessTokens, BrowserSession, BrowserSessions
    from station.security.security_events import SecurityEvents


_AN_HOUR_S: Final = 3600.0


class TooManyAttempts(Frozen):
    """Too many wrong attempts: the password was not checked; retry after `wait_s` seconds."""

    wait_s: float


class SignedIn(Frozen):
    """A successful sign-in: the new browser session and its secret, for the cookie."""

    secret: str
    session: BrowserSession


SignInResult = SignedIn | TooManyAttempts | None
"""None: the password or code is wrong"""


class SignInService:
    """Signs users in at the page and API, changes passwords, creates access tokens, and logs local changes.

    It limits guessing, and reports sign-ins and password changes as security events.
    """

    def __init__(
        self,
        accounts: Accounts,
        sessions: BrowserSessions,
        tokens: AccessTokens,
        security_events: SecurityEvents,
        clock: Clock,
    ) -> None:
        self.accounts = accounts
        self.sessions = sessions
        self.tokens = tokens
        self._events = security_events
        self._clock = clock
        self._guard = SignInGuard()
        self._attempt_lock = asyncio.Lock()
        self._loaded = False
        self._logged_at_s: dict[tuple[str, str, str], float] = {}
        """when repeated changes were last logged, in the last hour"""

    async def ensure_loaded(self) -> None:
        """Load accounts and access tokens from disk at the first call; must be awaited before any other use.

        Raises:
            StorageError: the disk cannot be read; call again.
        """
        if self._loaded:
            return
        async with self._attempt_lock:
            if not self._loaded:
                await self.accounts.load()
                await self.tokens.load()
                self._loaded = True

    async def sign_in(self, role: Role, password: str, address: str) -> SignInResult:
        """Verify the password of a role and begin a browser session; counts the attempt and reports a security event.

        Unlike other sign-ins, that of a driver is only reported if it fails.
        """
        if (too_soon := self._required_delay(role, address)) is not None:
            return too_soon
        self._guard.record_attempt(role, address, self._clock.monotonic(), successful=False)  # many at once count too
        if not await self.accounts.verify_password(role, password):
            await self._record_failure(role, address)
            return None
        return await self._record_success(role, address)

    async def set_first_password(self, role: Role, code: str, password: str, address: str) -> SignInResult:
        """Set a role's password with an issued or label code, and begin a session; its other sessions and tokens end.

        The attempt counts as in `sign_in`. Also replaces an existing password.

        Raises:
            ValueError: the password is not allowed; the message says why.
            StorageError: nothing has changed.
        """
        if (too_soon := self._required_delay(role, address)) is not None:
            return too_soon
        self._guard.record_attempt(role, address, self._clock.monotonic(), successful=False)
        if not await self.accounts.redeem_code(role, code, password):
            await self._record_failure(role, address)
            return None
        await self._end_sessions(role)
        await self._events.report(_RECONFIGURED, f"password of the {role.label} set with a code, from {address}")
        return await self._record_success(role, address)

    async def reset(self) -> None:
        """Remove all passwords, sessions and access tokens; the label codes are valid again.

        Raises:
            StorageError: some passwords or tokens may still be valid.
        """
        await self.ensure_loaded()
        for role in ACCOUNTS:
            self.sessions.end_all_of(role)
            await self.tokens.revoke_all_of(role)
        await self.accounts.reset()

    async def invalidate_label_code(self, role: Role) -> None:
        """Invalidate the label code of a role, used or not.

        Raises:
            StorageError: the code is still valid.
        """
        await self.ensure_loaded()
        await self.accounts.invalidate_label_code(role)

    async def change_password(
        self, role: Role, password: str, by: Role, address: str, *, except_session: BrowserSession | None = None
    ) -> None:
        """Set the password of a role, and end its sessions (except `except_session`) and access tokens.

        `by`: the role of the user who changes it, for the security log; the old password is not asked for.

        Raises:
            ValueError: the password is not allowed; the message says why.
            StorageError: not stored; the old password is still valid.
        """
        await self.accounts.set_password(role, password)
        await self._end_sessions(role, kept_session=except_session)
        await self._events.report(
            _RECONFIGURED, f"password of the {role.label} changed by the {by.label}, from {address}"
        )

    async def confirm_password(self, role: Role, password: str, address: str) -> TooManyAttempts | bool:
        """Return whether the password is the role's, for a signed-in user; counts the attempt, begins no session."""
        if (too_soon := self._required_delay(role, address)) is not None:
            return too_soon
        self._guard.record_attempt(role, address, self._clock.monotonic(), successful=False)
        right = await self.accounts.verify_password(role, password)
        if right:
            self._guard.record_attempt(role, address, self._clock.monotonic(), successful=True)
        else:
            await self._record_failure(role, address)
        return right

    async def create_token(self, name: str, role: Role, lasts: timedelta, *, maker: AccessToken | None = None) -> str:
        """Create an access token for a script, valid for `lasts`; returns its secret, which is not stored.

        `maker`: the access token that requests it, None for a person.

        Raises:
            ValueError: the token may not be created; the message says why.
            StorageError: the token is not stored and not valid.
        """
        return await self.tokens.add(name, role, self._clock.now() + lasts, maker=maker)

    async def log_change(self, actor: str, change: str, address: str, *, repeats: str | None = None) -> None:
        """Report a change through the page or API as the security event LocalChange, which is logged but not sent.

        A change that scripts repeat, identified by `repeats`, is logged once an hour only: else repeated entries would
        push other changes out of the log, which is limited.
        """
        if repeats is not None:
            now_s, key = self._clock.monotonic(), (actor, repeats, address)
            logged = {logged_key: at_s for logged_key, at_s in self._logged_at_s.items() if now_s - at_s < _AN_HOUR_S}
            self._logged_at_s = logged if key in logged else logged | {key: now_s}
            if key in logged:
                return
        await self._events.report(SecurityEventType.LOCAL_CHANGE, f"{actor}: {change}, from {address}")

    def _required_delay(self, role: Role, address: str) -> TooManyAttempts | None:
        wait_s = self._guard.wait_s(role, address, self._clock.monotonic())
        return TooManyAttempts(wait_s) if wait_s > 0.0 else None

    async def _record_success(self, role: Role, address: str) -> SignedIn:
        self._guard.record_attempt(role, address, self._clock.monotonic(), successful=True)
        secret, session = self.sessions.begin(role)
        if role > Role.DRIVER:  # a driver's sign-in is not maintenance
            await self._events.report(SecurityEventType.MAINTENANCE_LOGIN_ACCEPTED, f"{role.label}, from {address}")
        return SignedIn(secret, session)

    async def _record_failure(self, role: Role, address: str) -> None:
        await self._events.report(SecurityEventType.MAINTENANCE_LOGIN_FAILED, f"{role.label}, from {address}")

    async def _end_sessions(self, role: Role, *, kept_session: BrowserSession | None = None) -> None:
        self.sessions.end_all_of(role, except_session=kept_session)
        await self.tokens.revoke_all_of(role)


_RECONFIGURED = SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS
