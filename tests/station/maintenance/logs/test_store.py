"""The stored log: which lines it stores and keeps, and the lines of a time span."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.clock import VirtualClock
from station.maintenance.logs.store import LogStore
from tests.fakes import NOON, clock


@pytest.fixture
def log() -> Generator[logging.Logger]:
    """A logger at level INFO."""
    logger = logging.getLogger("station.example")
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def time() -> VirtualClock:
    """A virtual clock that begins at noon."""
    return clock()


@pytest.fixture
async def store(tmp_path: Path, time: VirtualClock) -> AsyncGenerator[LogStore]:
    """A log store of at most 2,000 bytes."""
    async with LogStore(tmp_path / "log", time, most_bytes=2_000).attached() as attached:
        yield attached


async def test_lines_carry_the_time_of_the_station(log: logging.Logger, store: LogStore) -> None:
    log.info("it is %s", "noon")
    assert list(store.between(None, None)) == ["2026-01-15 12:00:00.000Z INFO    station.example: it is noon"]


async def test_frames_are_left_out(store: LogStore) -> None:
    frames = logging.getLogger("ocpp.frames")
    frames.setLevel(logging.DEBUG)
    frames.warning("in [2, card]")
    frames.setLevel(logging.NOTSET)
    assert list(store.between(None, None)) == []


async def test_a_span_gives_its_lines_with_what_belongs_to_them(
    log: logging.Logger, store: LogStore, time: VirtualClock
) -> None:
    for _ in range(3):
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("at %s", time.now().minute)
        await time.advance(60.0)
    lines = list(store.between(NOON + timedelta(seconds=30), NOON + timedelta(seconds=90)))
    assert lines[0] == "2026-01-15 12:01:00.000Z ERROR   station.example: at 1"
    assert lines[-1] == "KeyError: 'x'"
    assert [line for line in lines if "at " in line and "example" in line] == lines[:1]


async def test_lines_reach_the_disk_once_a_minute_and_outlive_the_life(
    log: logging.Logger, tmp_path: Path, time: VirtualClock
) -> None:
    store = LogStore(tmp_path / "log", time)
    async with store.attached():
        log.warning("first")
        assert not (tmp_path / "log").exists()
        await store.flush_to_disk()
        log.warning("second")
        assert [line.split(": ")[1] for line in store.between(None, None)] == ["first", "second"]
    reloaded = LogStore(tmp_path / "log", time)
    assert [line.split(": ")[1] for line in reloaded.between(None, None)] == ["first"]


async def test_the_files_stay_small_and_the_newest_lines_are_kept(
    log: logging.Logger, store: LogStore, tmp_path: Path
) -> None:
    for number in range(100):
        log.info("%03d %s", number, "x" * 100)
        await store.flush_to_disk()
    files = list((tmp_path / "log").iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= 2_000 for file in files)
    numbers = [line.split(": ")[1][:3] for line in store.between(None, None)]
    assert numbers[-1] == "099"
    assert numbers == [f"{number:03d}" for number in range(100 - len(numbers), 100)]


async def test_one_line_again_and_again_does_not_wash_out_the_others(
    log: logging.Logger, tmp_path: Path, time: VirtualClock
) -> None:
    """A CSMS that sends nonsense all day is no reason to lose what happened to the hardware."""
    store = LogStore(tmp_path / "log", time, most_bytes=100_000)
    async with store.attached():
        log.info("the contactor is welded")
        for _ in range(24):
            for number in range(500):
                log.warning("nonsense %d", number)
                if number % 250 == 0:
                    await store.flush_to_disk()
            log.info("still here")
            await time.advance(3_600.0)
        await store.flush_to_disk()
    messages = [line.split(": ", 1)[1] for line in store.between(None, None)]
    assert messages[0] == "the contactor is welded"
    assert messages.count("still here") == 24
    assert messages.count("nonsense 0") == 24
    assert messages.count("nonsense 99 … further lines like this are omitted for up to an hour") == 24


async def test_a_disk_that_refuses_costs_nothing_but_old_lines(
    log: logging.Logger, store: LogStore, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("not a folder")
    log.warning("kept")
    await store.flush_to_disk()
    (tmp_path / "log").unlink()
    await store.flush_to_disk()
    assert "kept" in (tmp_path / "log" / "station.log").read_text()
