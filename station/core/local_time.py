"""Local time at the station, for display and input; all other times are UTC."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from foundation.bounds import DATES
from station.core.clock_settings import ClockSettings


def local_time(now: datetime, settings: ClockSettings) -> datetime:
    """Convert a moment with a UTC offset to local time of the station."""
    return in_zone(now, zone(settings))


def in_zone(moment: datetime, time_zone: tzinfo) -> datetime:
    """Convert a moment to local time; in UTC at the ends of the calendar, where local time would be beyond them."""
    try:
        return moment.astimezone(time_zone)
    except OverflowError:
        return moment


def local_to_utc(moment: datetime, settings: ClockSettings) -> datetime:
    """Convert a moment to UTC; one without an offset is taken as local time of the station.

    Raises:
        OverflowError: the result is outside the range of `datetime`.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(settings))
    return moment.astimezone(UTC)


def zone(settings: ClockSettings) -> tzinfo:
    """The station's local time zone, including the next offset transition (part 2, TimeZone, TimeOffset).

    TimeZone takes precedence over TimeOffset, since it includes daylight saving time.
    """
    if settings.time_zone:
        return named_zone(settings.time_zone)
    offset = _parse_offset(settings.time_offset) if settings.time_offset else timedelta(0)
    transition, next_offset = settings.next_time_offset_transition, settings.time_offset_next_transition
    if not next_offset or transition is None:
        return timezone(offset)
    return _ZoneWithTransition(offset, DATES.clip(transition).astimezone(UTC), _parse_offset(next_offset))


def named_zone(name: str | None) -> tzinfo:
    """The time zone with this IANA name; UTC for None. Does not read the settings."""
    if name is None:
        return UTC

    return zoneinfo.ZoneInfo(name)


def watch_zone(settings: ClockSettings, apply_zone: Callable[[tzinfo], None]) -> Callable[[], None]:
    """Call `apply_zone` with the local time zone now and after each change of its settings.

    Returns a function that ends this.
    """

    def changed(_: object) -> None:
        apply_zone(zone(settings))

    apply_zone(zone(settings))
    subscriptions = (
        settings.changed(ClockSettings.time_zone).subscribe(changed),
        settings.changed(ClockSettings.time_offset).subscribe(changed),
        settings.changed(ClockSettings.next_time_offset_transition).subscribe(changed),
        settings.changed(ClockSettings.time_offset_next_transition).subscribe(changed),
    )

    def unsubscribe() -> None:
        for end in subscriptions:
            end()

    return unsubscribe


async def change_time_offset(settings: ClockSettings, text: str, now: datetime) -> None:
    """Store the fixed UTC offset, such as +01:00, and clear a TimeZone whose current offset differs.

    Otherwise TimeZone, which takes precedence, would hide the new value.

    Raises:
        ValueError: the text is not an offset.
        StorageError: the setting could not be stored.
    """
    await settings.change(ClockSettings.time_offset, text)
    if settings.time_zone and text and local_time(now, settings).utcoffset() != _parse_offset(text):
        await settings.change(ClockSettings.time_zone, "")


class _ZoneWithTransition(tzinfo):
    """A time zone with one offset before a moment and another from then on."""

    def __init__(self, before: timedelta, transition: datetime, after: timedelta) -> None:
        self._before, self._after = before, after
        self._transition = transition.replace(tzinfo=None)

    def __reduce__(self) -> tuple[type[_ZoneWithTransition], tuple[timedelta, datetime, timedelta]]:
        """Pickle with the constructor arguments, which the base class omits."""
        return _ZoneWithTransition, (self._before, self._transition, self._after)

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """The UTC offset at a local time; `fold` resolves a repeated or skipped hour (PEP 495)."""
        if dt is None:
            return self._before
        offsets = self._before, self._after
        local_transition = self._transition + (min(offsets) if dt.fold else max(offsets))
        return self._after if dt.replace(tzinfo=None) >= local_transition else self._before

    def fromutc(self, dt: datetime) -> datetime:
        """Convert from UTC to local time."""
        since_transition = dt.replace(tzinfo=None) - self._transition
        after = since_transition >= timedelta(0)
        repeated = after and since_transition < self._before - self._after
        return (dt + (self._after if after else self._before)).replace(fold=int(repeated))

    def dst(self, dt: datetime | None) -> timedelta | None:
        """None: which of the two offsets is daylight saving time is unknown."""

    def tzname(self, dt: datetime | None) -> str:
        """The name of the offset, such as UTC+02:00."""
        return timezone(self.utcoffset(dt)).tzname(dt)


def _parse_offset(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text[1:].split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))
