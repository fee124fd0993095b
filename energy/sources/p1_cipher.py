"""The envelope around a P1 telegram in Luxembourg and elsewhere: encrypted bytes in, plain ones out, no I/O.

Source: Luxmetering P1 1.1.3 §3.2.5 (DLMS general-glo-ciphering, AES-128-GCM with a tag of 12 bytes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

AUTHENTICATION_KEY: Final = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
"""the same in all meters of Luxembourg; other countries give their own"""
_OPENING: Final = b"\xdb\x08"
_TITLE: Final = 8
_TAG: Final = 12
_LONGEST: Final = 16_384
_AUTHENTICATED: Final = 0x30
_ENCRYPTED_ONLY: Final = 0x20


@dataclass(frozen=True, slots=True)
class Envelope:
    """One encrypted telegram."""

    system_title: bytes
    security_control: int
    counter: bytes
    content: bytes
    """encrypted, without the tag"""
    tag: bytes
    """empty where the meter does not authenticate"""
    length: int
    """as stated: security control, counter, content and tag"""


class WrongKeyError(ValueError):
    """The tag does not fit: the key is another meter's, or bytes were lost."""


def open_envelope(envelope: Envelope, key: bytes, authentication_key: bytes = AUTHENTICATION_KEY) -> bytes:
    """The plain telegram.

    Raises:
        WrongKeyError: the tag does not fit.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    iv = envelope.system_title + envelope.counter
    if not envelope.tag:  # CTR is GCM without its tag; its counter begins at 2
        plain = Cipher(algorithms.AES(key), modes.CTR(iv + (2).to_bytes(4, "big"))).decryptor()
        return plain.update(envelope.content) + plain.finalize()
    decryptor = Cipher(algorithms.AES(key), modes.GCM(iv, envelope.tag, min_tag_length=_TAG)).decryptor()
    decryptor.authenticate_additional_data(bytes([envelope.security_control]) + authentication_key)
    try:
        return decryptor.update(envelope.content) + decryptor.finalize()
    except InvalidTag:
        raise WrongKeyError("the tag of the telegram does not fit the key") from None


class EnvelopeParser:
    """Cuts a stream into envelopes. The opening bytes may occur inside one: each is tried, what fails is passed by."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[Envelope, bytes]]:
        """Each possible envelope, and the bytes after its first one: `resume` takes those when it does not open."""
        self._buffer += data
        while True:
            begin = self._buffer.find(_OPENING)
            if begin < 0:
                self._buffer = self._buffer[-1:]
                return
            self._buffer = self._buffer[begin:]
            parsed = _parse(self._buffer)
            if parsed is None:
                return  # not all there yet
            envelope, end = parsed
            if envelope is None:
                self._buffer = self._buffer[1:]
                continue
            rest = self._buffer[1:]
            self._buffer = self._buffer[end:]
            yield envelope, rest

    def resume(self, rest: bytes) -> None:
        """The last envelope was none: look again after its first byte."""
        self._buffer = rest


def _parse(data: bytes) -> tuple[Envelope | None, int] | None:
    """An envelope at the beginning (None: there is none) and where it ends; None: more bytes are needed."""
    head = 2 + _TITLE
    if len(data) < head + 1:
        return None
    form = data[head]
    width = form & 0x0F if form & 0x80 else 0
    if (form & 0x80 and width not in {1, 2}) or form == 0x80:
        return None, 0
    begin = head + 1 + width
    if len(data) < begin + 5:
        return None
    length = int.from_bytes(data[head + 1 : begin], "big") if width else form
    control = data[begin]
    tag = _TAG if control == _AUTHENTICATED else 0
    if control not in {_AUTHENTICATED, _ENCRYPTED_ONLY} or not 5 + tag < length <= _LONGEST:
        return None, 0
    end = begin + length
    if len(data) < end:
        return None
    content = data[begin + 5 : end - tag]
    return Envelope(data[2:head], control, data[begin + 1 : begin + 5], content, data[end - tag : end], length), end
