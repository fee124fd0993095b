"""Identity and password with which the station logs in to the CSMS: storage, and the choice after a change (A00, A01).

They are stored in a private file (A01.FR.10), and the password is never logged (A01.FR.12). After a change the former
ones are kept until the new ones have been accepted: the CSMS may not have received the station's response, or may
store a new password only after the station first uses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.secret import Secret
from station.core.identifiers import check_csms_identity, check_password
from station.storage import private_files
from station.storage.database import StorageError
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)


class Login(Frozen):
    """With what the station logs in to a CSMS."""

    identity: str
    """last segment of the URL and user name (SecurityCtrlr.Identity)"""
    password: Secret | None = None
    """for HTTP basic authentication; None: the station has none"""


class _StoredLogins(Frozen):
    """The content of the file."""

    password: str | None = None
    previous: str | None = None
    """the former password, until a CSMS has accepted the new one"""
    installed: str = ""
    """fingerprint of the installation file's password when this was stored; if that changes, it takes precedence"""
    identity: str | None = None
    """set by a CSMS; None: that of the installation file"""
    previous_identity: str | None = None
    """the identity that belongs to `previous`; None: as `identity`"""
    installed_identity: str | None = None
    """the installation file's identity when `identity` was stored; if that changes, it takes precedence"""

    def __repr__(self) -> str:
        return "<stored logins>"


_FORMAT: Final = FlatFormat(
    _StoredLogins,
    names("password", "previous", "installed", "identity", "previous_identity", "installed_identity"),
)


class Credentials:
    """The station's identity and password for the CSMS, and the former ones until the CSMS has accepted the new.

    A network profile may have its own instead (B09.FR.16, B09.FR.18): see `NetworkProfiles.login`.
    """

    def __init__(self, file: Path, installed: Login, clock: Clock) -> None:
        """Load identity and password from `file`, or else use those of the installation file (`installed`)."""
        self._file = file
        self._clock = clock
        self._installed = installed
        password = installed.password.get_secret_value() if installed.password is not None else ""
        self._fingerprint = hashlib.sha256(password.encode()).hexdigest()
        self._newest, self._former = self._read() or (installed, None)
        self._urls_with_former: set[str] = set()
        """the URLs where the next connection request uses the former login"""

    @property
    def identity(self) -> str:
        """The newest identity, accepted by the CSMS or not."""
        return self._newest.identity

    @property
    def password(self) -> str | None:
        """The newest password, accepted by the CSMS or not; None if there is none."""
        password = self._newest.password
        return password.get_secret_value() if password is not None else None

    def login_for(self, url: str) -> Login:
        """Identity and password of the next connection request to this URL."""
        return self._former if self._former is not None and url in self._urls_with_former else self._newest

    async def change(self, text: str) -> None:
        """Store another password and use it from the next connection on (A01.FR.01); does not reconnect.

        Raises:
            ValueError: the password is not allowed; the message does not contain it.
            StorageError: not stored; the old password stays in use.
        """
        check_password(text)
        if ":" in self._newest.identity:  # A00.FR.204, A00.FR.303
            raise ValueError("cannot be used: the station identity contains a colon")
        await self._change(replace(self._newest, password=Secret(text)))

    async def change_identity(self, text: str) -> None:
        """Store another identity and use it from the next connection on; does not reconnect.

        Raises:
            ValueError: the identity is not allowed.
            StorageError: not stored; the old identity stays in use.
        """
        check_csms_identity(text)
        if ":" in text and self._newest.password is not None:  # A00.FR.204, A00.FR.303
            raise ValueError("must not contain a colon: the station has a password")
        await self._change(replace(self._newest, identity=text))

    def override(self, text: str) -> None:
        """Use a password from the next connection until the next boot, without storing it, as a test bench does.

        Raises:
            ValueError: as `change`.
        """
        check_password(text)
        self._newest, self._former = replace(self._newest, password=Secret(text)), None
        self._urls_with_former.clear()

    async def reset(self) -> None:
        """Delete the stored password, as a test bench does: from the next boot on, the installation file's applies.

        Raises:
            StorageError: the stored password is not deleted.
        """
        try:
            with self._clock.outside_wait():
                await asyncio.to_thread(private_files.remove, self._file)
        except OSError as error:
            raise StorageError(f"{self._file.name}: {error.strerror}") from error

    def note_rejected(self, url: str, *, uses_password: bool = True) -> None:
        """Note that the CSMS at this URL did not accept the login: the next request there uses the other one.

        New and former login take turns until the new one is accepted. Each URL has its own turns: with common ones
        a station that alternates between two CSMSs might always send the same password to each. Without effect if both
        are the same for a connection that does not use the password.
        """
        if self._differs(uses_password=uses_password):
            self._urls_with_former ^= {url}
            next_login = "former" if url in self._urls_with_former else "new"
            _log.info("the CSMS has not accepted the new login yet; the next attempt uses the %s one", next_login)

    async def note_accepted(self, url: str, *, uses_password: bool = True) -> None:
        """Note that the CSMS at this URL accepted the login of the request.

        If it was the new one, the former one is deleted. If it was the former one, requests to this CSMS begin with it,
        and the new one is kept: a CSMS that is slow to store the new one will refuse the former one later.

        Raises:
            StorageError: the former login is not deleted from disk.
        """
        if self._differs(uses_password=uses_password) and url not in self._urls_with_former:
            former = self._former
            if former is not None and not uses_password and former.password != self._newest.password:
                await self._save(self._newest, replace(former, identity=self._newest.identity))
            else:
                await self._save(self._newest, None)
            self._urls_with_former.clear()

    def _differs(self, *, uses_password: bool) -> bool:
        """Whether there is a former login that a connection could use instead of the newest one."""
        former, newest = self._former, self._newest
        return former is not None and (uses_password or former.identity != newest.identity)

    async def _change(self, login: Login) -> None:
        last_accepted = self._former or self._newest  # after two changes in a row, the former one is still the one
        worked = last_accepted.password is not None or last_accepted.identity != login.identity
        await self._save(login, last_accepted if worked and last_accepted != login else None)
        self._urls_with_former.clear()

    async def _save(self, newest: Login, former: Login | None) -> None:
        stored = _StoredLogins(
            newest.password.get_secret_value() if newest.password is not None else None,
            former.password.get_secret_value() if former is not None and former.password is not None else None,
            self._fingerprint,
            newest.identity if newest.identity != self._installed.identity else None,
            former.identity if former is not None else None,
            self._installed.identity,
        )
        try:
            with self._clock.outside_wait():
                await asyncio.to_thread(private_files.write, self._file, json.dumps(_FORMAT.to_dict(stored)))
        except OSError as error:
            raise StorageError(f"{self._file.name}: {error.strerror}") from error
        self._newest, self._former = newest, former

    def _read(self) -> tuple[Login, Login | None] | None:
        """The newest and the former login as stored; None: there are none, or none that still apply."""
        try:
            stored = _FORMAT.from_dict(json.loads(self._file.read_text(encoding="utf-8")))
            if stored.password is not None:
                check_password(stored.password)
            if stored.identity is not None:
                check_csms_identity(stored.identity)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):  # not the error itself: it may show the content
            _log.error("%s cannot be read; the password of the installation file is used", self._file.name)
            return None
        return self._applicable(stored)

    def _applicable(self, stored: _StoredLogins) -> tuple[Login, Login | None]:
        """The stored logins without what the installation file has changed since."""
        installed = self._installed
        same_identity = stored.installed_identity in (None, installed.identity)
        identity = stored.identity if same_identity and stored.identity is not None else installed.identity
        former_identity = (stored.previous_identity if same_identity else None) or identity
        if stored.installed != self._fingerprint:
            return replace(installed, identity=identity), None
        newest = Login(identity, _secret(stored.password))
        former = Login(former_identity, _secret(stored.previous))
        has_former = stored.previous is not None or former_identity != identity
        return newest, former if has_former else None


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None
