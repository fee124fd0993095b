"""Lock for a storage directory, so that two stations cannot use the same records."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from foundation.expected_error import ExpectedError
from station.storage import private_files

PID_NAME: Final = "borne.pid"
"""the file with the id of the process that holds the lock"""


class StorageLockError(ExpectedError):
    """A storage directory cannot be locked; the message names it, and the process that uses it."""


class StorageInUseError(StorageLockError):
    """Another process uses the storage directory."""


class StorageLock:
    """An exclusive lock on a storage directory, held until `release` or the end of the process.

    The lock is `flock` on the directory itself: it needs no disk space and no file that could be deleted, the kernel
    releases it however the process ends, and, unlike `lockf`, it excludes a second station of the same process.
    The file with the process id only serves the message that a second process prints.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the directory at once, creating it if missing; does not wait for another holder.

        Raises:
            StorageInUseError: another station uses it.
            StorageLockError: it cannot be opened.
        """
        pid_file = folder / PID_NAME
        try:
            private_files.create_folder(folder)
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StorageLockError(f"{folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise StorageInUseError(f"{folder} is in use by {_holder(pid_file)}") from error
            raise StorageLockError(f"{folder}: cannot be locked: {error.strerror}") from error
        with contextlib.suppress(OSError):  # on a full disk the message names no process
            pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")

    def release(self) -> None:
        """Release the lock, so that another station can use the directory; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Hold the lock for the length of a block."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Release the lock."""
        self.release()


def _holder(pid_file: Path) -> str:
    """The process that holds the lock, for the message; a process id left by an ended process is ignored."""
    with contextlib.suppress(OSError, ValueError, OverflowError):
        pid = int(pid_file.read_text(encoding="utf-8"))
        with contextlib.suppress(PermissionError):  # the process exists, but belongs to another user
            os.kill(pid, 0)
        return f"process {pid}"
    return "another process"
