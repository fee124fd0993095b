"""Parses the byte stream of a Linky's customer output (TIC) to validated groups. No I/O.

Source: Enedis-NOI-CPT_54E v3. A frame is STX, groups, ETX; a group is LF … CR and carries its own checksum, so a
poor line costs single groups and not whole frames. The checksum has six bits only: an error of 0x40 does not
show. Labels, widths and characters are therefore validated against the tables of the document as well.
"""

from __future__ import annotations

import re
from enum import Enum, IntEnum
from typing import Final

from foundation.frozen import Frozen

_TIME_STAMP: Final = r"[HEhe ]\d{12}"
_NO_TIME_STAMP: Final = r""

_CHECKSUM_TABLE: Final = (
    # historique
    (r"ISOUSC|PEJP", _NO_TIME_STAMP, r"\d{2}"),
    (r"IINST[123]?|IMAX[123]?|ADPS|ADIR[123]", _NO_TIME_STAMP, r"\d{3}"),
    (r"PAPP|PMAX", _NO_TIME_STAMP, r"\d{5}"),
    (r"BASE|HCHC|HCHP|EJPHN|EJPHPM|BBRH[CP]J[BWR]", _NO_TIME_STAMP, r"\d{9}"),
    (r"PTEC", _NO_TIME_STAMP, r"[A-Z.]{4}"),
    (r"ADCO|ADSC", _NO_TIME_STAMP, r"[0-9A-Z]{8,12}"),
    (r"OPTARIF", _NO_TIME_STAMP, r"BASE|HC\.\.|EJP\.|BBR."),
    (r"DEMAIN", _NO_TIME_STAMP, r"[A-Z-]{4}"),
    (r"HHPHC", _NO_TIME_STAMP, r"[A-Z]"),
    (r"PPOT", _NO_TIME_STAMP, r"[0-9A-F]{2}"),
    (r"MOTDETAT", _NO_TIME_STAMP, r"[0-9A-F]{6}"),
    # standard
    (r"DATE", _TIME_STAMP, r""),
    (r"VTIC|PREF|PCOUP|NTARF|NJOURF(\+1)?", _NO_TIME_STAMP, r"\d{2}"),
    (r"[DF]PM[123]", _TIME_STAMP, r"\d{2}"),
    (r"[IU]RMS[123]|RELAIS", _NO_TIME_STAMP, r"\d{3}"),
    (r"UMOY[123]", _TIME_STAMP, r"\d{3}"),
    (r"SINSTS[123]?|SINSTI", _NO_TIME_STAMP, r"\d{5}"),
    (r"SMAXSN[123]?(-1)?|SMAXIN(-1)?|CCA[SI]N(-1)?", _TIME_STAMP, r"\d{5}"),
    (r"EAST|EAIT|EASF\d\d|EASD\d\d|ERQ[1-4]", _NO_TIME_STAMP, r"\d{9}"),
    (r"STGE", _NO_TIME_STAMP, r"[0-9A-F]{8}"),
    (r"NGTF|LTARF|MSG2", _NO_TIME_STAMP, r".{16}"),
    (r"MSG1", _NO_TIME_STAMP, r".{32}"),
    (r"PJOURF\+1|PPOINTE", _NO_TIME_STAMP, r"([0-9A-F]{8}|NONUTILE)( ([0-9A-F]{8}|NONUTILE)){0,10}"),
    (r"PRM", _NO_TIME_STAMP, r"\d{14}"),
    # labels of later versions of the document: only the form of label and stamp is checked
    (r"[A-Z][A-Z0-9+-]{1,8}", rf"({_TIME_STAMP})?", r".*"),
)
"""label, time stamp, value; the first row with a matching label applies"""

_GROUP_PATTERNS: Final = tuple(tuple(re.compile(cell) for cell in row) for row in _CHECKSUM_TABLE)

_LF, _CR, _HT, _SP = 0x0A, 0x0D, 0x09, 0x20
SEVEN_BITS: Final = bytes(byte & 0x7F for byte in range(256))
"""table for bytes.translate that removes the parity bit, for 7E1 received as 8N1"""
_MAX_GROUP_BYTES: Final = 160
"""limit of bytes between LF and CR; the longest group of the document has 110"""
_COMPLETE_GROUP: Final = re.compile(rb"\n([\t\x20-\x7e]{0,160})\r")
_MAX_CACHED_GROUPS: Final = 64
"""different groups whose parsed form is kept; most groups of a meter repeat in each frame"""


class TicMode(Enum):
    """The two modes of a Linky's customer output; the value is the speed in baud."""

    HISTORIQUE = 1200
    STANDARD = 9600


class Mark(IntEnum):
    """A control byte that begins, ends or aborts a frame of a Linky's output; not LF and CR, which delimit groups."""

    START = 0x02
    END = 0x03
    BREAK = 0x04
    """the frame is aborted; a START follows"""


class TicGroup(Frozen):
    """A data group of a Linky's output: a label and its value, with valid checksum, characters and width."""

    label: str
    value: str
    """the data as sent, with leading zeros and padding"""
    stamp: str | None
    """the group's time stamp SAAMMJJhhmmss, if it has one"""
    mode: TicMode


class TicParser:
    """Converts the received bytes of a Linky's output to groups and marks, however the bytes are split.

    `spoiled` counts the groups dropped since the parser was made. The parser buffers at most one unfinished
    group, and the last parsed ones.
    """

    def __init__(self) -> None:
        self.spoiled = 0
        self._group_bytes: bytearray | None = None
        self._cached_groups: dict[bytes, TicGroup] = {}

    def feed(self, data: bytes) -> list[TicGroup | Mark]:
        """Return the groups and marks completed by these bytes, in order; bit 7 (parity) is ignored."""
        plain, position = data.translate(SEVEN_BITS), 0
        events: list[TicGroup | Mark] = []
        while position < len(plain):
            event: TicGroup | Mark | None
            if (complete := _COMPLETE_GROUP.match(plain, position)) is not None:
                self._drop_open_group()
                event, position = self._parse_group(complete[1]), complete.end()
            else:
                event, position = self._take_byte(plain[position]), position + 1
            if event is not None:
                events.append(event)
        return events

    def _parse_group(self, raw: bytes) -> TicGroup | None:
        """Parse the bytes of a group; None, and counted as spoiled, if it is not valid."""
        if (known := self._cached_groups.get(raw)) is not None:
            return known
        group = parse_group(raw)
        if group is None or not believable(group):
            self.spoiled += 1
            return None
        if len(self._cached_groups) == _MAX_CACHED_GROUPS:
            self._cached_groups.clear()
        self._cached_groups[raw] = group
        return group

    def _take_byte(self, byte: int) -> TicGroup | Mark | None:
        if byte in (Mark.START, Mark.END, Mark.BREAK):
            self._drop_open_group()
            return Mark(byte)
        if byte == _LF:
            self._drop_open_group()
            self._group_bytes = bytearray()
        elif self._group_bytes is None:
            return None  # between groups, or the rest of a spoiled one
        elif byte == _CR:
            raw, self._group_bytes = bytes(self._group_bytes), None
            return self._parse_group(raw)
        elif len(self._group_bytes) < _MAX_GROUP_BYTES and (byte == _HT or _SP <= byte < 0x7F):
            self._group_bytes.append(byte)
        else:
            self._drop_open_group()
        return None

    def _drop_open_group(self) -> None:
        if self._group_bytes is not None:
            self.spoiled += 1
        self._group_bytes = None


def parse_group(raw: bytes) -> TicGroup | None:
    """Parse the group between LF and CR; None if its checksum or its separators are wrong."""
    if len(raw) < 2 or any(byte != _HT and not _SP <= byte < 0x7F for byte in raw):
        return None
    body, separator, check = raw[:-2], raw[-2], raw[-1]  # never stripped: the check itself may be a space
    if _HT in raw:
        mode, expected, summed, fields = TicMode.STANDARD, _HT, raw[:-1], body.split(b"\t")
    else:
        mode, expected, summed, fields = TicMode.HISTORIQUE, _SP, body, body.split(b" ", 1)
    if separator != expected or check != (sum(summed) & 0x3F) + 0x20:
        return None
    match [field.decode("ascii") for field in fields]:
        case [label, value]:
            return TicGroup(label, value, None, mode)
        case [label, stamp, value]:
            return TicGroup(label, value, stamp, mode)
        case _:
            return None


def believable(group: TicGroup) -> bool:
    """Return whether label, time stamp and value of a group have a form that Enedis specifies."""
    for label, stamp, value in _GROUP_PATTERNS:
        if label.fullmatch(group.label):
            return group.stamp != "" and bool(stamp.fullmatch(group.stamp or "") and value.fullmatch(group.value))
    return False
