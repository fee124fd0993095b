"""The time where the station stands, for people who look at it; everything else is UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.settings import Settings


def local_time(now: datetime, settings: Settings) -> datetime:
    """This moment as a clock on the wall shows it (part 2, TimeZone, TimeOffset and their next transition).

    A time zone outweighs an offset: it knows its summer time itself.
    """
    if settings.time_zone:
        from zoneinfo import ZoneInfo

        return now.astimezone(ZoneInfo(settings.time_zone))
    offset, due = settings.time_offset, settings.next_time_offset_transition
    if settings.time_offset_next_transition and due is not None and now >= due:
        offset = settings.time_offset_next_transition
    return now.astimezone(timezone(_offset(offset))) if offset else now


def _offset(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text[1:].split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))
