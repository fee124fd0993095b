"""One entry of the register journal: what it records, how it stands in the file, and how it is read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, cast

from foundation.frozen import frozen
from metering.time_quality import TimeQuality, TimeSource, TimeStatus

HASH_BEFORE_FIRST: Final = "0" * 64
"""what stands in the first entry for the hash of the one before"""

_LINE = re.compile(rb'(\{.+),"hash":"([0-9a-f]{64})"\}')


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
    """the wall time was corrected: with the old time and the new one, or small corrections of an hour together"""
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
class JournalNote:
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
    note: JournalNote
    previous: str
    """the hash of the entry before"""
    hash: str
    """SHA-256 of the line's text up to here, in hex"""

    @classmethod
    def create_next(cls, number: int, last: JournalEntry | None, boot: int, note: JournalNote) -> JournalEntry:
        """The entry of a note after the last one, which had this number (0: there was none)."""
        number += 1
        previous = HASH_BEFORE_FIRST if last is None else last.hash
        text = _text(number, boot, note, previous)
        return cls(number, boot, note, previous, hashlib.sha256(text).hexdigest())

    def to_line(self) -> bytes:
        """The entry as it stands in the file, without the end of the line."""
        return _text(self.number, self.boot, self.note, self.previous) + f',"hash":"{self.hash}"}}'.encode()

    def is_entry_of(self, note: JournalNote) -> bool:
        """Whether this is the entry of that note, to the byte."""
        text = _text(self.number, self.boot, note, self.previous)
        return hashlib.sha256(text).hexdigest() == self.hash

    def to_json(self) -> dict[str, object]:
        """The entry in plain JSON values."""
        return cast("dict[str, object]", json.loads(self.to_line()))


def _text(number: int, boot: int, note: JournalNote, previous: str) -> bytes:
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


def parse_entry(line: bytes) -> JournalEntry | None:
    """The entry of a line; None when it is none, or when a byte of it was changed."""
    found = _LINE.fullmatch(line)
    if found is None or hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        return None
    try:
        told = json.loads(line)
        note = JournalNote(
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
