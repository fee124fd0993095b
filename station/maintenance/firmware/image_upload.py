"""Takes a firmware image from somebody at the station, piece by piece, onto the disk and no larger than allowed."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterable
from pathlib import Path


class ImageTooLargeError(Exception):
    """More bytes come than a firmware image may have."""


class UploadSupersededError(Exception):
    """Another image began to come before this one was there whole."""


async def receive_image(pieces: AsyncIterable[bytes], place: Path, most_bytes: int) -> int:
    """Write an image, in the place of one that was brought before; how many bytes it has.

    Of several that come at once the one that began last is kept: a visitor that hangs keeps nobody out.

    Raises:
        TooLargeError: it is not kept.
        OvertakenError: it is not kept.
        OSError: the disk refuses; it is not kept.
    """
    unfinished = place.with_name(f"{place.name}.{uuid.uuid4().hex}.part")
    await asyncio.to_thread(_make_room, place)
    try:
        size = await _write(pieces, unfinished, most_bytes)
        try:
            await asyncio.to_thread(unfinished.replace, place)
        except FileNotFoundError:
            raise UploadSupersededError from None
    finally:
        await asyncio.to_thread(unfinished.unlink, missing_ok=True)
    return size


def _make_room(place: Path) -> None:
    """Nothing is left of other unfinished images, also of those that a power cut left."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in place.parent.glob(f"{place.name}*.part"):
        unfinished.unlink(missing_ok=True)


async def _write(pieces: AsyncIterable[bytes], file_name: Path, most_bytes: int) -> int:
    file = await asyncio.to_thread(file_name.open, "wb")
    with file:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > most_bytes:
                raise ImageTooLargeError
            await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.flush)
        await asyncio.to_thread(os.fsync, file.fileno())
    return size
