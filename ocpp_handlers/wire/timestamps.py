"""Dates and times of messages: writes one format, reads every format that CSMSs send."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# RFC 3339, and common deviations: no offset, an offset without a colon or without minutes.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def encode(moment: datetime) -> str:
    """Format an aware datetime for OCPP: 2024-05-06T07:08:09.123Z, in UTC, truncated to milliseconds.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def decode(text: str) -> datetime:
    """Parse any spelling of a date and time to a datetime in UTC; without an offset it is taken as UTC.

    Digits beyond microseconds are dropped.

    Raises:
        ValueError: the text is not a date and time, or names one that does not exist.
    """
    shape = _DATE_TIME.fullmatch(text)
    if shape is None:
        raise ValueError(f"{text[:40]!r} is not a date and time like 2024-05-06T07:08:09Z")
    try:
        moment = datetime.fromisoformat(text.upper() if shape["offset"] else f"{text.upper()}Z")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not a date and time that exists: {error}") from error
