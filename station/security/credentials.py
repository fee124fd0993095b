"""The password for HTTP basic authentication: its storage, and the choice after a change (A00.FR.205, A01).

It is stored in a private file (A01.FR.10), and never logged (A01.FR.12). After a
change both passwords are kept until the new one has been accepted: the CSMS may not have received the
station's response, or may store the new one only after the station first uses it.
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
from station.core.identifiers import check_password
from station.storage import private_files
from station.storage.database import StorageError
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)


class _StoredPasswords(Frozen):
    """The content of the file."""

    password: str
    previous: str | None = None
    """the former password, until a CSMS has accepted the new one"""
    installed: str = ""
    """fingerprint of the installation file's password when this was stored; if that changes, it takes precedence"""

    def __repr__(self) -> str:
        return "<stored passwords>"


_FORMAT: Final = FlatFormat(_StoredPasswords, names("password", "previous", "installed"))


class Credentials:
    """The station's password for the CSMS (HTTP Basic), and the former one until the CSMS has accepted the new."""

    def __init__(self, file: Path, installed: str | None, clock: Clock) -> None:
        """Load the passwords from `file`, or else use the password of the installation file (`installed`)."""
        self._file = file
        self._clock = clock
        self._fingerprint = hashlib.sha256((installed or "").encode()).hexdigest()
        self._stored = self._read() or (
            _StoredPasswords(installed, None, self._fingerprint) if installed is not None else None
        )
        self._urls_with_former: set[str] = set()
        """the URLs where the next connection request uses the former password"""

    @property
    def password(self) -> str | None:
        """The newest password, accepted by the CSMS or not; None if there is none."""
        return self._stored.password if self._stored is not None else None

    def password_for(self, url: str) -> str | None:
        """The password of the next connection request to this URL; None when there is none."""
        stored = self._stored
        if stored is not None and stored.previous is not None and url in self._urls_with_former:
            return stored.previous
        return self.password

    async def change(self, text: str) -> None:
        """Store another password and use it from the next connection on (A01.FR.01); does not reconnect.

        Raises:
            ValueError: the password is not allowed; the message does not contain it.
            StorageError: not stored; the old password stays in use.
        """
        check_password(text)
        stored = self._stored  # after two changes in a row, `previous` is still the one that has worked
        last_accepted = (stored.previous or stored.password) if stored is not None else None
        await self._save(_StoredPasswords(text, last_accepted if last_accepted != text else None, self._fingerprint))
        self._urls_with_former.clear()

    def override(self, text: str) -> None:
        """Use a password from the next connection until the next boot, without storing it, as a test bench does.

        Raises:
            ValueError: as `change`.
        """
        check_password(text)
        self._stored = _StoredPasswords(text, None, self._fingerprint)
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

    def note_rejected(self, url: str) -> None:
        """Note that the CSMS at this URL did not accept the password: the next request there uses the other one.

        New and former password take turns until the new one is accepted. Each URL has its own turns: with common ones
        a station that alternates between two CSMSs might always send the same password to each.
        """
        if self._stored is not None and self._stored.previous is not None:
            self._urls_with_former ^= {url}
            next_password = "former" if url in self._urls_with_former else "new"
            _log.info("the CSMS has not accepted the new password yet; the next attempt uses the %s one", next_password)

    async def note_accepted(self, url: str) -> None:
        """Note that the CSMS at this URL accepted the password of the request.

        If it was the new one, the former one is deleted. If it was the former one, requests to this CSMS begin with it,
        and the new one is kept: a CSMS that is slow to store the new one will refuse the former one later.

        Raises:
            StorageError: the former password is not deleted from disk.
        """
        if self._stored is not None and self._stored.previous is not None and url not in self._urls_with_former:
            await self._save(replace(self._stored, previous=None))
            self._urls_with_former.clear()

    async def _save(self, passwords: _StoredPasswords) -> None:
        try:
            with self._clock.outside_wait():
                await asyncio.to_thread(private_files.write, self._file, json.dumps(_FORMAT.to_dict(passwords)))
        except OSError as error:
            raise StorageError(f"{self._file.name}: {error.strerror}") from error
        self._stored = passwords

    def _read(self) -> _StoredPasswords | None:
        try:
            stored = _FORMAT.from_dict(json.loads(self._file.read_text(encoding="utf-8")))
            check_password(stored.password)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):  # not the error itself: it may show the content
            _log.error("%s cannot be read; the password of the installation file is used", self._file.name)
            return None
        return stored if stored.installed == self._fingerprint else None
