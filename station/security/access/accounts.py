"""The roles of local users, their passwords, and the codes for setting a first password.

A code is printed on the station's label (installation file) or issued by a user with a higher role, and is valid once.
Each role is stored as one fact, so that setting a password and invalidating its code are one write.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal, cast

from station.security.access import passwords
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

CODE_LASTS = timedelta(days=7)
"""validity of an issued code"""


RoleName = Literal["visitor", "driver", "owner", "installer", "service"]


class Role(IntEnum):
    """A role of local users, from VISITOR to SERVICE; a higher role includes the permissions of the lower ones."""

    VISITOR = 0
    """not signed in: sees whether the station is available"""
    DRIVER = 1
    """charging"""
    OWNER = 2
    """history, cards, prices, schedule"""
    INSTALLER = 3
    """commissioning, inputs and outputs, frames, logs"""
    SERVICE = 4
    """service technicians, and users of the machine itself"""

    @property
    def label(self) -> RoleName:
        """The name of the role in the API and the security log."""
        return cast("RoleName", self.name.lower())


ACCOUNTS = (Role.DRIVER, Role.OWNER, Role.INSTALLER, Role.SERVICE)
"""the roles with a password"""


@dataclass(frozen=True, slots=True, repr=False)
class _StoredAccount:
    """The stored account of a role; password and codes are scrypt hashes."""

    password: str | None = None
    code: str | None = None
    """issued by a user with a higher role, not used yet"""
    code_until: str | None = None
    used: str | None = None
    """the used label code; a different code on a new label is valid"""


_FORMAT: Final = FlatFormat(_StoredAccount, names("password", "code", "code_until", "used"))
_UNREADABLE = _StoredAccount(password="?", used="?")
"""replaces an unreadable account: sign-in is impossible, and the label code stays invalid"""


class Accounts:
    """Stores and verifies the passwords of the roles, and the one-time codes for setting them; on disk as hashes."""

    def __init__(self, facts: FactStore, label_codes: Mapping[Role, str], clock: Clock) -> None:
        """`label_codes`: the codes on the station's label, from the installation file."""
        self._facts = facts
        self._label_codes = {role: passwords.normalize_code(code) for role, code in label_codes.items()}
        self._clock = clock
        self._accounts: dict[Role, _StoredAccount] = {}
        self._invalid_label_codes: set[Role] = set()
        """roles whose present label code was used or invalidated, or whose account cannot be read"""
        self._hash_lock = asyncio.Lock()  # one hash at a time: each takes 16 MiB

    async def load(self) -> None:
        """Load the stored accounts; one that cannot be read is blocked and logged.

        Raises:
            StorageError: the disk cannot be read.
        """
        stored = await self._facts.load()
        self._accounts = {role: self._read(role, stored[role.label]) for role in ACCOUNTS if stored.get(role.label)}
        async with self._hash_lock:
            used = [role for role in self._label_codes if await asyncio.to_thread(self._label_code_is_used, role)]
        self._invalid_label_codes = set(used)

    @property
    def has_any_password(self) -> bool:
        """Whether any role has a password; before that the API accepts connections from this machine only."""
        return any(account.password is not None for account in self._accounts.values())

    def has_password(self, role: Role) -> bool:
        """Return whether a role has a password."""
        return self._account_of(role).password is not None

    def accepts_code(self, role: Role) -> bool:
        """Return whether a role can set its password with a code: issued and not expired, or an unused label code."""
        account = self._account_of(role)
        return self._open_code(account) is not None or self.label_code_is_unused(role)

    def label_code_is_unused(self, role: Role) -> bool:
        """Return whether a role's label code can still set its password: it was neither used nor invalidated.

        Also True if a password was set in another way; False if there is no label code.
        """
        return role in self._label_codes and role not in self._invalid_label_codes

    async def verify_password(self, role: Role, password: str) -> bool:
        """Return whether the password is the role's; takes the same time if there is none. Limits no attempts."""
        async with self._hash_lock:
            stored = self._account_of(role).password
            return await asyncio.to_thread(passwords.verify_secret, password, stored)

    async def set_password(self, role: Role, password: str) -> None:
        """Set or change the password of a role; its codes stay valid, and no session is ended.

        Raises:
            ValueError: the password is not allowed; the message says why.
            StorageError: not stored; the old password is still valid.
        """
        normalized = passwords.check_strength(password)
        async with self._hash_lock:
            await self._save(
                role,
                replace(self._account_of(role), password=await asyncio.to_thread(passwords.hash_secret, normalized)),
            )

    async def redeem_code(self, role: Role, code: str, password: str) -> bool:
        """Set a role's password with an issued or label code, which becomes invalid by that; False: the code is wrong.

        An issued code that is still open is discarded by a label code too.

        Raises:
            ValueError: the password is not allowed; the message says why; the code stays valid.
            StorageError: nothing has changed.
        """
        normalized, normalized_code = passwords.check_strength(password), passwords.normalize_code(code)
        async with self._hash_lock:
            account = self._account_of(role)
            was_issued = await asyncio.to_thread(passwords.verify_secret, normalized_code, self._open_code(account))
            if not was_issued and not self._is_on_label(role, normalized_code):
                return False
            used = account.used if was_issued else await asyncio.to_thread(passwords.hash_secret, normalized_code)
            await self._save(
                role, _StoredAccount(await asyncio.to_thread(passwords.hash_secret, normalized), used=used)
            )
            if not was_issued:
                self._invalid_label_codes.add(role)
            return True

    async def issue_code(self, role: Role) -> str:
        """Create, store and return a code with which a role can set its password once within a week.

        An earlier issued code becomes invalid; the label code stays valid.

        Raises:
            StorageError: no code was issued.
        """
        code, until = passwords.new_code(), self._clock.now() + CODE_LASTS
        async with self._hash_lock:
            hashed = await asyncio.to_thread(passwords.hash_secret, passwords.normalize_code(code))
            await self._save(role, replace(self._account_of(role), code=hashed, code_until=until.isoformat()))
        return code

    async def invalidate_label_code(self, role: Role) -> None:
        """Invalidate the label code of a role as if it were used; without effect if it is used or there is none.

        Raises:
            StorageError: the code is still valid.
        """
        label = self._label_codes.get(role)
        if label is None:
            return
        async with self._hash_lock:
            if self._is_on_label(role, label):
                await self._save(
                    role, replace(self._account_of(role), used=await asyncio.to_thread(passwords.hash_secret, label))
                )
                self._invalid_label_codes.add(role)

    async def reset(self) -> None:
        """Delete all passwords and issued codes; the label codes are valid again (factory state).

        Raises:
            StorageError: some accounts may not be reset.
        """
        async with self._hash_lock:
            for role in ACCOUNTS:
                await self._facts.save(role.label, "")
                self._accounts.pop(role, None)
                self._invalid_label_codes.discard(role)

    def _account_of(self, role: Role) -> _StoredAccount:
        return self._accounts.get(role, _StoredAccount())

    def _open_code(self, account: _StoredAccount) -> str | None:
        if account.code is None or account.code_until is None:
            return None
        return account.code if self._clock.now() < datetime.fromisoformat(account.code_until) else None

    def _is_on_label(self, role: Role, normalized_code: str) -> bool:
        label = self._label_codes.get(role, "")
        return hmac.compare_digest(normalized_code.encode(), label.encode()) and self.label_code_is_unused(role)

    def _label_code_is_used(self, role: Role) -> bool:
        account = self._account_of(role)
        if account is _UNREADABLE:
            return True
        return account.used is not None and passwords.verify_secret(self._label_codes[role], account.used)

    def _read(self, role: Role, text: str) -> _StoredAccount:
        account = self._facts.read(role.label, _from_text, text)
        if account is None:
            _log.error("the account of the %s cannot be read: sign-in with it is blocked", role.label)
        return account or _UNREADABLE

    async def _save(self, role: Role, account: _StoredAccount) -> None:
        await self._facts.save(role.label, json.dumps(_FORMAT.to_dict(account)))
        self._accounts[role] = account


def _from_text(text: str) -> _StoredAccount:
    account = _FORMAT.from_dict(json.loads(text))
    if account.code_until is not None:
        datetime.fromisoformat(account.code_until)
    return account
