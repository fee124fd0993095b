"""`borne journal`: a register journal on disk is proven line by line, or handed out entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foundation.frozen import frozen
from metering import journal
from metering.journal import FILE_NAME
from metering.journal_check import HEAD_NAME


class JournalUnreadableError(Exception):
    """There is no journal that could be read; the sentence says why."""


@frozen
class JournalReport:
    """What a look at a whole journal found, as sentences."""

    intact: bool
    lines: tuple[str, ...]


def check_journal_file(place: Path) -> JournalReport:
    """Look at every byte of a journal: at its folder (the station's storage), or at the file itself.

    Raises:
        UnreadableError: there is none.
    """
    file = _file(place)
    # The head first: an entry that a running station appends meanwhile is then beyond it, and not missing.
    head = _read(file.with_name(HEAD_NAME)) if file.with_name(HEAD_NAME).exists() else None
    try:
        with file.open("rb") as opened:
            verdict = journal.check_journal(opened, head)
    except OSError as error:
        raise JournalUnreadableError(f"{file}: {error.strerror}") from error
    if verdict.broken is None:
        lines = [f"{file}: whole: {verdict.entries} entries, each vouched for by the next"]
        if verdict.unfinished:
            lines.append(f"{verdict.unfinished} bytes at its end are what a power cut left of a write")
        return JournalReport(True, tuple(lines))
    where = f"line {verdict.line}: " if verdict.line is not None else ""
    lines = [f"{file}: NOT WHOLE: {where}{verdict.broken}"]
    if verdict.number is not None:
        lines.append(f"entry {verdict.number} was expected there; {verdict.entries} entries before it are proven")
    return JournalReport(False, tuple(lines))


def export_entries(place: Path) -> Iterator[str]:
    """The entries of a journal as JSON lines, in order; what is no entry is left out (`prove` accounts for it).

    Raises:
        UnreadableError: there is none.
    """
    for line in _read(_file(place)).split(b"\n"):
        if journal.parse_entry(line) is not None:
            yield line.decode("ascii")


def _file(place: Path) -> Path:
    return place / FILE_NAME if place.is_dir() else place


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise JournalUnreadableError(f"{file}: {error.strerror}") from error
