"""Where the log of the station goes: the journal of systemd, the file of `[log]`, or the log in its storage."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from borne.support.log_lines import LogLine, parse_journal_entry, parse_lines
from borne.support.service_unit import UNIT, service_unit
from foundation.json_values import parse_object

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

SOURCES: Final = ("auto", "journal", "file", "storage")
"""values of `borne logs --source`"""
_POLL_S: Final = 0.25
_STORED_NAMES: Final = ("station.2.log", "station.1.log", "station.log")
"""the files of the log in the storage, the oldest first (`LogStore`)"""


class LogSourceError(Exception):
    """The log cannot be read; the message says why."""


class LogSource(Protocol):
    """A place that the log of a station is written to."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def read(self, since: datetime | None) -> Iterator[LogLine]:
        """Yield the lines that there are, the oldest first. `since`: older ones may be left out.

        Raises:
            LogSourceError: it cannot be read.
        """
        ...

    def follow(self) -> Iterator[LogLine]:
        """Yield the lines that are written after those that `read` yielded to its end; without end, and blocks.

        Raises:
            LogSourceError: it cannot be read.
        """
        ...

    def close(self) -> None:
        """Release what was opened for reading."""
        ...


def find_source(kind: str, configuration: Configuration, installation: Path) -> LogSource:
    """Return the source of a kind of SOURCES; `auto`: the journal if a service runs the station, else file or storage.

    Raises:
        LogSourceError: there is none.
    """
    file, folder = configuration.log.file, Path(configuration.station.storage) / "log"
    journalctl = shutil.which("journalctl")
    if kind == "journal" or (kind == "auto" and journalctl is not None and service_unit(installation) is not None):
        if journalctl is None:
            raise LogSourceError("journalctl is not installed")
        return JournalSource(journalctl)
    if kind == "file" and file is None:
        raise LogSourceError("log.file is not set in the installation file")
    if file is not None and (kind == "file" or (kind == "auto" and file.exists())):
        return FileSource((file.with_name(f"{file.name}.1"), file), f"{file}")
    files = [folder / name for name in _STORED_NAMES]
    return FileSource(files, f"{folder}, to which a running station adds its lines once a minute")


class JournalSource:
    """The journal of systemd: the lines of the service, and those of systemd about it."""

    name = f"the journal of {UNIT}"

    def __init__(self, journalctl: str) -> None:
        """`journalctl`: path of that program."""
        self._command = [journalctl, f"--unit={UNIT}", "--output=json", "--all", "--no-pager"]
        self._cursor: str | None = None
        """the place of the last entry that was read; None: none was"""

    def read(self, since: datetime | None) -> Iterator[LogLine]:
        """Yield the entries of the journal since then, or all of it, the oldest first."""
        return self._run(f"--since=@{since.timestamp():.0f}" if since is not None else "--lines=all")

    def follow(self) -> Iterator[LogLine]:
        """Yield the entries that the journal gets after the last one that was read; without end, and blocks."""
        return self._run("--follow", f"--after-cursor={self._cursor}" if self._cursor is not None else "--lines=0")

    def close(self) -> None:
        """Do nothing: the process that reads the journal ends with its iteration."""

    def _run(self, *options: str) -> Iterator[LogLine]:
        try:
            process = subprocess.Popen([*self._command, *options], stdout=subprocess.PIPE, text=True, errors="replace")
        except OSError as error:
            raise LogSourceError(f"journalctl: {error.strerror}") from error
        with process, contextlib.ExitStack() as stack:
            stack.callback(process.terminate)
            assert process.stdout is not None
            for text in process.stdout:
                with contextlib.suppress(ValueError):
                    self._cursor = str(parse_object(text).get("__CURSOR", "")) or self._cursor
                if (line := parse_journal_entry(text)) is not None:
                    yield line


class FileSource:
    """Files with lines of the log; the last one is that to which lines are added."""

    def __init__(self, files: Sequence[Path], name: str) -> None:
        self.name = name
        self._older = files[:-1]
        self._file = files[-1]
        self._opened: TextIO | None = None
        """the last file, read as far as its lines were yielded"""
        self._incomplete = ""
        """what follows the last line feed that was read"""

    def read(self, since: datetime | None) -> Iterator[LogLine]:
        """Yield all lines of the files, the oldest first, those older than `since` too.

        Raises:
            LogSourceError: none of the files exists.
        """
        del since
        texts = self._older_texts()
        self._opened = self._open()
        if self._opened is None and not any(file.exists() for file in self._older):
            raise LogSourceError(f"there are no lines yet in {self.name}")
        yield from parse_lines(itertools.chain(texts, self._added_texts()))

    def follow(self) -> Iterator[LogLine]:
        """Yield the lines that are added to the last file, also after it was replaced; without end, and blocks."""
        pause = threading.Event()
        while True:
            replaced = self._is_replaced()
            yield from parse_lines(self._added_texts())  # of a file that was replaced, its last lines
            if replaced:
                self.close()
                self._opened, self._incomplete = self._open(), ""
            else:
                pause.wait(_POLL_S)

    def close(self) -> None:
        """Close the file that is read."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _older_texts(self) -> Iterator[str]:
        for file in self._older:
            try:
                with file.open(encoding="utf-8", errors="replace") as opened:
                    for text in opened:
                        yield text.rstrip("\n")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LogSourceError(f"{file}: {error.strerror}") from error

    def _added_texts(self) -> Iterator[str]:
        """Yield the complete lines of the last file that were not read yet."""
        if self._opened is None:
            return
        for text in self._opened:
            if not text.endswith("\n"):
                self._incomplete += text
                return
            yield self._incomplete + text.rstrip("\n")
            self._incomplete = ""

    def _open(self) -> TextIO | None:
        """Open the last file; None if it does not exist.

        Raises:
            LogSourceError: it cannot be opened.
        """
        try:
            return self._file.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LogSourceError(f"{self._file}: {error.strerror}") from error

    def _is_replaced(self) -> bool:
        """Whether the file of this name is another one than the open one, or was shortened."""
        try:
            named = self._file.stat()
        except OSError:
            return False
        if self._opened is None:
            return True
        own = os.fstat(self._opened.fileno())
        return (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino) or named.st_size < self._opened.buffer.tell()
