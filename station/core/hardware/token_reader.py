"""The contract of a token reader, and what a card's number has to look like to name anybody."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

from station.core.model import IdToken

_TYPES: Final = {4: "ISO14443", 7: "ISO14443", 10: "ISO14443", 8: "ISO15693"}
"""by the number of bytes: single, double and triple UIDs of ISO/IEC 14443-3, and those of ISO/IEC 15693"""
_RANDOM: Final = 0x08
"""the first byte of a single UID that the card made up for this one time (ISO/IEC 14443-3)"""
_SEPARATORS: Final = re.compile(r"[\s:\-]")


class ReaderError(Exception):
    """The reader is gone or does not answer; it may come back."""


class UnusableUidError(ValueError):
    """What was read is no number that names a holder; the sentence says why, without the number."""


class TokenReader(Protocol):
    """Something that cards are held to."""

    def reads(self) -> AsyncIterator[str | None]:
        """Yield None as soon as the reader answers, then the digits of each card, as often as they are read.

        Raises:
            ReaderError: it is gone.
        """
        ...


def id_token_from_uid(digits: str, *, reversed_bytes: bool = False) -> IdToken:
    """The id token of a card from its UID in hexadecimal digits, with or without separators, in either case.

    Two readers that send the same card differently give the same token: capitals, no separators (OCPP compares without
    case). `reversed_bytes`: the reader sends the last byte first.

    Raises:
        UnusableUidError: it is no UID of a known length, or one that the card has made up.
    """
    plain = _SEPARATORS.sub("", digits)
    try:
        uid = bytes.fromhex(plain)
    except ValueError:
        raise UnusableUidError("what the reader sent is no hexadecimal number") from None
    kind = _TYPES.get(len(uid))
    if kind is None:
        raise UnusableUidError(f"a UID has 4, 7, 8 or 10 bytes, not {len(uid)}")
    if reversed_bytes:
        uid = uid[::-1]
    if len(uid) == 4 and uid[0] == _RANDOM:
        raise UnusableUidError("the card shows another number each time (a random UID)")
    return IdToken(uid.hex().upper(), kind)
