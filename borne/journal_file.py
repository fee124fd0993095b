"""`borne journal`: checks a register journal on disk line by line, or exports its entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foundation.frozen import Frozen
from metering import journal
from metering.journal import FILE_NAME
from metering.journal_check import HEAD_NAME


class JournalUnreadableError(Exception):
    """The register journal of `borne journal` cannot be read; the message says why."""


class JournalReport(Frozen):
    """The result of `borne journal verify`: whether the journal is intact, and sentences to print."""

    intact: bool
    """whether every byte belongs to the chain of entries, apart from an incomplete entry at the end"""
    lines: tuple[str, ...]
    """the result as sentences, to print"""


def check_journal_file(place: Path) -> JournalReport:
    """Check every byte of a register journal on disk, without changing it; a running station may use it.

    `place` is its folder (the station's storage) or the file itself.

    Raises:
        JournalUnreadableError: it cannot be read.
    """
    file = _file_of(place)
    # Read the head first, so that an entry appended meanwhile by a running station counts as beyond it, not as missing.
    head = _read_file(file.with_name(HEAD_NAME)) if file.with_name(HEAD_NAME).exists() else None
    try:
        with file.open("rb") as opened:
            verdict = journal.check_journal(opened, head)
    except OSError as error:
        raise JournalUnreadableError(f"{file}: {error.strerror}") from error
    if verdict.broken is None:
        lines = [f"{file}: intact: {verdict.entries} entries, each chained to the next"]
        if verdict.unfinished:
            lines.append(
                f"{verdict.unfinished} bytes at the end are an incomplete entry, left by a power cut during a write"
            )
        return JournalReport(True, tuple(lines))
    where = f"line {verdict.line}: " if verdict.line is not None else ""
    lines = [f"{file}: NOT INTACT: {where}{verdict.broken}"]
    if verdict.number is not None:
        lines.append(f"entry {verdict.number} was expected here; the {verdict.entries} entries before it are intact")
    return JournalReport(False, tuple(lines))


def export_entries(place: Path) -> Iterator[str]:
    """Yield the entries of a register journal as JSON lines, in order, unchecked.

    Invalid lines are skipped (`check_journal_file` reports them). `place` is its folder or the file itself.

    Raises:
        JournalUnreadableError: it cannot be read.
    """
    for line in _read_file(_file_of(place)).split(b"\n"):
        if journal.parse_entry(line) is not None:
            yield line.decode("ascii")


def _file_of(place: Path) -> Path:
    return place / FILE_NAME if place.is_dir() else place


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise JournalUnreadableError(f"{file}: {error.strerror}") from error
