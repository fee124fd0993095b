"""The interface of a token reader, and the conversion of a card's UID to an id token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

from foundation.expected_error import ExpectedError
from station.core.model import IdToken

_TYPE_BY_LENGTH: Final = {4: "ISO14443", 7: "ISO14443", 10: "ISO14443", 8: "ISO15693"}
"""token type by length in bytes: single, double and triple UIDs of ISO/IEC 14443-3, and UIDs of ISO/IEC 15693"""
_RANDOM_UID_PREFIX: Final = 0x08
"""the first byte of a random single UID (ISO/IEC 14443-3)"""
_SEPARATORS: Final = r"[\s:\-]"


class ReaderError(ExpectedError):
    """The reader is disconnected or does not answer; a later attempt may succeed."""


class UnusableUidError(ValueError):
    """The UID cannot identify a card holder; the message says why, without the UID."""


class TokenReader(Protocol):
    """A reader of RFID cards."""

    def reads(self) -> AsyncIterator[str | None]:
        """Yield None once the reader answers, then the UID digits of a card at each read.

        Raises:
            ReaderError: the reader is disconnected.
        """
        ...


def id_token_from_uid(digits: str, *, reversed_bytes: bool = False) -> IdToken:
    """The id token of a card from its UID in hexadecimal digits, with or without separators, in either case.

    The token is normalized to capitals without separators, so that it does not depend on the reader (OCPP compares
    without case). `reversed_bytes`: the reader sends the last byte first.

    Raises:
        UnusableUidError: not a UID of a known length, or a random UID.
    """
    hex_digits = re.sub(_SEPARATORS, "", digits)
    try:
        uid = bytes.fromhex(hex_digits)
    except ValueError:
        raise UnusableUidError("the reader sent a UID that is not a hexadecimal number") from None
    kind = _TYPE_BY_LENGTH.get(len(uid))
    if kind is None:
        raise UnusableUidError(f"the UID must have 4, 7, 8 or 10 bytes, not {len(uid)}")
    if reversed_bytes:
        uid = uid[::-1]
    if len(uid) == 4 and uid[0] == _RANDOM_UID_PREFIX:
        raise UnusableUidError("the card has a random UID, which changes each time")
    return IdToken(uid.hex().upper(), kind)
