"""The entries of a backup within its encryption: a name and a content each, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from msgspec import DecodeError, json

from foundation.frozen import Frozen
from station.maintenance.backup.backup_error import BackupError, DamagedBackupError
from station.maintenance.backup.encrypted_file import EncryptedReader, EncryptedWriter

MANIFEST: Final = "manifest.json"
"""the first entry"""
INSTALLATION: Final = "installation.toml"
"""the installation file; follows the files beside it"""
BESIDE: Final = "beside/"
"""beginning of the names of files in the folder of the installation file"""
STORED: Final = "storage/"
"""beginning of the names of files in the storage folder"""
DATABASE: Final = "database/"
"""beginning of the names of entries with rows of a table"""
_END: Final = "end"
_STEP_BYTES: Final = 65_536


class Entry(Frozen):
    """What precedes the content of an entry."""

    name: str
    """such as `storage/page.pem`"""
    size: int
    """length of the content, bytes"""


class EntryWriter:
    """Writes the entries of a backup."""

    def __init__(self, target: EncryptedWriter) -> None:
        self._target = target

    def add(self, name: str, content: bytes) -> None:
        """Write an entry.

        Raises:
            OSError: the file cannot be written.
        """
        self._write_head(name, len(content))
        self._target.write(content)

    def add_file(self, name: str, file: BinaryIO, size: int) -> None:
        """Write an entry whose content is the next `size` bytes of a file.

        Raises:
            BackupError: the file has become shorter.
            OSError: a file cannot be read or written.
        """
        self._write_head(name, size)
        while size > 0:
            step = file.read(min(size, _STEP_BYTES))
            if not step:
                raise BackupError(f"{name}: has become shorter while it was read; try again")
            self._target.write(step)
            size -= len(step)

    def finish(self) -> None:
        """Write the end.

        Raises:
            OSError: the file cannot be written.
        """
        self._write_head(_END, 0)
        self._target.finish()

    def _write_head(self, name: str, size: int) -> None:
        head = json.encode(Entry(name, size))
        self._target.write(len(head).to_bytes(2, "big") + head)


class EntryReader:
    """Reads the entries of a backup, in their order."""

    def __init__(self, source: EncryptedReader) -> None:
        self._source = source
        self._left = 0
        """bytes of the present entry that were not read"""

    def entries(self) -> Iterator[Entry]:
        """Yield the remaining entries; read each completely, or `skip` it, before the next one.

        Once all were yielded, the whole file has proven to be undamaged.

        Raises:
            DamagedBackupError: the file is damaged or incomplete.
            OSError: the file cannot be read.
        """
        while (entry := self._next()) is not None:
            yield entry

    def first(self, name: str) -> bytes:
        """Return the content of the next entry, which must have this name.

        Raises:
            DamagedBackupError: it has another, or the file is damaged.
            OSError: the file cannot be read.
        """
        entry = self._next()
        if entry is None or entry.name != name:
            raise DamagedBackupError(f"the backup is damaged: {name} is missing")
        return self.content()

    def content(self) -> bytes:
        """Return the whole remaining content of the present entry.

        Raises:
            DamagedBackupError: the file is damaged.
            OSError: the file cannot be read.
        """
        return b"".join(self.steps())

    def steps(self) -> Iterator[bytes]:
        """Yield the remaining content of the present entry in pieces of at most 64 KiB.

        Raises:
            DamagedBackupError: the file is damaged.
            OSError: the file cannot be read.
        """
        while self._left > 0:
            step = self._source.read(min(self._left, _STEP_BYTES))
            self._left -= len(step)
            yield step

    def skip(self) -> None:
        """Read and discard the remaining content of the present entry.

        Raises:
            DamagedBackupError: the file is damaged.
            OSError: the file cannot be read.
        """
        for _ in self.steps():
            pass

    def _next(self) -> Entry | None:
        if self._left:
            raise AssertionError("an entry was not read to its end")
        head_size = int.from_bytes(self._source.read(2), "big")
        try:
            entry = json.decode(self._source.read(head_size), type=Entry)
        except (DecodeError, ValueError) as error:
            raise DamagedBackupError(f"the backup is damaged: {error}") from error
        if entry.name == _END:
            self._source.finish()
            return None
        self._left = entry.size
        return entry
