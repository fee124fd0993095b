"""Whatever is logged: no handler raises into the code that logs, and the line is not lost."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from station.maintenance.logs.rotated_file import RotatedFileHandler
from station.maintenance.logs.setup import HumanFormatter, JsonFormatter
from station.maintenance.logs.station_context import station_context
from station.maintenance.logs.store import LogStore
from tests.fakes import NOON, clock

LOG = logging.getLogger("station.example")


class Unspeakable:
    """An object that cannot be written."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NowhereZone(tzinfo):
    """A time zone in which no moment has a local time."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        raise OverflowError("date value out of range")

    tzname = dst = utcoffset  # pyright: ignore[reportAssignmentType]  # none of them returns


def log_too_few_arguments() -> None:
    LOG.warning("%d of %d", 1)


def log_the_unspeakable() -> None:
    LOG.warning(Unspeakable())


def log_an_unspeakable_argument() -> None:
    LOG.warning("see %s", Unspeakable())


def log_an_unspeakable_extra() -> None:
    LOG.warning("see", extra={"evse": Unspeakable()})


def log_deep_nesting() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    LOG.warning("see %s", deep, extra={"deep": deep})


UNLOGGABLE = (
    (log_too_few_arguments, "%d of %d (1,)"),
    (log_the_unspeakable, "<Unspeakable>"),
    (log_an_unspeakable_argument, "see %s"),
    (log_an_unspeakable_extra, "see"),
    (log_deep_nesting, "see %s"),
)


@contextlib.contextmanager
def only(handler: logging.Handler | None = None) -> Generator[None]:
    """Log to this handler only, not to those of pytest, which are stricter than a program."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler] if handler is not None else []
    try:
        yield
    finally:
        root.handlers = before


@pytest.mark.parametrize(("write", "message"), UNLOGGABLE)
@pytest.mark.parametrize("hosted", [False, True])
async def test_a_record_that_cannot_be_formatted_is_stored_with_what_can_be_read_of_it(
    tmp_path: Path, write: Callable[[], None], message: str, hosted: bool
) -> None:
    store = LogStore(tmp_path, clock(), station="A" if hosted else None)
    with only(), station_context("A"):
        async with store.attached():
            write()
    (line,) = store.between(None, None)
    assert line.startswith(f"2026-01-15 12:00:00.000Z WARNING station.example: {message} (this line cannot be form")


@pytest.mark.parametrize(("write", "message"), UNLOGGABLE)
def test_the_output_for_machines_has_it_as_an_object_too(
    capsys: pytest.CaptureFixture[str], write: Callable[[], None], message: str
) -> None:
    output = logging.StreamHandler(stream := io.StringIO())
    output.setFormatter(JsonFormatter())
    with only(output):
        write()
    line = json.loads(stream.getvalue())
    assert {"time", "level", "logger", "message"} <= line.keys()
    assert str(line["message"]).startswith(message)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("traceback", [False, True])
async def test_a_zone_without_local_time_costs_the_local_time_and_nothing_else(tmp_path: Path, traceback: bool) -> None:
    store = LogStore(tmp_path, clock())
    formatter = HumanFormatter()
    formatter.time_zone = NowhereZone()
    store.setFormatter(formatter)
    with only():
        async with store.attached():
            LOG.warning("limit of %d A", 16, exc_info=KeyError("x") if traceback else None)
    (line,) = store.between(None, None)
    assert line.startswith("2026-01-15 12:00:00.000Z WARNING station.example: limit of 16 A (")


async def test_a_clock_that_fails_costs_the_time_of_the_station(tmp_path: Path) -> None:
    time = clock()
    store = LogStore(tmp_path, time)

    def failing() -> datetime:
        raise OverflowError("date value out of range")

    time.now = failing
    with only():
        async with store.attached():
            LOG.warning("limit of %d A", 16)
    (line,) = store.between(None, None)
    assert line.endswith("WARNING station.example: limit of 16 A")


def test_a_record_of_no_moment_is_written() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "m", "created": 1e300})
    assert HumanFormatter().format(record).startswith("1970-01-01 00:00:00.000Z INFO    x: m (")
    assert json.loads(JsonFormatter().format(record))["time"] == "1970-01-01T00:00:00.000Z"


def test_a_log_file_that_cannot_be_followed_is_written_on(tmp_path: Path) -> None:
    file = tmp_path / "log"

    class UnfollowedFileHandler(RotatedFileHandler):
        def _moved(self) -> bool:
            raise ValueError("I/O operation on closed file")

    handler = UnfollowedFileHandler(file)
    with only(handler):
        LOG.warning("half a character: \ud800")
    handler.close()
    assert file.read_text() == "half a character: \\ud800\n"


async def test_a_span_of_the_log_may_be_as_long_as_the_calendar(tmp_path: Path) -> None:
    """GetLog may ask for one from year 1 to year 9999."""
    store = LogStore(tmp_path, clock())
    with only():
        async with store.attached():
            LOG.warning("noon")
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for begin, end, lines in (
        (first, last, 1),
        (first, NOON - timedelta(days=1), 0),
        (first.replace(year=500), last, 1),
    ):
        assert len(list(store.between(begin, end))) == lines
