"""Validation of identifiers, passwords, currency codes, time zones and CSMS URLs; shortening of id tokens for logs;
host names.

Source: OCPP 2.0.1 part 2, primitive datatypes.
"""

from __future__ import annotations

import re
import zoneinfo
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

MIN_CSMS_PASSWORD = 16
MAX_CSMS_PASSWORD = 64
"""the limits of A00.FR.205; the upper one must be at least 40 and at most 64"""

MAX_CSMS_IDENTITY = 48
"""limit of identifierString for the identity of a station"""

_IDENTIFIER: Final = r"[A-Za-z0-9*\-_=:+|@.]*"


def check_identifier(text: str) -> str:
    """Validate an identifierString and return it unchanged.

    Raises:
        ValueError: the text is not an identifierString.
    """
    if not re.fullmatch(_IDENTIFIER, text):
        raise ValueError("must contain only the characters a-z A-Z 0-9 * - _ = : + | @ .")
    return text


def check_csms_identity(text: str) -> str:
    """Validate the station's identity at a CSMS (SecurityCtrlr.Identity), and return it unchanged.

    Raises:
        ValueError: the identity is not allowed.
    """
    if not 1 <= len(text) <= MAX_CSMS_IDENTITY:
        raise ValueError(f"must have 1 to {MAX_CSMS_IDENTITY} characters (has {len(text)})")
    return check_identifier(text)


def check_password(text: str) -> str:
    """Validate a BasicAuthPassword and return it unchanged; control characters are not allowed (RFC 7617).

    Raises:
        ValueError: the password is not allowed; the message does not contain it.
    """
    if not MIN_CSMS_PASSWORD <= len(text) <= MAX_CSMS_PASSWORD:
        raise ValueError(f"must have {MIN_CSMS_PASSWORD} to {MAX_CSMS_PASSWORD} characters (has {len(text)})")
    if not text.isprintable():
        raise ValueError("must not have control characters")
    return text


def check_currency(code: str) -> str:
    """Validate a currency code and return it unchanged.

    Raises:
        ValueError: the code does not have the form of ISO 4217.
    """
    if re.fullmatch(r"[A-Z]{3}", code) is None:
        raise ValueError("must be three capital letters, such as EUR (ISO 4217)")
    return code


def check_time_zone(name: str) -> str:
    """Validate the name of a time zone and return it unchanged.

    Raises:
        ValueError: the IANA database has no such time zone.
    """
    try:
        # The system's zoneinfo directory also has other files (localtime, right/, posix/); this list has zones only.
        if name not in _iana_names():
            raise LookupError(name)
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError("must be a time zone of the IANA database, such as Europe/Oslo") from None
    return name


@cache
def _iana_names() -> frozenset[str]:
    import tzdata  # late: only where a time zone is set

    return frozenset((Path(tzdata.__path__[0]) / "zones").read_text(encoding="utf-8").split())


def check_page_address(address: str) -> str:
    """Validate the address of a page, http:// or https://, and return it unchanged; an empty one is allowed.

    Raises:
        ValueError: the address is not allowed; the message says why.
    """
    if not address:
        return address
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and a host name")
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError("must contain printable ASCII only, without spaces")
    return address


def check_url(url: str) -> str:
    """Validate the URL of a CSMS, ws:// or wss://, and return it unchanged.

    Raises:
        ValueError: the URL is not allowed; the message says why.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("must begin with ws:// or wss://")
    if not parts.hostname:
        raise ValueError("must contain a host name")
    if not _is_host_name(parts.hostname):
        raise ValueError("must contain a valid host name")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or password; the password has its own key")
    if "#" in url or not url.isprintable() or " " in url:
        raise ValueError("must not contain spaces or a fragment (#)")
    return url


def _is_host_name(name: str) -> bool:
    """Return whether address resolution accepts a name: each label has 1 to 63 octets (RFC 1035 §2.3.4).

    Only a name with other characters than ASCII is encoded: the codec and its tables are modules of their own.
    """
    if name.isascii():
        *labels, last = name.split(".")  # the last one is empty in a name that ends with the root's dot
        return all(0 < len(label) <= 63 for label in labels) and len(last) <= 63
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def shorten_token(id_token: str) -> str:
    """Shorten an id token for logs: enough to distinguish cards, never more than half of it."""
    length = len(id_token)
    head, tail = min(4, length // 3), min(2, length // 6)
    return f"{id_token[:head]}…{id_token[length - tail :]}" if id_token else ""


def host_name(label: str) -> str:
    """Convert a name to a host name, without domain, of letters, digits and hyphens; `station` if none are left."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in label).strip("-")
    return name or "station"
