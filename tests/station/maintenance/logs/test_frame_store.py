"""The OCPP messages of a run are there in the next one, without personal data, and their numbers go on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from ocpp_handlers.wire.session import ObservedFrame
from station.maintenance.logs.frame_log import FrameLog
from station.maintenance.logs.frame_store import FrameStore
from tests import fakes

TOKEN = "04A1B2C3D4E5F6"
AUTHORIZE = json.dumps([2, "1", "Authorize", {"idToken": {"idToken": TOKEN, "type": "ISO14443"}}])
STORED = '[2,"1","Authorize",{"idToken":{"idToken":"04A1…F6","type":"ISO14443"}}]'


class Run:
    """One run of a station on a storage."""

    def __init__(self, folder: Path, most_characters: int = 10_000) -> None:
        clock = fakes.clock()
        self.log = FrameLog(clock, most_characters)
        self.file = folder / "log" / "ocpp-frames.jsonl"
        self.store = FrameStore(self.file, self.log, clock)
        self.store.restore()

    def texts(self) -> list[tuple[int, str]]:
        return [(frame.number, frame.text) for frame in self.log.frames_after(0)]


async def test_messages_and_numbers_outlive_a_run_without_personal_data(tmp_path: Path) -> None:
    before = Run(tmp_path)
    at = [before.log.append(ObservedFrame(direction, AUTHORIZE)).at for direction in ("out", "in")]
    await before.store.reserve_numbers()
    await before.store.save()
    assert TOKEN not in before.file.read_text()
    assert before.file.stat().st_mode & 0o077 == 0
    after = Run(tmp_path)
    assert after.texts() == [(1, STORED), (2, STORED)]
    assert [(frame.direction, frame.at) for frame in after.log.frames_after(0)] == list(
        zip(("out", "in"), at, strict=True)
    )
    assert after.log.append(ObservedFrame("in", "[3]")).number == 3
    await after.store.reserve_numbers()
    assert STORED[:20] not in after.file.read_text(), "deleted from the disk once the next run has them"
    assert len(after.texts()) == 3


async def test_after_a_power_cut_the_numbers_do_not_restart(tmp_path: Path) -> None:
    before = Run(tmp_path)
    reserving = asyncio.create_task(before.store.reserve_numbers())
    await asyncio.sleep(0)
    assert not before.file.exists(), "the start does not wait for the disk"
    given = [before.log.append(ObservedFrame("in", "[3]")).number for _ in range(5)]
    await reserving
    after = Run(tmp_path)
    assert after.texts() == []
    assert after.log.append(ObservedFrame("in", "[3]")).number > max(given)


async def test_what_is_kept_over_many_runs_stays_within_the_bound_of_the_log(tmp_path: Path) -> None:
    for _ in range(10):
        run = Run(tmp_path, most_characters=2_000)
        for _ in range(10):
            run.log.append(ObservedFrame("in", json.dumps([3, "x" * 100, {}])))
        await run.store.save()
        assert run.file.stat().st_size < 3_000
    assert [number for number, _ in Run(tmp_path, most_characters=2_000).texts()][-1] == 100


async def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log.append(ObservedFrame("in", AUTHORIZE))
    await run.store.save()
    content = run.file.read_text()
    run.file.write_text(content[:-20])  # the last line is cut off
    assert Run(tmp_path).texts() == []
    for text in ("", "x", "[]\n", '{"last_number": null}\n', "\x00" * 100):
        run.file.write_text(text)
        assert Run(tmp_path).log.last_number == 0


async def test_a_disk_that_refuses_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    run = Run(tmp_path)
    run.log.append(ObservedFrame("in", AUTHORIZE))
    await run.store.reserve_numbers()
    await run.store.save()


async def test_without_a_message_nothing_is_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    await run.store.save()
    assert not run.file.parent.exists()
