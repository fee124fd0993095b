"""An image that somebody brings, while others bring theirs, and after a power cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from station.maintenance.firmware.image_upload import ImageTooLargeError, UploadSupersededError, receive_image


class Visitor:
    """Sends an image in two halves, the second one when told."""

    def __init__(self, half: bytes) -> None:
        self._half = half
        self.began = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._half
        self.began.set()
        await self.goes_on.wait()
        yield self._half


def kept(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_of_two_images_that_come_at_once_the_later_one_is_kept_whole(tmp_path: Path) -> None:
    place = tmp_path / "firmware" / "brought"
    first, second = Visitor(b"aaaa"), Visitor(b"bb")
    bringing = asyncio.create_task(receive_image(first.pieces(), place, 100))
    await first.began.wait()
    overtaking = asyncio.create_task(receive_image(second.pieces(), place, 100))
    await second.began.wait()
    first.goes_on.set()
    with pytest.raises(UploadSupersededError):
        await bringing
    assert not place.exists()
    second.goes_on.set()
    assert await overtaking == 4
    assert kept(place.parent) == {"brought": b"bbbb"}


async def test_what_a_power_cut_left_goes_and_what_was_brought_stays_until_the_next_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "brought"
    place.write_bytes(b"old")
    for left in ("brought.part", "brought.0123.part"):
        (tmp_path / left).write_bytes(b"half")
    visitor = Visitor(b"new")
    visitor.goes_on.set()
    with pytest.raises(ImageTooLargeError):
        await receive_image(visitor.pieces(), place, 5)
    assert kept(tmp_path) == {"brought": b"old"}
