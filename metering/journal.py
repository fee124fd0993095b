"""The register journal: what happened to the billing meters, in a file whose entries vouch for one another.

One entry a line, appended and on the disk before it counts, never changed and never deleted. Each carries the SHA-256
of its own text and of the entry before, so that whoever changes a byte is found out, and where. A second small file,
the head, names the last entry: entries cannot be cut off at the end unnoticed either.

A power cut may leave part of a line. It was nobody's entry yet; it stays where it is, and the next entry tells its
digest, so that these bytes are vouched for too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, cast

from metering.frozen import frozen
from metering.time_quality import TimeQuality, TimeSource, TimeStatus

_log = logging.getLogger(__name__)

FILE_NAME: Final = "register-journal.jsonl"
HEAD_NAME: Final = "register-journal.head"

_NOTHING: Final = "0" * 64
_LINE = re.compile(rb'(\{.+),"hash":"([0-9a-f]{64})"\}')
_HEAD = re.compile(rb"([1-9][0-9]{0,14}) ([0-9a-f]{64})\n")
_TAIL_BYTES: Final = 65_536
"""a first look back from the end; entries are much shorter"""


class JournalError(Exception):
    """The journal cannot be read or written. Trying again may help."""


class JournalEvent(StrEnum):
    """What an entry records."""

    BOOT = "boot"
    """the program started: its versions"""
    SOFTWARE = "software"
    """another version than before"""
    BEGIN = "begin"
    """of a transaction, with the register"""
    END = "end"
    TARIFF = "tariff"
    """another tariff period within a transaction, with the register that divides them"""
    PRICES = "prices"
    """another price list"""
    METER_FOUND = "meter-found"
    """which meter it is: its serial number, where it tells that"""
    METER_FAULT = "meter-fault"
    """silent, or refused as not believable"""
    METER_RESTORED = "meter-restored"
    METER_REFUSED = "meter-refused"
    """a single reading was not believable; the one before still counts"""
    METER_ROLLED_OVER = "meter-rolled-over"
    """its display has begun again with zero, and counts on from there"""
    METER_EXCHANGE = "meter-exchange"
    """somebody answers for another meter in this place"""
    SIGNING_KEY = "signing-key"
    """another key signs the readings of an EVSE, or the first one"""
    UNSIGNED = "unsigned"
    """a reading that was to be signed is not"""
    CLOCK = "clock"
    """the wall time was corrected"""
    TIME_CORRECTED = "time-corrected"
    """the times of a transaction that began without a known time"""
    TAMPER = "tamper"
    FAULT = "fault"
    """of an EVSE, one that forbids energy"""
    FAULT_CLEARED = "fault-cleared"
    """it has stayed away: how often it came, and how long ago it went"""
    TORN = "torn"
    """what stands before this line is what a power cut left of a write"""
    RECORDS_REPLACED = "records-replaced"
    """the database of the transactions is another one than before"""
    DAMAGED = "damaged"
    """the journal was found damaged, and goes on from what there is"""


Details = Mapping[str, "str | int | float | bool | None"]


@frozen
class Note:
    """What is to be recorded; number, hashes and boot are added by the journal."""

    event: JournalEvent
    at: datetime
    time: TimeQuality
    details: Details
    evse: int | None = None
    since_boot_s: float = 0.0
    """seconds since this boot: with the boot's number it outlives a clock that was wrong"""


@frozen
class JournalEntry:
    """One line of the journal."""

    number: int
    boot: int
    note: Note
    previous: str
    """the hash of the entry before"""
    hash: str
    """SHA-256 of the line's text up to here, in hex"""

    @classmethod
    def following(cls, number: int, last: JournalEntry | None, boot: int, note: Note) -> JournalEntry:
        """The entry of a note after the last one, which had this number (0: there was none)."""
        number += 1
        previous = _NOTHING if last is None else last.hash
        text = _text(number, boot, note, previous)
        return cls(number, boot, note, previous, hashlib.sha256(text).hexdigest())

    def line(self) -> bytes:
        """The entry as it stands in the file, without the end of the line."""
        return _text(self.number, self.boot, self.note, self.previous) + f',"hash":"{self.hash}"}}'.encode()

    def told(self) -> dict[str, object]:
        """The entry in plain JSON values."""
        return cast("dict[str, object]", json.loads(self.line()))


def _text(number: int, boot: int, note: Note, previous: str) -> bytes:
    told = {
        "number": number,
        "at": note.at.isoformat(),
        "time": {"status": note.time.status.value, "source": note.time.source.value},
        "boot": boot,
        "since_boot_s": round(note.since_boot_s, 3),
        "event": note.event.value,
        "evse": note.evse,
        "details": dict(note.details),
        "previous": previous,
    }
    return json.dumps(told, separators=(",", ":"), ensure_ascii=True, allow_nan=False)[:-1].encode()


def parse(line: bytes) -> JournalEntry | None:
    """The entry of a line; None when it is none, or when a byte of it was changed."""
    found = _LINE.fullmatch(line)
    if found is None or hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        return None
    try:
        told = json.loads(line)
        note = Note(
            JournalEvent(told["event"]),
            datetime.fromisoformat(told["at"]),
            TimeQuality(TimeStatus(told["time"]["status"]), TimeSource(told["time"]["source"])),
            told["details"],
            told["evse"],
            told["since_boot_s"],
        )
        return JournalEntry(told["number"], told["boot"], note, told["previous"], str(told["hash"]))
    except (ValueError, KeyError, TypeError):
        return None


@frozen
class Verdict:
    """What a look at the whole journal found."""

    entries: int
    """how many are proven, from the first on"""
    broken: str | None = None
    """where and how it is broken, as a sentence; None: it is whole"""
    line: int | None = None
    """the line of the file that does not fit"""
    number: int | None = None
    """the entry that was expected there"""
    unfinished: int = 0
    """bytes at the end that a power cut left; the next start accounts for them"""


def verify(
    journal: bytes | BinaryIO, head: bytes | None, heed: Callable[[JournalEntry], None] | None = None
) -> Verdict:
    """Look at every byte of a journal and of its head; of a file no more than a line is in memory at a time.

    Args:
        journal: the file, or what is in it.
        head: the file that names the last entry; None when it is not there.
        heed: called with each proven entry, in order.
    """
    named = _named(head) if head is not None else None
    last: JournalEntry | None = None
    at_head: str | None = None
    torn: list[bytes] = []
    place, rest = 0, b""
    for raw in io.BytesIO(journal) if isinstance(journal, bytes) else journal:
        if not raw.endswith(b"\n"):
            rest = raw
            break
        place, line = place + 1, raw[:-1]
        entry = parse(line)
        if entry is None:
            torn.append(line)
            continue
        expected, previous = (last.number + 1, last.hash) if last is not None else (1, _NOTHING)
        if torn or entry.note.event is JournalEvent.TORN:
            if not _accounts_for(entry, b"\n".join(torn)):
                return Verdict(expected - 1, "is not as it was written", max(1, place - len(torn)), expected)
            torn = []
        if entry.number != expected or entry.previous != previous:
            return Verdict(expected - 1, f"holds entry {entry.number}: entries are missing or moved", place, expected)
        last = entry
        if named is not None and named[0] == entry.number:
            at_head = entry.hash
        if heed is not None:
            heed(last)
    unfinished = b"\n".join((*torn, rest))
    return _at_the_end(last, at_head, unfinished, head, place + 1 - len(torn))


def _at_the_end(
    last: JournalEntry | None, at_head: str | None, unfinished: bytes, head: bytes | None, place: int
) -> Verdict:
    """The entries are whole up to their end: whether it is the end. `at_head`: the hash of the entry that it names."""
    count = last.number if last is not None else 0
    if head is None:
        if count > 1:  # the head is written after the first entry
            return Verdict(count, f"{HEAD_NAME} is missing: nobody can say whether entries are missing at the end")
        return Verdict(count, unfinished=len(unfinished))
    named = _named(head)
    if named is None:
        return Verdict(count, f"{HEAD_NAME} is not as it was written")
    if named[0] > count:
        what = "is not as it was written" if unfinished else "is missing, and so may be more at the end"
        return Verdict(count, what, place, count + 1)
    if at_head != named[1]:
        return Verdict(count, f"{HEAD_NAME} does not fit entry {named[0]}")
    if parse(unfinished[:-1]) is not None:  # the end of this line was there before what follows it
        return Verdict(count, "is not as it was written", place, count + 1)
    return Verdict(count, unfinished=len(unfinished))


def _named(head: bytes) -> tuple[int, str] | None:
    """Number and hash of the entry that a head names; None when it names none."""
    found = _HEAD.fullmatch(head)
    return (int(found[1]), found[2].decode()) if found is not None else None


def _accounts_for(entry: JournalEntry, torn: bytes) -> bool:
    return (
        entry.note.event is JournalEvent.TORN and entry.note.details.get("sha256") == hashlib.sha256(torn).hexdigest()
    )


class RegisterJournal:
    """The journal of a station, on its disk. Everything here waits for the disk: call it from a thread."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._head = folder / HEAD_NAME
        self.last: JournalEntry | None = None
        """the newest entry"""
        self.boot = 1
        """the number of this boot"""
        self.damaged: str | None = None
        """what is wrong with the end of the file, as a sentence; None: nothing that a short look finds"""
        self._torn = b""
        self._cut_off = False
        self._number = 0

    def load(self) -> None:
        """Find the end of the journal, and what a power cut left there. Does not prove the rest: see `verify`.

        Raises:
            JournalError: it cannot be read.
        """
        head = self._read(self._head)
        self._find_end()
        self.boot = self.last.boot + 1 if self.last is not None else 1
        self._number = self.last.number if self.last is not None else 0
        named = _named(head) if head is not None else None
        if named is None:
            if head is not None or self._number > 1:
                self.damaged = f"{HEAD_NAME} is missing or is not as it was written"
        elif named[0] > self._number or (named[0] == self._number and self.last and named[1] != self.last.hash):
            self.damaged = f"{FILE_NAME} does not end with entry {named[0]}"
            self._number = max(named[0], self._number)

    def append(self, note: Note) -> JournalEntry:
        """Put an entry on the disk.

        Raises:
            JournalError: the disk refuses; what is of it in the file is accounted for with the next entry.
        """
        if self.damaged is not None:  # what was there stays as it is, so that it is found broken for good
            damaged, self.damaged = self.damaged, None
            self._torn = b""
            try:
                self._write(replace(note, event=JournalEvent.DAMAGED, details={"damage": damaged}, evse=None))
            except JournalError:
                self.damaged = damaged
                raise
        if self._torn:
            digest = hashlib.sha256(self._torn).hexdigest()
            details: Details = {"bytes": len(self._torn), "sha256": digest}
            self._write(replace(note, event=JournalEvent.TORN, details=details, evse=None))
        if self.last is not None and self._is_there(note, self.last):  # of a write that failed at its very end
            self._confirm(self.last)
            return self.last
        return self._write(note)

    def entries(self, after: int = 0) -> Iterator[JournalEntry]:
        """The entries with a number beyond `after`, the newest first, as far as lines can be read as such.

        Raises:
            JournalError: the journal cannot be read.
        """
        for line in self._backwards():
            entry = parse(line)
            if entry is not None:
                if entry.number <= after:
                    return
                yield entry

    def verify(self, heed: Callable[[JournalEntry], None] | None = None) -> Verdict:
        """Look at the whole journal.

        Raises:
            JournalError: it cannot be read.
        """
        # The head first: an entry that is appended in between is then beyond it, and not missing.
        head = self._read(self._head)
        try:
            with self._file.open("rb") as file:
                return verify(file, head, heed)
        except FileNotFoundError:
            return verify(b"", head, heed)
        except OSError as error:
            raise JournalError(f"{self._file}: {error.strerror}") from error

    def _read(self, file: Path) -> bytes | None:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"{file}: {error.strerror}") from error

    def _write(self, note: Note) -> JournalEntry:
        entry = JournalEntry.following(self._number, self.last, self.boot, note)
        whole = (b"\n" if self._cut_off else b"") + entry.line() + b"\n"
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._file.exists()
            # Not buffered: what a full disk takes of a line is then known to be in the file, and no more.
            with open(self._file, "ab", buffering=0, opener=_private) as file:
                written = file.write(whole)
                if written != len(whole):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
                os.fsync(file.fileno())
            if fresh:
                _sync_folder(self._file.parent)
        except OSError as error:
            with contextlib.suppress(JournalError):
                self._find_end()
                self._number = max(self._number, self.last.number if self.last is not None else 0)
            raise JournalError(f"{error.filename or self._file}: {error.strerror}") from error
        self.last, self._number, self._torn, self._cut_off = entry, entry.number, b"", False
        self._name_last(entry)
        return entry

    def _is_there(self, note: Note, last: JournalEntry) -> bool:
        text = _text(last.number, last.boot, note, last.previous)
        return hashlib.sha256(text).hexdigest() == last.hash

    def _confirm(self, entry: JournalEntry) -> None:
        try:
            with self._file.open("ab", buffering=0) as file:
                file.write(b"\n" if self._cut_off else b"")
                os.fsync(file.fileno())
        except OSError as error:
            raise JournalError(f"{self._file}: {error.strerror}") from error
        self._cut_off = False
        self._name_last(entry)

    def _name_last(self, entry: JournalEntry) -> None:
        """Write the head. One that stays behind hides nothing: it names an entry that is there."""
        unfinished = self._head.with_suffix(".new")
        try:
            with open(unfinished, "wb", opener=_private) as file:
                file.write(f"{entry.number} {entry.hash}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._head)
            _sync_folder(self._head.parent)
        except OSError as error:
            _log.warning("%s: %s", self._head, error.strerror)

    def _find_end(self) -> None:
        """Find the last entry, and what stands behind it."""
        behind: list[bytes] = []
        self.last = None
        for line in self._backwards():
            self.last = parse(line)
            if self.last is not None:
                break
            behind.append(line)
        self._cut_off = self.last is not None if not behind else behind[0] != b""
        if behind and not self._cut_off:
            del behind[0]
        self._torn = b"\n".join(reversed(behind))

    def _backwards(self) -> Iterator[bytes]:
        """The lines of the file from its end; the first is what stands behind the last end of a line."""
        try:
            with self._file.open("rb") as file:
                end = file.seek(0, io.SEEK_END)
                kept = b""
                step = _TAIL_BYTES
                while end > 0:
                    begin = max(0, end - step)
                    file.seek(begin)
                    first, *lines = (file.read(end - begin) + kept).split(b"\n")
                    yield from reversed(lines)
                    end, kept = begin, first
                yield kept
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{error.filename or self._file}: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it names transactions


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
