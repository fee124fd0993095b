"""The time where the station stands, for people who look at it; everything else is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.settings import Settings


def local_time(now: datetime, settings: Settings) -> datetime:
    """This moment as a clock on the wall shows it."""
    return now.astimezone(zone(now, settings))


def as_written(moment: datetime, settings: Settings) -> datetime:
    """A moment as somebody here wrote it, in UTC: one without an offset is what a clock on the wall shows.

    Raises:
        OverflowError: it is beyond the calendar.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(moment.replace(tzinfo=UTC), settings))
    return moment.astimezone(UTC)


def zone(now: datetime, settings: Settings) -> tzinfo:
    """What clocks here go by (part 2, TimeZone, TimeOffset and their next transition).

    A time zone outweighs an offset: it knows its summer time itself.
    """
    if settings.time_zone:
        from zoneinfo import ZoneInfo

        return ZoneInfo(settings.time_zone)
    offset, due = settings.time_offset, settings.next_time_offset_transition
    if settings.time_offset_next_transition and due is not None and now >= due:
        offset = settings.time_offset_next_transition
    return timezone(_offset(offset)) if offset else UTC


def _offset(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text[1:].split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))
