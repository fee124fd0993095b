"""An entry of the register journal: its content, and conversion to and from a line of the file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen
from foundation.json_values import parse_object
from metering.time_quality import TimeQuality, TimeSource, TimeStatus

HASH_BEFORE_FIRST: Final = "0" * 64
"""hash field of the first entry, which has none before it"""

_LINE: Final = rb'(\{.+),"hash":"([0-9a-f]{64})"\}'


class JournalEvent(StrEnum):
    """Kind of an entry in the register journal."""

    BOOT = "boot"
    """the program started; with its versions"""
    SOFTWARE = "software"
    """the version has changed"""
    BEGIN = "begin"
    """a transaction begins; with the register"""
    END = "end"
    TARIFF = "tariff"
    """the tariff period changes within a transaction; with the register at that moment"""
    PRICES = "prices"
    """the price list has changed"""
    METER_FOUND = "meter-found"
    """a meter was identified: with its serial number, if it reports one"""
    METER_FAULT = "meter-fault"
    """the meter is silent, or its readings are rejected as implausible"""
    METER_RESTORED = "meter-restored"
    METER_REFUSED = "meter-refused"
    """a single reading was implausible; the one before remains valid"""
    METER_ROLLED_OVER = "meter-rolled-over"
    """the register of the meter has overflowed to zero"""
    METER_EXCHANGE = "meter-exchange"
    """an operator confirmed that the meter was exchanged"""
    SIGNING_KEY = "signing-key"
    """the key that signs the readings of an EVSE was set or has changed"""
    UNSIGNED = "unsigned"
    """a reading that should be signed is not"""
    CLOCK = "clock"
    """the wall time was corrected: with old and new time, or small corrections of an hour combined"""
    TIME_CORRECTED = "time-corrected"
    """the times of a transaction that began with an unknown time"""
    TAMPER = "tamper"
    FAULT = "fault"
    """a fault of an EVSE that forbids energy"""
    FAULT_CLEARED = "fault-cleared"
    """the fault has not come back: with its number of occurrences, and when it ended"""
    TORN = "torn"
    """the bytes before this line were left by a power cut during a write"""
    RECORDS_REPLACED = "records-replaced"
    """the database of transactions was replaced"""
    DAMAGED = "damaged"
    """the journal was found damaged, and continues after the damage"""


Details = Mapping[str, "str | int | float | bool | None"]


class JournalNote(Frozen):
    """An event at the billing meters, to be recorded: `RegisterJournal.append` adds number, hashes and boot."""

    event: JournalEvent
    at: datetime
    time: TimeQuality
    details: Details
    """values of this kind of event"""
    evse: int | None = None
    """None: it concerns the whole station"""
    since_boot_s: float = 0.0
    """seconds since this boot: with the boot's number it remains valid if the clock was wrong"""


class JournalEntry(Frozen):
    """One line of the register journal: an event, chained by hashes to the entry before."""

    number: int
    boot: int
    """number of the program's start"""
    note: JournalNote
    previous: str
    """the hash of the entry before"""
    hash: str
    """SHA-256 of the line's text up to here, in hex"""

    @classmethod
    def create_next(cls, number: int, last: JournalEntry | None, boot: int, note: JournalNote) -> JournalEntry:
        """Make the entry after number `number`, chained to the entry `last` (None: it is the first); writes nothing."""
        number += 1
        previous = HASH_BEFORE_FIRST if last is None else last.hash
        text = _entry_text(number, boot, note, previous)
        return cls(number, boot, note, previous, hashlib.sha256(text).hexdigest())

    def to_line(self) -> bytes:
        """Convert the entry to a line of the file, without the line feed."""
        return _entry_text(self.number, self.boot, self.note, self.previous) + f',"hash":"{self.hash}"}}'.encode()

    def is_entry_of(self, note: JournalNote) -> bool:
        """Return whether this entry would be the same, byte for byte, if it were made of this note."""
        text = _entry_text(self.number, self.boot, note, self.previous)
        return hashlib.sha256(text).hexdigest() == self.hash

    def to_json(self) -> dict[str, object]:
        """Convert the entry to plain JSON values."""
        return parse_object(self.to_line())


def _entry_text(number: int, boot: int, note: JournalNote, previous: str) -> bytes:
    fields = {
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
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True, allow_nan=False)[:-1].encode()


def parse_entry(line: bytes) -> JournalEntry | None:
    """Parse a line of the journal, without the line feed; None if it is not an entry, or was altered."""
    found = re.fullmatch(_LINE, line)
    if found is None or hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        return None
    try:
        fields = json.loads(line)
        note = JournalNote(
            JournalEvent(fields["event"]),
            datetime.fromisoformat(fields["at"]),
            TimeQuality(TimeStatus(fields["time"]["status"]), TimeSource(fields["time"]["source"])),
            fields["details"],
            fields["evse"],
            fields["since_boot_s"],
        )
        return JournalEntry(fields["number"], fields["boot"], note, fields["previous"], str(fields["hash"]))
    except (ValueError, KeyError, TypeError):
        return None
