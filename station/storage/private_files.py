"""Files readable by the station only (mode 0600), written atomically: temporary file, sync, rename."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


def write(path: Path, text: str) -> None:
    """Write a private text file (mode 0600) atomically; missing folders are created.

    It is synced to disk when this returns; a power cut leaves the old or the new content.

    Raises:
        OSError: the file was not written; the old content is unchanged.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a private file (mode 0600) atomically, as `write` does.

    Raises:
        OSError: the file was not written; the old content is unchanged.
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Write a private file (mode 0600) in parts: it replaces the one at `path` once the block ends without an error.

    Missing folders are created. It is synced to disk then; a power cut leaves the old or the new content.

    Raises:
        OSError: the file was not written; the old content is unchanged.
    """
    create_folder(path.parent, 0o700)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # one left by a power cut may have another mode
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def move(source: Path, target: Path) -> None:
    """Rename a file to `target`, replacing a file there; synced to disk when this returns. Missing folders are created.

    Raises:
        OSError: the file cannot be renamed.
    """
    create_folder(target.parent, 0o700)
    source.replace(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove(path: Path) -> None:
    """Delete a file, if it exists; synced to disk when this returns.

    Raises:
        OSError: the file cannot be removed.
    """
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def read(path: Path) -> str | None:
    """Read a text file; None if it does not exist. Bytes that are not UTF-8 become replacement characters.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def create_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and the missing ones above it, each with this mode (less the umask), and sync each to disk.

    `Path.mkdir` gives `mode` to the last folder only, and a power cut may undo what it created.

    Raises:
        OSError: the folder cannot be created, or a file has that name.
    """
    missing = [folder, *folder.parents]
    missing = missing[: next((index for index, path in enumerate(missing) if path.is_dir()), len(missing))]
    for path in reversed(missing):
        path.mkdir(mode=mode, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk (fsync), so that a created, renamed or deleted file survives a power cut.

    Raises:
        OSError: a disk error.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
