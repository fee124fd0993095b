"""Checks the signature of an OCMF record with a key: valid, invalid, or not verifiable, each with a reason."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from foundation.frozen import Frozen
from metering.elliptic import SECP192K1
from metering.ocmf_keys import CURVES, Curve, PublicKey

if TYPE_CHECKING:
    from metering.ocmf import OcmfRecord

_ALGORITHM_NAME = re.compile(
    r"ECDSA-(?P<family>secp|brainpoolp?)(?P<rest>[0-9]+[kr]1)-SHA-?(?P<hash>256|384|512)", re.IGNORECASE
)


class SignatureForm(StrEnum):
    """Encoding of r and s in the signature data of a record (SD)."""

    DER = "der"
    RAW = "raw"
    """concatenated, each as long as a coordinate"""


class SignatureCheck(Frozen):
    """Result of `check_signature`: whether the signature of a record is valid, and why not."""

    valid: bool | None
    """None: cannot be verified"""
    reason: str | None = None
    """why it is invalid, or cannot be verified"""
    form: SignatureForm | None = None
    """None: the signature cannot be decoded"""


class _NotASignatureError(ValueError):
    pass


def curve_of(algorithm: str) -> Curve | None:
    """The elliptic curve of an algorithm name (SA), with any spelling of brainpool; None if OCMF does not define it."""
    match = _ALGORITHM_NAME.fullmatch(algorithm)
    if match is None:
        return None
    family = "secp" if match["family"].lower() == "secp" else "brainpoolp"
    return CURVES.get(family + match["rest"].lower())


def _hash_name(algorithm: str) -> str:
    match = _ALGORITHM_NAME.fullmatch(algorithm)
    return f"sha{match['hash']}" if match is not None else "sha256"


def check_signature(record: OcmfRecord, key: PublicKey | None) -> SignatureCheck:
    """Check the signature of a record over its exact payload bytes, with the signer's public key (None: not known).

    The hash is the one that the algorithm names: SHA-256 with every curve of the format; longer ones are in use too.
    """
    curve = curve_of(record.algorithm)
    size = curve.size if curve is not None else 0
    try:
        form, r, s = _decode_signature(record, size)
    except _NotASignatureError as error:
        return SignatureCheck(False, str(error), _likely_form(record, size))
    if curve is None:
        return SignatureCheck(None, f"the algorithm {record.algorithm} is not defined by OCMF (SA)", form)
    if key is None:
        return SignatureCheck(None, "no public key was provided", form)
    if key.curve is not None and key.curve != curve.name:
        return SignatureCheck(False, f"the key is for the curve {key.curve}, the signature for {curve.name}", form)
    if key.size != curve.size:
        return SignatureCheck(
            False, f"the key has coordinates of {key.size} bytes, the curve {curve.name} needs {curve.size}", form
        )
    digest = hashlib.new(_hash_name(record.algorithm), record.payload).digest()
    check = _verify_192k1 if curve.name == "secp192k1" else _verify_by_library
    try:
        matches = check(curve, key.point, digest, r, s)
    except ValueError:
        return SignatureCheck(False, f"the key is not a valid point of {curve.name}", form)
    return (
        SignatureCheck(True, None, form)
        if matches
        else SignatureCheck(False, "the payload does not match the signature", form)
    )


def _verify_by_library(curve: Curve, point: bytes, digest: bytes, r: int, s: int) -> bool:
    curves: dict[str, type[ec.EllipticCurve]] = {
        "secp192r1": ec.SECP192R1,
        "secp256k1": ec.SECP256K1,
        "secp256r1": ec.SECP256R1,
        "secp384r1": ec.SECP384R1,
        "brainpoolp256r1": ec.BrainpoolP256R1,
        "brainpoolp384r1": ec.BrainpoolP384R1,
        "secp521r1": ec.SECP521R1,
        "brainpoolp512r1": ec.BrainpoolP512R1,
    }
    hash_type = {32: SHA256, 48: SHA384, 64: SHA512}[len(digest)]
    key = ec.EllipticCurvePublicKey.from_encoded_point(curves[curve.name](), point)
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hash_type())))
    except InvalidSignature:
        return False
    return True


def _verify_192k1(curve: Curve, point: bytes, digest: bytes, r: int, s: int) -> bool:
    """Verify on secp192k1, which the library lacks (metering/elliptic.py)."""
    x = int.from_bytes(point[1 : 1 + curve.size], "big")
    if point[0] == 4:
        y: int | None = int.from_bytes(point[1 + curve.size :], "big")
    else:
        y = SECP192K1.decompress_y(x, odd=point[0] == 3)
    if y is None or not SECP192K1.contains(x, y):
        raise ValueError("not on the curve")
    return SECP192K1.verify((x, y), digest, r, s)


def _decode_signature(record: OcmfRecord, size: int) -> tuple[SignatureForm, int, int]:
    """Decode r and s of a record, for a curve whose coordinates have `size` bytes."""
    if record.mime not in (None, "application/x-der"):
        raise _NotASignatureError(f"the signature MIME type {record.mime} is not defined by OCMF (SM)")
    data = _signature_bytes(record)
    if _is_raw(data, size):
        return SignatureForm.RAW, int.from_bytes(data[:size], "big"), int.from_bytes(data[size:], "big")
    r, s = _two_integers(data)
    return SignatureForm.DER, r, s


def _signature_bytes(record: OcmfRecord) -> bytes:
    if record.signature is None:
        raise _NotASignatureError("the record is not signed: SD is missing")
    packed = "".join(record.signature.split())
    try:
        if record.encoding == "hex":
            return bytes.fromhex(packed)
        if record.encoding == "base64":
            return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise _NotASignatureError(f"SD is not valid {record.encoding}") from None
    raise _NotASignatureError(f"the signature encoding {record.encoding} is not defined by OCMF (SE)")


def _is_raw(data: bytes, size: int) -> bool:
    """Return whether the data is r and s concatenated, and not a DER sequence of the same length."""
    return size > 0 and len(data) == 2 * size and not (data[0] == 0x30 and data[1] == len(data) - 2)


def _likely_form(record: OcmfRecord, size: int) -> SignatureForm | None:
    try:
        data = _signature_bytes(record)
    except _NotASignatureError:
        return None
    if _is_raw(data, size):
        return SignatureForm.RAW
    return SignatureForm.DER if data[:1] == b"\x30" else None


def _two_integers(data: bytes) -> tuple[int, int]:
    """Decode a SEQUENCE of two INTEGERs strictly: invalid DER of meters that use fixed lengths is rejected."""
    if len(data) < 2 or data[0] != 0x30:
        raise _NotASignatureError("SD is not a DER sequence")
    length, start = data[1], 2
    if length == 0x81 and len(data) > 2 and data[2] >= 0x80:
        length, start = data[2], 3
    if length != len(data) - start:
        raise _NotASignatureError(f"SD states a sequence of {length} bytes, but has {len(data) - start}")
    r, rest = _decode_integer(data[start:], "r")
    s, rest = _decode_integer(rest, "s")
    if rest:
        raise _NotASignatureError("SD has extra bytes after s")
    return r, s


def _decode_integer(data: bytes, name: str) -> tuple[int, bytes]:
    if len(data) < 3 or data[0] != 0x02 or data[1] == 0 or len(data) < 2 + data[1]:
        raise _NotASignatureError(f"{name} in SD is not a DER integer")
    body, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if body[0] & 0x80:
        raise _NotASignatureError(f"{name} in SD is negative: the leading zero byte is missing")
    if len(body) > 1 and body[0] == 0 and not body[1] & 0x80:
        raise _NotASignatureError(f"{name} in SD has a superfluous leading zero byte")
    return int.from_bytes(body, "big"), rest
