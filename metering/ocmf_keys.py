"""Parses public keys of signing meters in all common notations; the curves that OCMF uses."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen


class KeyFormError(ValueError):
    """A text is not a public key; the message says why."""


class KeyForm(StrEnum):
    """Format in which a public key was given."""

    SPKI = "spki"
    """SubjectPublicKeyInfo (RFC 5480), which names its curve"""
    POINT = "point"
    """the point with its leading octet (SEC 1 §2.3.3), which determines only the size of the curve"""
    RAW = "raw"
    """x and y, concatenated"""


class Curve(Frozen):
    """An elliptic curve that meters sign with."""

    name: str
    size: int
    """bytes of a coordinate"""
    object_id: bytes
    """its object identifier in a SubjectPublicKeyInfo, as DER"""


CURVES: Final[Mapping[str, Curve]] = {
    curve.name: curve
    for curve in (
        Curve("secp192k1", 24, bytes.fromhex("2b8104001f")),
        Curve("secp192r1", 24, bytes.fromhex("2a8648ce3d030101")),
        Curve("secp256k1", 32, bytes.fromhex("2b8104000a")),
        Curve("secp256r1", 32, bytes.fromhex("2a8648ce3d030107")),
        Curve("secp384r1", 48, bytes.fromhex("2b81040022")),
        Curve("brainpoolp256r1", 32, bytes.fromhex("2b2403030208010107")),
        Curve("brainpoolp384r1", 48, bytes.fromhex("2b240303020801010b")),
        # Not in the format's list, but used by meters.
        Curve("secp521r1", 66, bytes.fromhex("2b81040023")),
        Curve("brainpoolp512r1", 64, bytes.fromhex("2b240303020801010d")),
    )
}

_EC_PUBLIC_KEY: Final = bytes.fromhex("2a8648ce3d0201")
_COORDINATE_SIZES: Final = frozenset(curve.size for curve in CURVES.values())
_SEQUENCE_TAG, _BIT_STRING_TAG, _OBJECT_ID_TAG = 0x30, 0x03, 0x06
_ARMOUR: Final = r"-----[A-Z ]+-----"
_OCA_PREFIX: Final = r"(?i)^oca:base(16|32|64):asn1:"
_MAX_CHARACTERS: Final = 4_000
"""longest accepted text"""


class PublicKey(Frozen):
    """A parsed public key of a signing meter: its point, and its curve if the key names it."""

    point: bytes
    """with its leading octet: 04 (x and y), 02 or 03 (x)"""
    curve: str | None
    """None: not stated by the key; the record must state it"""
    form: KeyForm

    @property
    def size(self) -> int:
        """Number of bytes of a coordinate."""
        return (len(self.point) - 1) // (2 if self.point[0] == 4 else 1)

    @property
    def identity(self) -> tuple[bytes, bool]:
        """The key independent of its format, to compare keys: x, and whether y is odd."""
        last = self.point[-1] if self.point[0] == 4 else self.point[0]
        return self.point[1 : 1 + self.size], bool(last & 1)


def read_key(text: str) -> PublicKey:
    """Parse a public key: SPKI, PEM, a point or bare coordinates; in hex, base64 or base32.

    White space and the prefix of the OCA note (`oca:base16:asn1:`) are ignored.

    Raises:
        KeyFormError: the text is not a public key.
    """
    if len(text) > _MAX_CHARACTERS:
        raise KeyFormError("text is longer than any public key")
    found = _try_read_key(text) or next(
        (key for data in decodings(text) if (key := _try_read_key(_ascii_text(data)))), None
    )
    if found is None:
        raise KeyFormError("text is neither SPKI nor a point of a known curve, in hex, base64 or base32")
    return found


def decodings(text: str) -> Iterator[bytes]:
    """Yield the bytes that a text in hex, base64 or base32 may mean: hex first, since its digits are base64 too."""
    packed = "".join(text.split())
    if re.fullmatch(r"(0[xX])?([0-9A-Fa-f]{2}:?)+", packed):
        yield bytes.fromhex(packed.removeprefix("0x").removeprefix("0X").replace(":", ""))
    for alphabet in (base64.b64decode, base64.urlsafe_b64decode):
        if re.fullmatch(r"[0-9A-Za-z+/_-]+={0,2}", packed):
            bare = packed.rstrip("=")
            try:
                yield alphabet(bare + "=" * (-len(bare) % 4))
            except binascii.Error:
                continue
    try:
        yield base64.b32decode(packed, casefold=True)
    except (binascii.Error, ValueError):
        return


def spki(curve: Curve, point: bytes) -> bytes:
    """Encode a public key as SubjectPublicKeyInfo (DER), the form that public tools accept."""
    algorithm = _encode_der(
        _SEQUENCE_TAG, _encode_der(_OBJECT_ID_TAG, _EC_PUBLIC_KEY) + _encode_der(_OBJECT_ID_TAG, curve.object_id)
    )
    return _encode_der(_SEQUENCE_TAG, algorithm + _encode_der(_BIT_STRING_TAG, b"\0" + point))


def stored_public_key(pem: str) -> bytes | None:
    """Extract the public key within a private key (PEM, RFC 5915 in PKCS #8) as SubjectPublicKeyInfo, or None.

    It does so without the cryptography package, which takes long to load on a small controller.
    """
    body = "".join(line for line in pem.splitlines() if not line.startswith("-"))
    try:
        data = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    curve = CURVES["secp256r1"]
    point = data[-2 * curve.size - 1 :]
    if curve.object_id not in data or not data.endswith(b"\x03\x42\x00" + point) or point[:1] != b"\x04":
        return None
    return spki(curve, point)


def fingerprint(spki: bytes) -> str:
    """The fingerprint of a public key: SHA-256 of its SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(spki).hexdigest()


def _try_read_key(text: str) -> PublicKey | None:
    bare = re.sub(_OCA_PREFIX, "", re.sub(_ARMOUR, "", text).strip())
    for data in decodings(bare):
        key = _from_spki(data) or _from_point(data)
        if key is not None:
            return key
    return None


def _ascii_text(data: bytes) -> str:
    return data.decode("ascii", errors="replace")


def _from_point(data: bytes) -> PublicKey | None:
    if not data:
        return None
    size, rest = divmod(len(data), 2)
    if data[0] == 4 and rest and size in _COORDINATE_SIZES:
        return PublicKey(data, None, KeyForm.POINT)
    if data[0] in (2, 3) and len(data) - 1 in _COORDINATE_SIZES:
        return PublicKey(data, None, KeyForm.POINT)
    if not rest and size in _COORDINATE_SIZES:
        return PublicKey(b"\x04" + data, None, KeyForm.RAW)
    return None


def _from_spki(data: bytes) -> PublicKey | None:
    """Parse RFC 5480 §2 with a named curve; trailing zeros are unused registers of a meter."""
    try:
        outer, behind = _split_der(data, _SEQUENCE_TAG)
        algorithm, rest = _split_der(outer, _SEQUENCE_TAG)
        kind, parameters = _split_der(algorithm, _OBJECT_ID_TAG)
        bits, trailing = _split_der(rest, _BIT_STRING_TAG)
        if kind != _EC_PUBLIC_KEY or trailing or behind.strip(b"\0"):
            return None
        object_id, _ = _split_der(parameters, _OBJECT_ID_TAG)
    except ValueError:
        return None
    curve = next((curve for curve in CURVES.values() if curve.object_id == object_id), None)
    if curve is None:
        raise KeyFormError("the curve of the key is not defined by OCMF")
    key = PublicKey(bits[1:], curve.name, KeyForm.SPKI)
    if len(bits) < 2 or bits[0] != 0 or bits[1] not in (2, 3, 4) or key.size != curve.size:
        raise KeyFormError(f"the key is not a valid point of {curve.name}")
    return key


def _split_der(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split DER data into the content of its first element and the rest.

    Raises:
        ValueError: the data does not begin with an element of this tag.
    """
    if len(data) < 2 or data[0] != tag:
        raise ValueError("not the expected DER element")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("DER element is shorter than its stated length")
    return data[start : start + length], data[start + length :]


def _encode_der(tag: int, content: bytes) -> bytes:
    length = len(content)
    head = bytes([length]) if length < 0x80 else bytes([0x81, length])
    return bytes([tag]) + head + content
