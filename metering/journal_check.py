"""Checks the integrity of a register journal, by its file and its head. Pure.

Each entry carries the hash of the one before; the head names the last entry, so that none can be cut off at the end.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import BinaryIO, Final

from foundation.frozen import Frozen
from metering.journal_entry import HASH_BEFORE_FIRST, JournalEntry, JournalEvent, parse_entry

HEAD_NAME: Final = "register-journal.head"

_HEAD: Final = rb"([1-9][0-9]{0,14}) ([0-9a-f]{64})\n"


class JournalCheck(Frozen):
    """Result of `check_journal`: whether the register journal is intact, else where it is broken."""

    entries: int
    """number of valid entries, from the first on"""
    broken: str | None = None
    """a sentence that says where and how the journal is broken; None: it is intact"""
    line: int | None = None
    """the line of the file that is wrong"""
    number: int | None = None
    """the entry that was expected there"""
    unfinished: int = 0
    """number of bytes at the end left by a power cut; the next start records them"""


def check_journal(
    journal: bytes | BinaryIO, head: bytes | None, on_entry: Callable[[JournalEntry], None] | None = None
) -> JournalCheck:
    """Check every byte of a journal and of its head; changes nothing. A file is read line by line.

    Args:
        journal: the open file, or its content.
        head: the content of the head, which names the last entry; None if it is missing.
        on_entry: called with each valid entry, in order.
    """
    named = parse_head(head) if head is not None else None
    last: JournalEntry | None = None
    at_head: str | None = None
    torn: list[bytes] = []
    place, rest = 0, b""
    for raw in io.BytesIO(journal) if isinstance(journal, bytes) else journal:
        if not raw.endswith(b"\n"):
            rest = raw
            break
        place, line = place + 1, raw[:-1]
        entry = parse_entry(line)
        if entry is None:
            torn.append(line)
            continue
        expected, previous = (last.number + 1, last.hash) if last is not None else (1, HASH_BEFORE_FIRST)
        if torn or entry.note.event is JournalEvent.TORN:
            if not _describes_torn_line(entry, b"\n".join(torn)):
                return JournalCheck(expected - 1, "was altered", max(1, place - len(torn)), expected)
            torn = []
        if entry.number != expected or entry.previous != previous:
            return JournalCheck(
                expected - 1, f"holds entry {entry.number}: entries are missing or moved", place, expected
            )
        last = entry
        if named is not None and named[0] == entry.number:
            at_head = entry.hash
        if on_entry is not None:
            on_entry(last)
    unfinished = b"\n".join((*torn, rest))
    return _check_end(last, at_head, unfinished, head, place + 1 - len(torn))


def _check_end(
    last: JournalEntry | None, head_hash: str | None, unfinished: bytes, head: bytes | None, place: int
) -> JournalCheck:
    """Check the end after valid entries. `head_hash`: the hash of the entry in the journal that the head names."""
    count = last.number if last is not None else 0
    if head is None:
        if count > 1:  # the head is written after the first entry
            return JournalCheck(count, f"{HEAD_NAME} is missing: missing entries at the end cannot be detected")
        return JournalCheck(count, unfinished=len(unfinished))
    named = parse_head(head)
    if named is None:
        return JournalCheck(count, f"{HEAD_NAME} was altered")
    if named[0] > count:
        problem = "was altered" if unfinished else "is missing, possibly with further entries after it"
        return JournalCheck(count, problem, place, count + 1)
    if head_hash != named[1]:
        return JournalCheck(count, f"{HEAD_NAME} does not match entry {named[0]}")
    if parse_entry(unfinished[:-1]) is not None:  # this line was complete before bytes were appended
        return JournalCheck(count, "was altered", place, count + 1)
    return JournalCheck(count, unfinished=len(unfinished))


def parse_head(head: bytes) -> tuple[int, str] | None:
    """Parse the content of a head file: number and hash of the entry that it names; None if it is invalid."""
    found = re.fullmatch(_HEAD, head)
    return (int(found[1]), found[2].decode()) if found is not None else None


def _describes_torn_line(entry: JournalEntry, torn: bytes) -> bool:
    return (
        entry.note.event is JournalEvent.TORN and entry.note.details.get("sha256") == hashlib.sha256(torn).hexdigest()
    )
