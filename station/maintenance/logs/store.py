"""The stored log of the station, for uploads to the CSMS: a few small files in the storage (N01).

Flash memory wears with every write, and the newest lines matter most after a fault. So lines are buffered and written
once a minute, without a sync: a power cut loses a minute of them, an orderly stop none.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import threading
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.supervision import contained_call
from station.maintenance.logs.setup import FRAMES, HumanFormatter
from station.maintenance.logs.station_context import current_station
from station.storage import private_files

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_FLUSH_S = 60.0
_MAX_BUFFERED = 2_000
"""lines buffered in memory; older ones are dropped, if the disk refuses or the log is flooded"""
_MAX_BYTES = 1_048_576
"""size of one file"""
_FILE_COUNT = 3
"""number of files: some weeks of an ordinary station"""
STORAGE_BYTES = _FILE_COUNT * _MAX_BYTES
_MAX_LINE_CHARACTERS = 4_096
_MAX_LINES_PER_HOUR = 100
"""lines per hour from one source line, so that a CSMS that keeps sending nonsense does not displace all others"""
_AN_HOUR_S = 3_600.0
_STAMP_LENGTH = len("2026-03-01 12:00:00.000Z")


class LogStore(logging.Handler):
    """Log handler that stores the station's log lines in small files on disk, with the station's own time."""

    def __init__(self, folder: Path, clock: Clock, *, station: str | None = None, most_bytes: int = _MAX_BYTES) -> None:
        """`station`: the identity of the station whose lines are stored; None: all lines, for a single station."""
        super().__init__()
        self._station = station
        self.setFormatter(HumanFormatter())
        self._folder = folder
        self._clock = clock
        self._most_bytes = most_bytes
        self._buffered: deque[str] = deque(maxlen=_MAX_BUFFERED)
        self._lines_this_hour: Counter[tuple[str, int]] = Counter()
        """number of lines of each source line in this hour"""
        self._hour_began_s = clock.monotonic()
        self._file_lock = threading.Lock()
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Buffer a record in memory, from any thread; called by logging.

        OCPP messages are excluded: they contain customers and cards in full. So are lines beyond 100 an hour of one
        source line. Never raises: the code that logs may be what charges.
        """
        if isinstance(contained_call(lambda: self._buffer_line(record)), Exception):
            self._buffered.append(self.format(record)[:_MAX_LINE_CHARACTERS])  # with the machine's time

    def _buffer_line(self, record: logging.LogRecord) -> None:
        if record.name == FRAMES or (excess := self._excess(record)) > 0:
            return
        stamped = copy.copy(record)  # its own time is that of the machine, which may be unset
        stamped.created = self._clock.now().timestamp()
        line = self.format(stamped)[:_MAX_LINE_CHARACTERS]
        self._buffered.append(
            f"{line} … further lines like this are omitted for up to an hour" if excess == 0 else line
        )

    def _excess(self, record: logging.LogRecord) -> int:
        """Excess of a record over the hourly limit of its source line. DEBUG is not limited."""
        if record.levelno <= logging.DEBUG:
            return -1
        now_s = self._clock.monotonic()
        if now_s - self._hour_began_s >= _AN_HOUR_S:
            self._hour_began_s = now_s
            self._lines_this_hour.clear()
        source_line = (record.pathname, record.lineno)
        self._lines_this_hour[source_line] += 1
        return self._lines_this_hour[source_line] - _MAX_LINES_PER_HOUR

    @contextlib.asynccontextmanager
    async def attached(self) -> AsyncGenerator[LogStore]:
        """Context manager: store what is logged within its block, by this handler or the process's `LogRouter`."""
        root = logging.getLogger()
        if self._station is None:
            root.addHandler(self)
        else:
            _router(root).stores[self._station] = self
        try:
            yield self
        finally:
            if self._station is None:
                root.removeHandler(self)
            else:
                _router(root).remove(self._station, root)

    async def run(self) -> None:
        """Write the buffered lines to disk once a minute, until cancelled."""
        while True:
            await self._clock.sleep(_FLUSH_S)
            await self.flush_to_disk()

    async def flush_to_disk(self) -> None:
        """Write all buffered lines to disk now, without a sync; after an error they are kept for the next time."""
        if self._buffered:
            with self._clock.outside_wait():
                await asyncio.to_thread(self._write_buffered)

    def between(self, oldest: datetime | None, latest: datetime | None) -> Iterator[str]:
        """Yield the stored and buffered lines of a period, oldest first; None: open. Blocks on the disk.

        Continuation lines, such as of a traceback, belong to the line above.
        """
        lowest = _stamp(oldest) if oldest is not None else ""
        highest = _stamp(latest) if latest is not None else "~"
        in_period = False
        for line in self._lines():
            stamp = line[:_STAMP_LENGTH]
            if _is_stamp(stamp):
                in_period = lowest <= stamp <= highest
            if in_period:
                yield line

    def _lines(self) -> Iterator[str]:
        with self._file_lock:
            buffered = list(self._buffered)
            for number in reversed(range(_FILE_COUNT)):
                try:
                    with self._path(number).open(encoding="utf-8", errors="replace") as file:
                        for line in file:
                            yield line.rstrip("\n")
                except FileNotFoundError:
                    continue
                except OSError as error:
                    yield f"({self._path(number).name} cannot be read: {error.strerror})"
        for entry in buffered:
            yield from entry.split("\n")

    def _write_buffered(self) -> None:
        with self._file_lock:
            lines = list(self._buffered)
            try:
                self._append_rotating("".join(f"{line}\n" for line in lines))
            except OSError as error:
                if not self._failing:
                    _log.warning("the log cannot be written to disk: %s", error.strerror)
                self._failing = True
                return
            self._failing = False
            for _ in range(min(len(lines), len(self._buffered))):
                self._buffered.popleft()

    def _append_rotating(self, text: str) -> None:
        private_files.create_folder(self._folder, 0o700)
        newest = self._path(0)
        if newest.exists() and newest.stat().st_size + len(text) > self._most_bytes:
            for number in reversed(range(1, _FILE_COUNT)):
                if self._path(number - 1).exists():
                    self._path(number - 1).replace(self._path(number))
        with newest.open("a", encoding="utf-8") as file:
            file.write(text)

    def _path(self, number: int) -> Path:
        return self._folder / ("station.log" if number == 0 else f"station.{number}.log")


class LogRouter(logging.Handler):
    """Log handler that passes each record to the log of the station that it is about: one for all stations.

    It is among the handlers of the root logger while a station has an attached log. With a handler for each station,
    every record would be offered to all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stores: dict[str, LogStore] = {}
        """the attached logs, by identity of their station"""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record to the log of the station in the present context, if there is one; called by logging."""
        identity = current_station()
        if identity is not None and (store := self.stores.get(identity)) is not None:
            store.handle(record)  # which does not raise

    def remove(self, identity: str, root: logging.Logger) -> None:
        """Detach the log of a station; after the last one, this handler leaves the root logger."""
        self.stores.pop(identity, None)
        if not self.stores:
            root.removeHandler(self)


def _router(root: logging.Logger) -> LogRouter:
    """The router of the root logger, added to it if there is none."""
    for handler in root.handlers:
        if isinstance(handler, LogRouter):
            return handler
    router = LogRouter()
    root.addHandler(router)
    return router


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")


def _is_stamp(text: str) -> bool:
    return len(text) == _STAMP_LENGTH and text[4] == text[7] == "-" and text[10] == " " and text[-1] == "Z"
