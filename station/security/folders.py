"""Folders that are on the disk before anything in them counts as stored."""

from __future__ import annotations

import os
from pathlib import Path


def create(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and the missing ones above it, each with this mode (less the umask), and sync each to disk.

    `Path.mkdir` gives `mode` to the last folder only, and a power cut may undo what it created.

    Raises:
        OSError: the disk refuses, or a file has that name.
    """
    missing = [folder, *folder.parents]
    missing = missing[: next((place for place, one in enumerate(missing) if one.is_dir()), len(missing))]
    for one in reversed(missing):
        one.mkdir(mode=mode, exist_ok=True)
        sync(one.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk when this returns.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
