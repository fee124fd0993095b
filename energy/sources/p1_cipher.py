"""Decrypts P1 telegrams as sent in Luxembourg and elsewhere. No I/O.

Source: Luxmetering P1 1.1.3 §3.2.5 (DLMS general-glo-ciphering, AES-128-GCM with a tag of 12 bytes).
"""

from __future__ import annotations

import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from foundation.frozen import Frozen

AUTHENTICATION_KEY: Final = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
"""default key, used by all meters in Luxembourg; in other countries it is configured"""
OPENING: Final = b"\xdb\x08"
_TITLE_BYTES: Final = 8
_TAG_BYTES: Final = 12
_MAX_ENVELOPE_BYTES: Final = 16_384
_ENCRYPTED_AND_AUTHENTICATED: Final = 0x30
"""security control byte of an envelope with a tag"""
_ENCRYPTED_ONLY: Final = 0x20
"""security control byte of an envelope without a tag"""
_TELEGRAM: Final = re.compile(rb"/.*\n![0-9A-Fa-f]{0,4}\s*", re.DOTALL)
"""a complete telegram; bytes may follow it, if the tag of an authenticated one was decrypted as content"""


class EncryptedEnvelope(Frozen):
    """An encrypted telegram as received (DLMS general-glo-ciphering), split into its fields."""

    system_title: bytes
    security_control: int
    counter: bytes
    content: bytes
    """encrypted, without the tag"""
    tag: bytes
    """empty where the meter does not authenticate"""
    length: int
    """length as sent: of security control, counter, content and tag"""


class WrongKeyError(ValueError):
    """The tag does not match: wrong key, or bytes were lost."""


def decrypt_envelope(envelope: EncryptedEnvelope, key: bytes, authentication_key: bytes = AUTHENTICATION_KEY) -> bytes:
    """Decrypt a telegram and return its plain text.

    Raises:
        WrongKeyError: the tag does not match or, if there is none, the plain text is no telegram.
    """
    iv = envelope.system_title + envelope.counter
    if not envelope.tag:  # CTR is GCM without its tag; its counter begins at 2
        counting = Cipher(algorithms.AES(key), modes.CTR(iv + (2).to_bytes(4, "big"))).decryptor()
        plain = counting.update(envelope.content) + counting.finalize()
        if _TELEGRAM.fullmatch(plain) is None:
            raise WrongKeyError("the decrypted data is not a telegram")
        return plain
    decryptor = Cipher(algorithms.AES(key), modes.GCM(iv, envelope.tag, min_tag_length=_TAG_BYTES)).decryptor()
    decryptor.authenticate_additional_data(bytes([envelope.security_control]) + authentication_key)
    try:
        return decryptor.update(envelope.content) + decryptor.finalize()
    except InvalidTag:
        raise WrongKeyError("the authentication tag of the telegram does not match the key") from None


class Decryptor:
    """Finds and decrypts the encrypted telegrams in the bytes received from a P1 port.

    The opening bytes may occur inside an envelope, or the stream may begin inside one. So every occurrence is tried
    until one can be decrypted; an incomplete envelope does not delay a complete one.
    """

    def __init__(self, key: bytes, authentication_key: bytes = AUTHENTICATION_KEY) -> None:
        self._key = key
        self._authentication_key = authentication_key
        self._buffer = b""
        self.refused = 0
        """complete candidates for a telegram that could not be decrypted since the last success"""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the plain texts of the telegrams completed by these bytes; what cannot be decrypted is dropped."""
        self._buffer = (self._buffer + data)[-2 * _MAX_ENVELOPE_BYTES :]
        opened: list[bytes] = []
        at = 0
        unfinished: int | None = None
        while (begin := self._buffer.find(OPENING, at)) >= 0:
            parsed = parse_envelope(self._buffer[begin:])
            if isinstance(parsed, UnfinishedEnvelope):
                unfinished = begin if unfinished is None else unfinished
            elif parsed is not None and (plain := self._try_to_decrypt(parsed.envelope)) is not None:
                opened.append(plain)
                self._buffer = self._buffer[begin + parsed.size :]
                at, unfinished = 0, None
                continue
            at = begin + 1
        self._buffer = self._buffer[-1:] if unfinished is None else self._buffer[unfinished:]
        return opened

    def _try_to_decrypt(self, envelope: EncryptedEnvelope) -> bytes | None:
        try:
            plain = decrypt_envelope(envelope, self._key, self._authentication_key)
        except WrongKeyError:
            self.refused += 1
            return None
        self.refused = 0
        return plain


class ParsedEnvelope(Frozen):
    """Complete bytes in the form of an encrypted telegram, and their number; not decrypted yet."""

    envelope: EncryptedEnvelope
    size: int


class UnfinishedEnvelope(Frozen):
    """Result of `parse_envelope`: the bytes may be the start of an encrypted telegram; more are needed."""


def parse_envelope(data: bytes) -> ParsedEnvelope | UnfinishedEnvelope | None:
    """Parse the encrypted telegram at the start of these bytes, without decrypting it; None if there is none."""
    head = 2 + _TITLE_BYTES
    if len(data) <= head:
        return UnfinishedEnvelope()
    form = data[head]  # of the length (DLMS, as in ASN.1): itself, or how many bytes of it follow
    width = form & 0x7F if form & 0x80 else 0
    if form & 0x80 and not 1 <= width <= 4:
        return None
    begin = head + 1 + width
    if len(data) < begin + 5:
        return UnfinishedEnvelope()
    length = int.from_bytes(data[head + 1 : begin], "big") if width else form
    control = data[begin]
    tag = _TAG_BYTES if control == _ENCRYPTED_AND_AUTHENTICATED else 0
    if control not in {_ENCRYPTED_AND_AUTHENTICATED, _ENCRYPTED_ONLY} or not 5 + tag < length <= _MAX_ENVELOPE_BYTES:
        return None
    end = begin + length
    if len(data) < end:
        return UnfinishedEnvelope()
    content = data[begin + 5 : end - tag]
    envelope = EncryptedEnvelope(
        data[2:head], control, data[begin + 1 : begin + 5], content, data[end - tag : end], length
    )
    return ParsedEnvelope(envelope, end)
