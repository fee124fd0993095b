"""Parses the byte stream of a P1 port (DSMR and its relatives) to telegrams. No I/O.

Source: Netbeheer Nederland, P1 Companion Standard 3.0 to 5.0.2; Luxmetering P1 1.1.3 for the encrypted form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from foundation.frozen import Frozen

_MAX_TELEGRAM_BYTES: Final = 16_384
"""buffer limit in bytes, above the longest telegram: the standards allow five text messages of 2048 characters"""
_SEVEN_BITS: Final = bytes(byte & 0x7F for byte in range(256))
_POLYNOMIAL: Final = 0xA001

_START: Final = re.compile(rb"(?:\A|(?<=\n)|(?<=[^ -~]))/(?=[A-Za-z]{3}[ -~])")
"""a telegram starts at the beginning of a line, or after noise"""
_ANY_START: Final = re.compile(rb"/(?=[A-Za-z]{3}[ -~])")
_END: Final = re.compile(rb"\n!([0-9A-Fa-f]{0,4})[ \t]*\r?\n")
_OBJECT_LINE: Final = re.compile(r"((?:\d+-\d+:)?\d+\.\d+\.\d+(?:[.*]\d+)?)((?:\([^()]*\))*)\Z")
_CONTINUATION_LINE: Final = re.compile(r"(?:\([^()]*\))+\Z")
_VALUE_IN_PARENTHESES: Final = re.compile(r"\(([^()]*)\)")
_OBJECT_LINE_FORM: Final = re.compile(
    r"[+-]?\d+(?:\.\d+)?(?:\*?(?:k?Wh|k?W|k?varh|k?var|k?VAh|k?VA|A|V|Hz|m3|GJ))?"  # a number
    r"|\d{12}[SW]|[0-9A-Z]*|\d+-\d+:\d+\.\d+\.\d+|m3|kWh"  # a time, text in hex or a name, another object, a unit
)
"""valid forms of a value; a flipped bit makes most values match none"""
_VERSION_CODES: Final = ("1-3:0.2.8", "0-0:96.1.4")
"""objects of telegrams that must carry a checksum (version 4 and later, Belgium)"""


class Telegram(Frozen):
    """One complete telegram of a P1 meter, as received: valid only if `believable`."""

    identification: str
    """the text after the slash"""
    objects: Mapping[str, tuple[str, ...]]
    """the bracketed values of each object, by its code as sent"""
    crc_stated: str | None
    """the checksum as sent; None in versions 2 and 3, which have none"""
    crc_computed: str
    malformed: int = 0
    """number of lines that are no object, or repeat one"""
    odd: bool = False
    """bytes were received with parity, and some parity is wrong"""

    @property
    def crc_ok(self) -> bool | None:
        """Whether the checksum matches; None if there is none."""
        return int(self.crc_stated, 16) == int(self.crc_computed, 16) if self.crc_stated is not None else None

    @property
    def believable(self) -> bool:
        """Whether the values are valid: by checksum or, without one, if all lines and values have a standard form."""
        if self.crc_ok is not None:
            return self.crc_ok
        if self.malformed or self.odd or any(code in self.objects for code in _VERSION_CODES):
            return False
        values = [value for row in self.objects.values() for value in row]
        return bool(values) and all(_OBJECT_LINE_FORM.fullmatch(value) for value in values)


class TelegramParser:
    """Splits the bytes received from a P1 port into complete telegrams; bytes before the first are dropped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Telegram]:
        """Yield the telegrams completed by these bytes, valid or not: see `believable`."""
        self._buffer += data
        plain = self._buffer.translate(_SEVEN_BITS)
        begin = 0
        for end in _END.finditer(plain):
            if (telegram := _last_telegram(self._buffer[begin : end.end()], end.start() - begin)) is not None:
                yield telegram
            begin = end.end()
        self._buffer = self._buffer[begin:]
        if len(self._buffer) > _MAX_TELEGRAM_BYTES:
            self._buffer = self._buffer[-_MAX_TELEGRAM_BYTES // 2 :]


def _last_telegram(body: bytes, end: int) -> Telegram | None:
    """Parse the telegram that ends here; anything before its start is a broken-off one."""
    plain = body.translate(_SEVEN_BITS)
    starts = [found.start() for found in _ANY_START.finditer(plain, 0, end)]
    for start in reversed(starts):
        telegram = _parse_telegram(body[start:])
        if telegram.crc_ok:
            return telegram
    regular = [found.start() for found in _START.finditer(plain, 0, end)]
    return _parse_telegram(body[regular[-1] :]) if regular else None


def _parse_telegram(raw: bytes) -> Telegram:
    text = raw.translate(_SEVEN_BITS)
    end = _END.search(text)
    if end is None:
        raise ValueError("the telegram has no checksum line at its end")
    lines = text[1 : end.start()].decode("ascii").split("\n")
    objects, malformed = _parse_objects([line.strip() for line in lines[1:]])
    stated = end[1].decode("ascii")
    computed = f"{crc16(text[: end.start() + 2]):04X}"
    odd = text != raw and any(byte.bit_count() % 2 for byte in raw)
    return Telegram(lines[0].rstrip("\r"), objects, stated or None, computed, malformed, odd)


def _parse_objects(lines: list[str]) -> tuple[dict[str, tuple[str, ...]], int]:
    objects: dict[str, tuple[str, ...]] = {}
    latest: str | None = None
    malformed = 0
    for line in lines:
        if not line:
            continue
        if (found := _OBJECT_LINE.match(line)) is not None:
            code = latest = str(found[1])
            malformed += code in objects  # two telegrams merged by lost bytes
            objects[code] = tuple(_VALUE_IN_PARENTHESES.findall(found[2]))
        elif latest is not None and _CONTINUATION_LINE.match(line) is not None:  # gas of versions 2 and 3
            objects[latest] += tuple(_VALUE_IN_PARENTHESES.findall(line))
        else:
            malformed += 1
    return objects, malformed


def _crc_table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/ARC over the bytes from the slash to the exclamation mark, both included (P1 5.0.2 §6.2)."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc
