"""Makes a backup of a station in one encrypted file, also while the station runs, without disturbing it.

The rows are read in one transaction of SQLite on a read-only connection, beside the commits of the station, and are
encrypted as they are read: no copy of them is written to any disk. The files of the settings are read at a moment at
which they belong to that transaction. Files of records are read before it: a journal that ends earlier than the rows is
what a power cut leaves too, and is completed at the next start.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import json

from foundation.frozen import Frozen
from station.core.version import package_version
from station.maintenance.backup import entries
from station.maintenance.backup.backup_error import BackupError
from station.maintenance.backup.contents import DATABASE, RECORDS, SETTINGS, Manifest, Part, files_below
from station.maintenance.backup.encrypted_file import EncryptedWriter, check_new_passphrase
from station.maintenance.backup.entries import EntryWriter
from station.maintenance.backup.table_rows import entries_of_rows, tolerant_connection
from station.storage import private_files
from station.storage.database_schema import migrations
from station.storage.read_only_access import read_only_access

_ATTEMPTS: Final = 5
"""a station that starts, or changes its files, while they are read"""
_MAX_FILE_BYTES: Final = 16 * 1_048_576
"""of all files that are kept in memory until they are written"""
_SMALL_FILE_BYTES: Final = 65_536
"""a file of records up to this size is read at once; the journals only grow"""


class BackupRequest(Frozen):
    """What to back up: a station with its storage and the files of its installation."""

    identity: str
    """the station's identity at the CSMS"""
    storage: Path
    """the storage folder"""
    installation: Path
    """the installation file"""
    beside: Sequence[Path]
    """files in its folder that belong to it, such as certificates; others are not restored"""
    with_records: bool
    """whether billing records are included"""
    now: datetime
    """the time of the backup"""


class _ChangedMeanwhileError(Exception):
    """The station has changed what was being read: read it again."""


class _StoredFile(Frozen):
    """A file of the storage folder, as it is to be written: with its content, or with the length to read later."""

    name: str
    """its path below the storage folder"""
    size: int
    content: bytes | None
    """None: it only grows, and is read when it is written"""


def make_backup(request: BackupRequest, target: Path, passphrase: str) -> Manifest:
    """Write a backup to `target`, replacing a file there once the new one is complete; returns its manifest. Blocks.

    The file is private (mode 0600) and synced to disk.

    Raises:
        PassphraseError: the passphrase is too short.
        BackupError: the storage cannot be read, or changes all the time.
        OSError: a file cannot be read or written.
    """
    check_new_passphrase(passphrase)
    if not request.storage.is_dir():
        raise BackupError(
            f"{request.storage}: does not exist: this station has not been started yet, or station.storage is relative"
            " to another working directory"
        )
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(_ChangedMeanwhileError), private_files.replacing(target) as file:
            writer = EncryptedWriter(file, passphrase)
            return _write(request, EntryWriter(writer))
    raise BackupError("the station changes its files all the time; try again")


def _write(request: BackupRequest, target: EntryWriter) -> Manifest:
    """Write all entries.

    Raises:
        _ChangedMeanwhileError: what was read may not belong together.
        BackupError, OSError: as `make_backup`.
    """
    parts = (SETTINGS, RECORDS) if request.with_records else (SETTINGS,)
    records = _read_files(request.storage, RECORDS, growing=True) if request.with_records else []
    before = _fingerprint(request.storage)
    settings = _read_files(request.storage, SETTINGS, growing=False)
    with _snapshot(request.storage / DATABASE) as snapshot:
        version = _version(snapshot)
        if _fingerprint(request.storage) != before:
            raise _ChangedMeanwhileError
        manifest = Manifest(
            request.identity, package_version(), version, request.now.isoformat(), with_records=request.with_records
        )
        target.add(entries.MANIFEST, json.encode(manifest))
        target.add(entries.INSTALLATION, request.installation.read_bytes())
        for file in request.beside:
            target.add(f"{entries.BESIDE}{file.name}", file.read_bytes())
        for stored in (*settings, *records):
            _add_stored(target, request.storage, stored)
        if snapshot is not None:
            for table, content in entries_of_rows(snapshot, parts):
                target.add(f"{entries.DATABASE}{table}", content)
        target.finish()
    return manifest


def _add_stored(target: EntryWriter, storage: Path, stored: _StoredFile) -> None:
    name = f"{entries.STORED}{stored.name}"
    if stored.content is not None:
        target.add(name, stored.content)
        return
    with (storage / stored.name).open("rb") as file:
        target.add_file(name, file, stored.size)


def _read_files(storage: Path, part: Part, *, growing: bool) -> list[_StoredFile]:
    """Read the files of a part. `growing`: of a large one, only its length: it is append-only, such as a journal."""
    found: list[_StoredFile] = []
    for file in files_below(storage, part):
        name = str(file.relative_to(storage))
        try:
            size = file.stat().st_size
            large = growing and size > _SMALL_FILE_BYTES
            content = None if large else file.read_bytes()
        except FileNotFoundError:
            raise _ChangedMeanwhileError from None
        found.append(_StoredFile(name, size, content))
        if sum(len(other.content or b"") for other in found) > _MAX_FILE_BYTES:
            raise BackupError(f"{file}: the files of the settings are unusually large; what is in this folder?")
    return found


def _fingerprint(storage: Path) -> list[tuple[str, int, int, int]]:
    """Names, identities, sizes and times of the files of the settings, to detect that one was changed."""
    prints: list[tuple[str, int, int, int]] = []
    for file in files_below(storage, SETTINGS):
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            prints.append((str(file), status.st_ino, status.st_size, status.st_mtime_ns))
    return prints


@contextlib.contextmanager
def _snapshot(file: Path) -> Generator[sqlite3.Connection | None]:
    """Open a database for reading, in a transaction that sees one moment of it; None if there is no database.

    Raises:
        _ChangedMeanwhileError: at the end, if a station has opened the file that was read without locks.
        BackupError: it cannot be read.
    """
    if not file.is_file():
        yield None
        if file.is_file():
            raise _ChangedMeanwhileError
        return
    access, before = read_only_access(file), file.stat()
    try:
        with contextlib.closing(tolerant_connection(access.address, uri=True)) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise BackupError(f"{file}: {error}") from error
    after = file.stat()
    changed = (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns)
    if access.immutable and (changed or not read_only_access(file).immutable):
        raise _ChangedMeanwhileError


def _version(snapshot: sqlite3.Connection | None) -> int:
    """The number of the last migration, with which the transaction begins to see one moment; 0: no database.

    Raises:
        BackupError: a newer version of the program has written the database: it may have tables unknown to this one.
    """
    if snapshot is None:
        return 0
    snapshot.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    version = int(snapshot.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations()):
        raise BackupError(f"the database has version {version}, which a newer version of this program has written")
    return version
