"""Replaces files of a storage folder by prepared ones, all or none, across power cuts.

    restore.preparing/   being prepared; a power cut leaves the old state
    restore.ready/       complete and synced, but the installation file may still be the old one
    restore.committed/   the new state: what is not in its place yet is moved there, whatever happens
    restore.ended/       to be deleted

Each name is given by a rename. Beside the plan, the folder has `new/`, the files and folders to move into the storage,
and `old/`, those that they have replaced; it is deleted at the end. Whoever locks the storage next finishes what was
interrupted, before anything is read from it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Final

from msgspec import DecodeError, json

from foundation.frozen import Frozen
from station.storage import private_files
from station.storage.storage_lock import StorageLock, StorageLockError

_log = logging.getLogger(__name__)

_PREPARING: Final = "restore.preparing"
_READY: Final = "restore.ready"
_COMMITTED: Final = "restore.committed"
_ENDED: Final = "restore.ended"
_PLAN: Final = "plan.json"
_NEW: Final = "new"
_OLD: Final = "old"


class InstallationSwap(Frozen):
    """An installation file that is replaced together with the storage."""

    file: str
    """the file to replace; absolute"""
    prepared: str
    """the new file, in the same folder, synced to disk"""
    sha256: str
    """digest of the new content, in hex: what the file has once it is replaced"""


class SwapPlan(Frozen):
    """What a swap replaces."""

    replaced: tuple[str, ...]
    """names in `new/` of the files and folders to move into the storage folder"""
    removed: tuple[str, ...]
    """names of files and folders to remove from the storage folder, if they exist"""
    installation: InstallationSwap | None = None
    """None: the installation file stays"""


class StorageSwap:
    """The swap of one storage folder, whose lock the caller holds; all methods block on the disk."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._preparing = storage / _PREPARING
        self._ready = storage / _READY
        self._committed = storage / _COMMITTED
        self._ended = storage / _ENDED

    def prepare(self) -> Path:
        """Create the folder for the new files and folders, empty, and return it.

        Raises:
            OSError: it cannot be created.
        """
        self.discard()
        new = self._preparing / _NEW
        private_files.create_folder(new, 0o700)
        return new

    def discard(self) -> None:
        """Delete what was prepared, before `commit`.

        Raises:
            OSError: it cannot be deleted.
        """
        self._delete(self._preparing)

    def commit(self, plan: SwapPlan) -> None:
        """Put what is prepared in its place.

        Raises:
            OSError: a disk error; the old state applies or the new one, which `finish` completes, but no mixture.
        """
        try:
            self._commit(plan)
        except OSError:
            with contextlib.suppress(OSError):
                self.finish()
            raise

    def _commit(self, plan: SwapPlan) -> None:
        private_files.create_folder(self._preparing / _OLD, 0o700)
        private_files.write_bytes(self._preparing / _PLAN, json.encode(plan))
        _give_to_owner(self._preparing, self._storage.stat())
        _sync_tree(self._preparing)
        private_files.move(self._preparing, self._ready)
        if plan.installation is not None:
            private_files.move(Path(plan.installation.prepared), Path(plan.installation.file))
        private_files.move(self._ready, self._committed)
        self._move_files()

    def finish(self) -> None:
        """Complete a committed swap that was interrupted, and discard one that was not committed.

        Does nothing if there is none, as nearly always.

        Raises:
            OSError: a disk error; the storage must not be used until this succeeds.
        """
        if self._committed.exists():
            self._move_files()
            _log.warning("%s: an interrupted restore has been completed", self._storage)
        elif self._ready.exists() and self._is_installed(_read_plan(self._ready)):
            private_files.move(self._ready, self._committed)
            self._move_files()
            _log.warning("%s: an interrupted restore has been completed", self._storage)
        elif self._ready.exists() or self._preparing.exists():
            self._delete(self._ready)
            self._delete(self._preparing)
            _log.warning("%s: an interrupted restore has been discarded", self._storage)
        elif self._ended.exists():
            shutil.rmtree(self._ended)

    def _is_installed(self, plan: SwapPlan) -> bool:
        """Whether the installation file is the new one already."""
        if plan.installation is None:
            return True
        try:
            content = Path(plan.installation.file).read_bytes()
        except FileNotFoundError:
            return False
        return hashlib.sha256(content).hexdigest() == plan.installation.sha256

    def _move_files(self) -> None:
        """Move each file and folder into its place; may be repeated after any step."""
        plan = _read_plan(self._committed)
        new, old = self._committed / _NEW, self._committed / _OLD
        for name in plan.removed:
            if os.path.lexists(self._storage / name):
                private_files.move(self._storage / name, old / name)
        for name in plan.replaced:
            if os.path.lexists(new / name):
                if os.path.lexists(self._storage / name):
                    private_files.move(self._storage / name, old / name)
                private_files.move(new / name, self._storage / name)
        self._delete(self._committed)

    def _delete(self, folder: Path) -> None:
        """Delete a folder of the swap; under a name of its own, since a power cut may leave a part of it."""
        if self._ended.exists():
            shutil.rmtree(self._ended)
        if folder.exists():
            private_files.move(folder, self._ended)
            shutil.rmtree(self._ended)


def lock_storage(storage: Path) -> StorageLock:
    """Lock a storage folder, and finish a restore of it that was interrupted; blocks on the disk.

    Raises:
        StorageLockError: another process uses it, it cannot be created, or the restore cannot be finished.
    """
    lock = StorageLock(storage)
    try:
        StorageSwap(storage).finish()
    except OSError as error:
        lock.release()
        raise StorageLockError(f"{storage}: an interrupted restore cannot be finished: {error.strerror}") from error
    except BaseException:
        lock.release()
        raise
    return lock


def _read_plan(folder: Path) -> SwapPlan:
    """The plan of a swap that is ready.

    Raises:
        OSError: it cannot be read; a plan is synced before its folder gets this name, so the disk is at fault.
    """
    try:
        return json.decode((folder / _PLAN).read_bytes(), type=SwapPlan)
    except (DecodeError, ValueError) as error:
        raise OSError(errno.EIO, f"{folder / _PLAN} cannot be read") from error


def _give_to_owner(folder: Path, storage: os.stat_result) -> None:
    """Give all below a folder to the owner of the storage: root may restore, and the user of the service run it."""
    if os.geteuid() != 0:
        return
    for parent, _, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent) / name for name in files)):
            os.chown(path, storage.st_uid, storage.st_gid)


def _sync_tree(folder: Path) -> None:
    """Sync all files and folders below a folder, and itself, to disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        private_files.sync_folder(Path(parent))
