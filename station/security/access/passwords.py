"""Passwords and codes, stored as scrypt hashes (RFC 7914) and compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 128
SHORTEST_CODE = 8
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""characters of generated codes; ambiguous ones are left out"""
_CODE_LENGTH = 12
_N, _R, _P = 2**14, 8, 5
"""16 MiB and some 0.2 s on a small machine (OWASP password storage, scrypt)"""
_MAX_N, _MAX_R, _MAX_P = 2**17, 16, 16
"""limits for stored hashes, so that a corrupted one cannot exhaust the memory"""
_LENGTH = 32


def check_strength(password: str) -> str:
    """Validate a new password and return it in normalized form (NFKC).

    Raises:
        ValueError: the password is not allowed; the message does not contain it.
    """
    normalized = unicodedata.normalize("NFKC", password)
    if not SHORTEST_PASSWORD <= len(normalized) <= LONGEST_PASSWORD:
        raise ValueError(f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if not normalized.isprintable():
        raise ValueError("must not have control characters")
    if len(set(normalized)) < SHORTEST_PASSWORD // 2:
        raise ValueError(f"must have at least {SHORTEST_PASSWORD // 2} different characters")
    return normalized


def normalize_code(code: str) -> str:
    """Normalize a typed code for comparison: letters and digits only, in capitals."""
    return "".join(character for character in code if character.isalnum()).upper()


def check_code(code: str) -> str:
    """Validate a label code of the installation file and return it unchanged.

    Raises:
        ValueError: the code is too short or too long; the message does not contain it.
    """
    if not SHORTEST_CODE <= len(normalize_code(code)) <= LONGEST_PASSWORD:
        raise ValueError(f"must have at least {SHORTEST_CODE} letters and digits")
    return code


def new_code() -> str:
    """Generate a random code of twelve letters and digits, as XXXX-XXXX-XXXX."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, _CODE_LENGTH, 4))


def hash_secret(secret: str) -> str:
    """Hash a secret with a new salt for storage (scrypt). Slow by design: call it in a thread."""
    salt = secrets.token_bytes(16)
    return "$".join(
        ("scrypt", str(_N), str(_R), str(_P), _to_base64(salt), _to_base64(_scrypt(secret, salt, _N, _R, _P)))
    )


def verify_secret(secret: str, stored: str | None) -> bool:
    """Return whether a secret matches a stored hash; takes the same time if there is none. Call it in a thread."""
    try:
        kind, n, r, p, salt, digest = (stored or "").split("$")
        cost = (int(n), int(r), int(p))
        if kind != "scrypt" or any(not 0 < parameter <= most for parameter, most in zip(cost, _MOST, strict=True)):
            raise ValueError(kind)
        return hmac.compare_digest(_scrypt(secret, _from_base64(salt), *cost), _from_base64(digest))
    except (ValueError, binascii.Error):
        _scrypt(secret, b"nobody's", _N, _R, _P)
        return False


_MOST = (_MAX_N, _MAX_R, _MAX_P)


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", secret)[:LONGEST_PASSWORD].encode(errors="replace")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=(128 * r * (n + p + 2)) + 2**20, dklen=_LENGTH)


def _to_base64(binary: bytes) -> str:
    return base64.b64encode(binary).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
