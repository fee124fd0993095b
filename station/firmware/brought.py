"""Takes a firmware image from somebody at the station, piece by piece, onto the disk and no larger than allowed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable
from pathlib import Path


class TooLargeError(Exception):
    """More bytes come than a firmware image may have."""


async def bring(pieces: AsyncIterable[bytes], place: Path, most_bytes: int) -> int:
    """Write an image, in the place of one that was brought before; how many bytes it has.

    Raises:
        TooLargeError: it is not kept.
        OSError: the disk refuses; it is not kept.
    """
    unfinished = place.with_suffix(".part")
    try:
        size = await _write(pieces, unfinished, most_bytes)
        await asyncio.to_thread(unfinished.replace, place)
    finally:
        await asyncio.to_thread(unfinished.unlink, missing_ok=True)
    return size


async def _write(pieces: AsyncIterable[bytes], file_name: Path, most_bytes: int) -> int:
    await asyncio.to_thread(file_name.parent.mkdir, parents=True, exist_ok=True)
    file = await asyncio.to_thread(file_name.open, "wb")
    with file:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > most_bytes:
                raise TooLargeError
            await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.flush)
        await asyncio.to_thread(os.fsync, file.fileno())
    return size
