"""Keeps the log of OCPP messages over restarts, in a private file of the storage.

Flash memory wears with every write: the messages are written once, at the orderly end of a run, and deleted from the
disk when the next run connects. A power cut loses them, but no number is given twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.json_values import parse_object
from station.maintenance.logs.frame_log import LoggedFrame
from station.storage import private_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from foundation.clock import Clock
    from station.maintenance.logs.frame_log import FrameLog

_log = logging.getLogger(__name__)

_RESERVED_NUMBERS = 1_000_000_000
"""numbers that a run may give without noting it on the disk: one a second for thirty years"""
_LONGEST_FILE = 4 * 1024 * 1024
"""bytes; a longer file was not written by this class"""


class StoredFrame(Frozen):
    """A message of an earlier run (`MaskedFrame`), without secrets and personal data."""

    direction: str
    text: str
    note: str = ""

    @property
    def length(self) -> int:
        """Number of characters."""
        return len(self.text)

    @property
    def anonymous_text(self) -> str:
        """The text, which has no personal data any more."""
        return self.text


class FrameStore:
    """Stores the messages of a frame log at the end of a run, and restores them at the start of the next one.

    Errors of the disk are logged: nothing depends on the messages.
    """

    def __init__(self, file: Path, log: FrameLog, clock: Clock) -> None:
        self._file = file
        self._log = log
        self._clock = clock

    def restore(self) -> None:
        """Fill the log, at the start of a run; what cannot be read is left out. Blocks on the disk."""
        try:
            if self._file.stat().st_size > _LONGEST_FILE:
                return
            first_line, *lines = (private_files.read(self._file) or "").split("\n")
            last_number = int(json.loads(first_line)["last_number"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("the OCPP messages of the last run cannot be read: %s", error)
            return
        self._log.restore(_parse(lines), last_number)

    async def reserve_numbers(self) -> None:
        """Once there is a message, delete the stored ones, and note which numbers this run may give.

        Not earlier: the start does not wait for the disk.
        """
        await self._log.in_use.wait()
        await self._write([_line(last_number=self._log.last_number + _RESERVED_NUMBERS)])

    async def save(self) -> None:
        """Store the messages of the log, at the orderly end of a run; nothing if there never was one."""
        if self._log.last_number == 0:
            return
        frames = (
            _line(
                number=logged.number,
                at=logged.at.isoformat(),
                direction=logged.direction,
                text=logged.frame.anonymous_text,
                **({"note": logged.note} if logged.note else {}),
            )
            for logged in self._log.frames_after(0)
        )
        await self._write([_line(last_number=self._log.last_number), *frames])

    async def _write(self, lines: Sequence[str]) -> None:
        with self._clock.outside_wait():
            await asyncio.to_thread(self._replace, lines)

    def _replace(self, lines: Sequence[str]) -> None:
        """Replace the file; not synced, since a power cut may lose the messages."""
        new_file = self._file.with_suffix(".new")
        try:
            private_files.create_folder(self._file.parent, 0o700)
            with suppress(FileNotFoundError):
                new_file.unlink()
            with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.writelines(lines)
            new_file.replace(self._file)
        except OSError as error:
            _log.warning("the OCPP messages cannot be stored: %s", error.strerror)


def _line(**fields: object) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _parse(lines: Iterable[str]) -> Iterator[LoggedFrame]:
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            fields = parse_object(line)
            frame = StoredFrame(str(fields["direction"]), str(fields["text"]), str(fields.get("note", "")))
            yield LoggedFrame(int(str(fields["number"])), datetime.fromisoformat(str(fields["at"])), frame)
