"""Receives a firmware image uploaded locally, writes it to disk in pieces, and limits its size."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import AsyncIterable
from pathlib import Path
from typing import BinaryIO

from station.storage.disk_space import free_bytes
from station.storage.storage_monitor import RESERVED_BYTES


class ImageTooLargeError(Exception):
    """The upload exceeds the permitted size of an image."""


class UploadSupersededError(Exception):
    """Another upload of an image started before this one was complete; this one was discarded."""


async def receive_image(pieces: AsyncIterable[bytes], destination: Path, most_bytes: int) -> int:
    """Write an uploaded image to `place`, in place of an earlier one, and return its size in bytes; installs nothing.

    Of concurrent uploads the one that started last is kept, so that a stalled client blocks nobody.

    Raises:
        ImageTooLargeError: discarded.
        UploadSupersededError: discarded.
        OSError: the disk refuses, or would have too little space left for the records of the station; discarded.
    """
    unfinished = destination.with_name(f"{destination.name}.{uuid.uuid4().hex}.part")
    await asyncio.to_thread(_remove_incomplete_images, destination)
    try:
        size = await _write(pieces, unfinished, most_bytes)
        try:
            await asyncio.to_thread(unfinished.replace, destination)
        except FileNotFoundError:
            raise UploadSupersededError from None
    finally:
        await asyncio.to_thread(unfinished.unlink, missing_ok=True)
    return size


def _remove_incomplete_images(destination: Path) -> None:
    """Remove all other incomplete images, including those from before a power cut."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in destination.parent.glob(f"{destination.name}*.part"):
        unfinished.unlink(missing_ok=True)


async def _write(pieces: AsyncIterable[bytes], file_name: Path, most_bytes: int) -> int:
    file = await asyncio.to_thread(file_name.open, "wb")
    with file:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > most_bytes:
                raise ImageTooLargeError
            await asyncio.to_thread(_write_piece, file, piece, file_name.parent)
        await asyncio.to_thread(os.fsync, file.fileno())
    return size


def _write_piece(file: BinaryIO, piece: bytes, folder: Path) -> None:
    """Write a piece if the disk keeps its reserve, whatever else is written there meanwhile.

    Raises:
        OSError: it would not, or the disk refuses.
    """
    if free_bytes(folder) - len(piece) < RESERVED_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.write(piece)
    file.flush()
