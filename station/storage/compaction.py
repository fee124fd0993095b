"""Returns deleted space of the database to the file system; without that its file never shrinks.

A file of an older version is rewritten once at a start; after that free pages are returned while the station is idle.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from foundation.clock import SystemClock
from station.storage import private_files
from station.storage.disk_space import free_bytes

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

INCREMENTAL: Final = 2
"""value of PRAGMA auto_vacuum: free pages can be returned a few at a time"""
_CHECK_EVERY_S: Final = 600.0
_STEP_PAGES: Final = 256
"""pages returned in one write, 1 MiB; delays a waiting record by a few hundredths of a second"""
_PAUSE_S: Final = 1.0
_RESERVE_PAGES: Final = 256
"""free pages kept for the next records, since returning and allocating them again wears flash memory"""
_WITHIN_S: Final = 20.0
"""time limit for a rewrite; the whole start is limited to a minute (deploy/borne.service)"""
_RESERVE_BYTES: Final = 8 * 1024 * 1024
"""disk space that stays free while a file is rewritten"""
_OPS_PER_CHECK: Final = 200
"""SQLite operations between two checks of the deadline"""


class ShrinkableFile(Protocol):
    """The methods of `Database` that `reclaim_when_idle` needs: count unused pages, and release them to the disk."""

    async def free_pages(self) -> int:
        """Return the number of unused pages in the database file.

        Raises:
            StorageError: a disk error.
        """
        ...

    async def reclaim(self, pages: int) -> None:
        """Shorten the file by at most `pages` unused pages, which are then free disk space.

        Raises:
            StorageError: as `free_pages`.
        """
        ...


def rewrite(path: Path) -> None:
    """Replace the closed database at `path` by a copy whose file can shrink; if that fails, log it and change nothing.

    Blocks for up to 20 s. A power cut leaves the old file or the new one.

    A rewrite that exceeded the time limit is retried only once the database has half as many pages, since each attempt
    delays a start and wears the disk.
    """
    copy, slow_marker = path.with_name(f".{path.name}.rewritten"), path.with_name(f".{path.name}.slow")
    try:
        _rewrite(path, copy, slow_marker)
    except (OSError, sqlite3.Error) as error:
        _log.warning("%s could not be rewritten so that it can shrink: %s; retry at a later start", path, error)
    with contextlib.suppress(OSError):
        copy.unlink(missing_ok=True)


def _rewrite(path: Path, copy: Path, slow_marker: Path) -> None:
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite accepts an empty file
    clock = SystemClock()
    deadline_s = clock.monotonic() + _WITHIN_S
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (page_bytes,), (pages,), (unused_pages,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count", "freelist_count")
        )
        if (slow_pages := _pages_of_slow_rewrite(slow_marker)) is not None and 2 * (pages - unused_pages) > slow_pages:
            return
        available_bytes = free_bytes(path.parent) - _RESERVE_BYTES
        if page_bytes * (pages - unused_pages) > available_bytes:
            raise OSError("not enough disk space for a copy")
        connection.set_progress_handler(lambda: clock.monotonic() > deadline_s, _OPS_PER_CHECK)
        connection.execute(f"PRAGMA auto_vacuum={INCREMENTAL}")
        try:
            connection.execute("VACUUM INTO ?", (str(copy),))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                slow_marker.write_text(str(pages - unused_pages), encoding="utf-8")
                raise OSError(f"it took more than {_WITHIN_S:g} s") from error
            raise
    if path.with_name(f"{path.name}-wal").exists():
        raise OSError("another program has the file open")  # its writes would be lost
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    bytes_before, bytes_after = path.stat().st_size, copy.stat().st_size
    private_files.move(copy, path)
    slow_marker.unlink(missing_ok=True)
    _log.info(
        "%s was rewritten so that it can shrink: now %d KiB, before %d KiB",
        path,
        bytes_after // 1024,
        bytes_before // 1024,
    )


def _pages_of_slow_rewrite(slow_marker: Path) -> int | None:
    """The number of pages in the database when a rewrite exceeded the time limit; None: never."""
    with contextlib.suppress(OSError, ValueError):
        return int(slow_marker.read_text(encoding="utf-8"))
    return None


async def reclaim_when_idle(database: ShrinkableFile, idle: Callable[[], bool], clock: Clock) -> None:
    """Task until cancelled: every ten minutes, return unused pages to the file system, a few at a time.

    Pauses while `idle()` is false; keeps a reserve of 256 pages for the next records.

    Raises:
        StorageError: a disk error; call again.
    """
    while True:
        await clock.sleep(_CHECK_EVERY_S)
        if await database.free_pages() < 2 * _RESERVE_PAGES:
            continue
        while idle() and (excess_pages := await database.free_pages() - _RESERVE_PAGES) > 0:
            await database.reclaim(min(excess_pages, _STEP_PAGES))
            await clock.sleep(_PAUSE_S)
