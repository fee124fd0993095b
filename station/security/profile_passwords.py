"""The passwords that belong to single network profiles (B09.FR.14, B09.FR.18), in a private file.

A profile contains the key of its password only, so that neither the database nor a log line contains the password.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from foundation.secret import Secret
from station.core.identifiers import check_password
from station.storage import private_files
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_KEY_BYTES = 8


class ProfilePasswords:
    """Passwords by key. A password is never changed: another one gets another key."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Load the passwords from `file`; one that cannot be read is as if it had none."""
        self._file = file
        self._clock = clock
        self._by_key = self._read()

    def password(self, key: str) -> Secret | None:
        """The password with this key; None if it is lost."""
        return self._by_key.get(key)

    async def add(self, text: str) -> str:
        """Store a password, and return its key.

        Raises:
            ValueError: the password is not allowed; the message does not contain it.
            StorageError: it is not stored.
        """
        check_password(text)
        key = secrets.token_hex(_KEY_BYTES)
        await self._save({**self._by_key, key: Secret(text)})
        return key

    async def keep_only(self, keys: Collection[str]) -> None:
        """Delete the passwords that no profile uses any more; a disk error is only logged."""
        kept = {key: password for key, password in self._by_key.items() if key in keys}
        if len(kept) < len(self._by_key):
            try:
                await self._save(kept)
            except StorageError as error:
                _log.error("unused passwords of network profiles are not deleted: %s", error)

    async def _save(self, by_key: dict[str, Secret]) -> None:
        text = json.dumps({key: password.get_secret_value() for key, password in by_key.items()})
        try:
            with self._clock.outside_wait():
                await asyncio.to_thread(private_files.write, self._file, text)
        except OSError as error:
            raise StorageError(f"{self._file.name}: {error.strerror}") from error
        self._by_key = by_key

    def _read(self) -> dict[str, Secret]:
        try:
            texts = msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:  # not its text: it may show the content
            _log.error("%s cannot be read: %s; network profiles use the common password", self._file.name, type(error))
            return {}
        return {key: Secret(text) for key, text in texts.items()}
