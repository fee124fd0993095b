"""The upload of a firmware image, beside other uploads, and after a power cut."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from station.maintenance.firmware.image_upload import ImageTooLargeError, UploadSupersededError, receive_image
from station.maintenance.firmware.images import discard_uploaded
from station.storage.storage_monitor import RESERVED_BYTES


class ImageSender:
    """Sends an image in two halves, the second one after `may_continue`."""

    def __init__(self, half: bytes) -> None:
        self._half = half
        self.began = asyncio.Event()
        self.may_continue = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._half
        self.began.set()
        await self.may_continue.wait()
        yield self._half


def stored_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_of_two_images_that_come_at_once_the_later_one_is_kept_whole(tmp_path: Path) -> None:
    place = tmp_path / "firmware" / "brought"
    first, second = ImageSender(b"aaaa"), ImageSender(b"bb")
    bringing = asyncio.create_task(receive_image(first.pieces(), place, 100))
    await first.began.wait()
    overtaking = asyncio.create_task(receive_image(second.pieces(), place, 100))
    await second.began.wait()
    first.may_continue.set()
    with pytest.raises(UploadSupersededError):
        await bringing
    assert not place.exists()
    second.may_continue.set()
    assert await overtaking == 4
    assert stored_files(place.parent) == {"brought": b"bbbb"}


async def test_what_a_power_cut_left_goes_and_what_was_brought_stays_until_the_next_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "brought"
    place.write_bytes(b"old")
    for left in ("brought.part", "brought.0123.part"):
        (tmp_path / left).write_bytes(b"half")
    visitor = ImageSender(b"new")
    visitor.may_continue.set()
    with pytest.raises(ImageTooLargeError):
        await receive_image(visitor.pieces(), place, 5)
    assert stored_files(tmp_path) == {"brought": b"old"}


async def test_an_upload_leaves_space_for_the_records_of_the_station(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = RESERVED_BYTES + 5

    def free_bytes(folder: Path) -> int:
        return disk - sum(file.stat().st_size for file in folder.glob("*.part"))

    monkeypatch.setattr("station.maintenance.firmware.image_upload.free_bytes", free_bytes)
    place = tmp_path / "brought"
    visitor = ImageSender(b"new")
    visitor.may_continue.set()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        await receive_image(visitor.pieces(), place, 100)
    assert stored_files(tmp_path) == {}
    disk += 1
    assert await receive_image(visitor.pieces(), place, 100) == 6


def test_an_uploaded_image_makes_room_for_another_one(tmp_path: Path) -> None:
    for name in ("brought", "brought.0123.part", "image-1"):
        (tmp_path / name).write_bytes(b"image")
    discard_uploaded(tmp_path / "brought")
    assert stored_files(tmp_path) == {"image-1": b"image"}
