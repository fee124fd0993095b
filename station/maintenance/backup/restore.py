"""Restores a station from a backup: checked completely before anything changes, then all or nothing.

The new state is prepared in the storage folder, beside the present one, and then put in its place by `StorageSwap`,
also across power cuts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import DecodeError, json

from foundation.frozen import Frozen
from station.core.version import package_version
from station.maintenance.backup import entries
from station.maintenance.backup.backup_error import BackupError, DamagedBackupError
from station.maintenance.backup.contents import DATABASE, RECORDS, SETTINGS, Manifest, Part
from station.maintenance.backup.encrypted_file import EncryptedReader
from station.maintenance.backup.entries import Entry, EntryReader
from station.maintenance.backup.restored_database import BackupRows, RestoredDatabase
from station.storage import private_files
from station.storage.database_schema import migrations
from station.storage.storage_lock import StorageLockError
from station.storage.storage_swap import InstallationSwap, StorageSwap, SwapPlan, lock_storage

_JOURNALS: Final = ("register-journal.jsonl", "grid-orders.jsonl")
"""append-only files of the records: those of the station must be the beginning of those in the backup"""
_ROWS_NAME: Final = "backup-rows.sqlite"
_COMPARED_BYTES: Final = 65_536


class InstalledStation(Frozen):
    """What an installation file says of its station."""

    identity: str
    """its identity at the CSMS"""
    storage: Path
    """its storage folder"""


ReadInstallation = Callable[[Path, Mapping[str, str]], InstalledStation]
"""reads an installation file; the mapping has the content of files beside it, by name, that replace those on disk.
Raises BackupError"""


class RestoreRequest(Frozen):
    """What to restore, and where."""

    backup: Path
    """the backup file"""
    passphrase: str
    installation: Path
    """the installation file"""
    keep_installation: bool
    """whether the installation file and the files beside it stay as they are"""
    with_records: bool
    """whether the billing records are restored too"""
    now: datetime
    """the time of the restore, for the security log"""

    def __repr__(self) -> str:
        return f"<restore of {self.backup}>"


class RestoreResult(Frozen):
    """What a restore has done."""

    manifest: Manifest
    storage: Path
    """the storage folder that was restored"""
    previous_installation: Path | None
    """where the installation file that was replaced is kept; None: it has not changed, or there was none"""


def restore(request: RestoreRequest, read_installation: ReadInstallation) -> RestoreResult:
    """Check a backup completely, and put its content in the place of the station's own; blocks on the disk.

    Raises:
        BackupError: it is refused, and nothing has changed.
        OSError: a disk error; nothing has changed, or the next start of the station completes the restore.
    """
    with request.backup.open("rb") as file:
        reader = EntryReader(EncryptedReader(file, request.passphrase))
        manifest = _read_manifest(reader, request)
        installation = _InstallationFiles(request, reader.first(entries.INSTALLATION))
        first = _read_beside(reader, installation)
        with contextlib.ExitStack() as stack:
            stack.callback(installation.remove_prepared)
            present, restored = installation.stations(read_installation, manifest)
            storages = {restored.storage.resolve()}
            if present is not None and present.storage.is_dir():  # its station must not run either
                storages.add(present.storage.resolve())
            for storage in storages:
                stack.enter_context(_locked(storage))
            _check_identity(manifest, present, restored, request)
            preparation = _Preparation(restored.storage, manifest, request)
            stack.callback(preparation.discard)
            try:
                preparation.read(reader, first)
                plan = preparation.plan(installation.swap())
            except sqlite3.Error as error:
                raise BackupError(f"{restored.storage}: the restored database cannot be written: {error}") from error
            previous = installation.keep_previous()
            installation.write_beside()
            StorageSwap(restored.storage).commit(plan)
        return RestoreResult(manifest, restored.storage, previous)


def _read_manifest(reader: EntryReader, request: RestoreRequest) -> Manifest:
    try:
        manifest = json.decode(reader.first(entries.MANIFEST), type=Manifest)
    except (DecodeError, ValueError) as error:
        raise DamagedBackupError(f"the backup is damaged: its manifest is invalid: {error}") from error
    if manifest.database_version > len(migrations()):
        raise BackupError(
            f"the backup is of version {manifest.program} of the program, whose storage this version"
            f" ({package_version()}) cannot read: a downgrade is not possible"
        )
    if request.with_records and not manifest.with_records:
        raise BackupError("the backup has no billing records: restore it without --records")
    return manifest


def _read_beside(reader: EntryReader, installation: _InstallationFiles) -> Entry | None:
    """Read the files beside the installation file; returns the first entry after them."""
    for entry in reader.entries():
        if not entry.name.startswith(entries.BESIDE):
            return entry
        installation.beside[_plain_name(entry.name.removeprefix(entries.BESIDE))] = reader.content()
    return None


def _plain_name(name: str) -> str:
    """Check that a name is one of a file in a folder."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise DamagedBackupError("the backup is damaged: it has a file with an invalid name")
    return name


@contextlib.contextmanager
def _locked(storage: Path) -> Generator[None]:
    try:
        lock = lock_storage(storage)
    except StorageLockError as error:
        raise BackupError(f"{error}; stop the station first") from error
    with lock:
        yield


def _check_identity(
    manifest: Manifest, present: InstalledStation | None, restored: InstalledStation, request: RestoreRequest
) -> None:
    """Check that the storage is empty, or of the station that the backup is of."""
    used = (restored.storage / DATABASE).exists()
    elsewhere = present is not None and present.storage.resolve() != restored.storage.resolve()
    if present is not None and elsewhere and (present.storage / DATABASE).exists():
        # Its undelivered events and registers would be left behind, unchecked.
        raise BackupError(
            f"the backup's station keeps its records in {restored.storage}, and this station in {present.storage};"
            f" move {present.storage} away, or restore with --keep-installation"
        )
    if present is None and used:
        raise BackupError(
            f"{restored.storage} has the records of a station, and no installation file says of which;"
            " move it away, or restore its installation file first"
        )
    if present is not None and present.identity != manifest.identity and (used or request.keep_installation):
        raise BackupError(
            f"the backup is of the station {manifest.identity}, and this is {present.identity};"
            f" if this board is to become {manifest.identity}, {_how_to_become(manifest, restored, used=used)}"
        )


def _how_to_become(manifest: Manifest, restored: InstalledStation, *, used: bool) -> str:
    """What to do before a restore of another station."""
    if used:
        return f"remove what is in {restored.storage}, or move it away"
    return (
        f'set station.identity (or BORNE_STATION_IDENTITY) to "{manifest.identity}", or restore without'
        " --keep-installation"
    )


class _InstallationFiles:
    """The installation file of a backup, and the files beside it."""

    def __init__(self, request: RestoreRequest, content: bytes) -> None:
        self._file = request.installation.absolute()
        self._keep = request.keep_installation
        self._content = content
        self._prepared = self._file.with_name(f".{self._file.name}.restored")
        self.beside: dict[str, bytes] = {}
        """content of the files beside it, by name"""

    def stations(
        self, read_installation: ReadInstallation, manifest: Manifest
    ) -> tuple[InstalledStation | None, InstalledStation]:
        """The station of the present installation file, None if there is none, and that of the restored one.

        Prepares the restored installation file beside the present one.

        Raises:
            BackupError: an installation file is invalid, or a file beside it differs from that in the backup.
            OSError: a file cannot be read or written.
        """
        present = read_installation(self._file, {}) if self._file.exists() else None
        if self._keep:
            if present is None:
                raise BackupError(f"{self._file}: does not exist")
            return present, present
        for name, content in self.beside.items():
            file = self._file.with_name(name)
            if file.exists() and file.read_bytes() != content:
                raise BackupError(f"{file} differs from that in the backup: move it away, or use --keep-installation")
        private_files.write_bytes(self._prepared, self._content)
        texts = {name: content.decode(errors="replace") for name, content in self.beside.items()}
        restored = read_installation(self._prepared, texts)
        if restored.identity != manifest.identity:
            raise BackupError(
                f"with the environment of this command the station would be {restored.identity}, and the backup is of"
                f" {manifest.identity}"
            )
        self._copy_owner()
        return present, restored

    def _copy_owner(self) -> None:
        """Give the prepared file the mode and the owner of the present one; of a new one, those of a service."""
        model = self._file.stat() if self._file.exists() else None
        self._prepared.chmod(model.st_mode & 0o777 if model is not None else 0o640)
        if os.geteuid() == 0:
            folder = self._file.parent.stat()
            os.chown(self._prepared, (model or folder).st_uid, model.st_gid if model is not None else folder.st_gid)

    def swap(self) -> InstallationSwap | None:
        """How the installation file is replaced; None: it stays, since it is the same."""
        if self._keep or (self._file.exists() and self._file.read_bytes() == self._content):
            return None
        return InstallationSwap(str(self._file), str(self._prepared), hashlib.sha256(self._content).hexdigest())

    def keep_previous(self) -> Path | None:
        """Copy the present installation file aside if it is about to be replaced; returns where."""
        if self.swap() is None or not self._file.exists():
            return None
        previous = self._file.with_name(f"{self._file.name}.before-restore")
        private_files.write_bytes(previous, self._file.read_bytes())
        return previous

    def write_beside(self) -> None:
        """Write the files beside it that are missing; the present state does not use them.

        Raises:
            OSError: one cannot be written.
        """
        if self._keep:
            return
        folder = self._file.parent.stat()
        for name, content in self.beside.items():
            file = self._file.with_name(name)
            if not file.exists():
                private_files.write_bytes(file, content)
                file.chmod(0o640)
                if os.geteuid() == 0:
                    os.chown(file, folder.st_uid, folder.st_gid)

    def remove_prepared(self) -> None:
        """Delete the prepared file, unless it has become the installation file."""
        with contextlib.suppress(OSError):
            self._prepared.unlink(missing_ok=True)


class _Preparation:
    """The new state of a storage, which is prepared beside the present one."""

    def __init__(self, storage: Path, manifest: Manifest, request: RestoreRequest) -> None:
        self._storage = storage
        self._manifest = manifest
        self._request = request
        self._parts: Sequence[Part] = (SETTINGS, RECORDS) if request.with_records else (SETTINGS,)
        self._swap = StorageSwap(storage)
        self._new = self._swap.prepare()
        self._rows_file = self._new.with_name(_ROWS_NAME)

    def discard(self) -> None:
        """Delete what is prepared, if it was not committed; an error is left to the next start."""
        with contextlib.suppress(OSError):
            self._swap.discard()

    def read(self, reader: EntryReader, first: Entry | None) -> None:
        """Read all entries from `first` on, to the end of the backup, and prepare the database and files.

        Raises:
            BackupError: the backup is damaged, or the state of the station forbids to replace it.
            sqlite3.Error, OSError: the disk is full.
        """
        rows = BackupRows(self._rows_file, self._manifest.database_version)
        with rows.being_filled():
            if first is not None:
                self._read_entry(reader, first, rows)
                for entry in reader.entries():
                    self._read_entry(reader, entry, rows)
        restored = RestoredDatabase(self._new / DATABASE)
        restored.copy_from(self._storage / DATABASE)
        restored.check_idle()
        if self._request.with_records:
            restored.check_not_newer(rows)
            for name in _JOURNALS:
                _check_beginning(self._storage / name, self._new / name)
        manifest = self._manifest
        sentence = (
            f"restored from a backup of {manifest.made_at}, {'with' if len(self._parts) > 1 else 'without'} records"
        )
        restored.take(self._parts, rows, self._request.now.isoformat(), sentence)
        self._rows_file.unlink()

    def _read_entry(self, reader: EntryReader, entry: Entry, rows: BackupRows) -> None:
        if entry.name.startswith(entries.DATABASE):
            rows.insert(entry.name.removeprefix(entries.DATABASE), reader.content())
            return
        path = PurePosixPath(entry.name)
        names = [_plain_name(name) for name in path.parts]
        if names[0] != entries.STORED.rstrip("/") or len(names) < 2:
            raise DamagedBackupError(f"the backup is damaged: it has an unknown entry {entry.name}")
        if not any(part.includes(names[1]) for part in self._parts):
            reader.skip()
            return
        with private_files.replacing(self._new.joinpath(*names[1:])) as file:
            for step in reader.steps():
                file.write(step)

    def plan(self, installation: InstallationSwap | None) -> SwapPlan:
        """What to replace: what is in the backup, and what the same parts have now."""
        replaced = sorted(path.name for path in self._new.iterdir())
        present = {name for part in self._parts for name in part.entries(self._storage)}
        logs = {f"{DATABASE}{suffix}" for suffix in ("-wal", "-shm", "-journal")}
        removed = (present | logs) - set(replaced)
        return SwapPlan(tuple(replaced), tuple(sorted(removed)), installation)


def _check_beginning(present: Path, restored: Path) -> None:
    """Check that a journal of the station is the beginning of that in the backup, so that no entry is lost.

    Raises:
        BackupError: it is not.
        OSError: a file cannot be read.
    """
    if not present.exists():
        return
    refusal = BackupError(
        f"the station has entries in {present.name} that the backup does not have: each start writes one. Without"
        f" --records they stay. On a new board, whose records nobody needs, remove what is in {present.parent}"
    )
    if not restored.exists():
        raise refusal
    with present.open("rb") as own, restored.open("rb") as other:
        while step := own.read(_COMPARED_BYTES):
            if other.read(len(step)) != step:
                raise refusal
