"""The time where the station stands, for people who look at it; everything else is UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from station.core.setting_groups import ClockSettings


def local_time(now: datetime, settings: ClockSettings) -> datetime:
    """This moment as a clock on the wall shows it."""
    return now.astimezone(zone(settings))


def local_to_utc(moment: datetime, settings: ClockSettings) -> datetime:
    """A moment as somebody here wrote it, in UTC: one without an offset is what a clock on the wall shows.

    Raises:
        OverflowError: it is beyond the calendar.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(settings))
    return moment.astimezone(UTC)


def zone(settings: ClockSettings) -> tzinfo:
    """What clocks here go by, before and after the next transition (part 2, TimeZone, TimeOffset).

    A time zone outweighs an offset: it knows its summer time itself.
    """
    if settings.time_zone:
        return named_zone(settings.time_zone)
    before = _offset(settings.time_offset) if settings.time_offset else timedelta(0)
    due, following = settings.next_time_offset_transition, settings.time_offset_next_transition
    return _Changing(before, due.astimezone(UTC), _offset(following)) if following and due else timezone(before)


def named_zone(name: str | None) -> tzinfo:
    """The time zone with this IANA name; UTC for None."""
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo  # only where a time zone is set

    return ZoneInfo(name)


def watch_zone(settings: ClockSettings, use: Callable[[tzinfo], None]) -> Callable[[], None]:
    """Call `use` with the zone now and after each change of it, until the returned function is called."""

    def changed(_: object) -> None:
        use(zone(settings))

    use(zone(settings))
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
    """Set the fixed UTC offset. If the time zone has another offset now, it is cleared: what was set last applies.

    Raises:
        ValueError: the text is not an offset.
        StorageError: it could not be saved.
    """
    await settings.change(ClockSettings.time_offset, text)
    if settings.time_zone and text and local_time(now, settings).utcoffset() != _offset(text):
        await settings.change(ClockSettings.time_zone, "")


class _Changing(tzinfo):
    """An offset up to a moment, and another one from then on: a day beyond it has its own."""

    def __init__(self, before: timedelta, due: datetime, after: timedelta) -> None:
        self._before, self._after = before, after
        self._due = due.replace(tzinfo=None)

    def __reduce__(self) -> tuple[type[_Changing], tuple[timedelta, datetime, timedelta]]:
        """Pickle with arguments, which the base class would leave out."""
        return _Changing, (self._before, self._due, self._after)

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """What clocks are ahead of UTC; of an hour shown twice or left out `fold` says which (PEP 495)."""
        if dt is None:
            return self._before
        offsets = self._before, self._after
        changes = self._due + (min(offsets) if dt.fold else max(offsets))
        return self._after if dt.replace(tzinfo=None) >= changes else self._before

    def fromutc(self, dt: datetime) -> datetime:
        """What clocks show at a moment of UTC."""
        behind = dt.replace(tzinfo=None) - self._due
        after = behind >= timedelta(0)
        again = after and behind < self._before - self._after
        return (dt + (self._after if after else self._before)).replace(fold=int(again))

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Nobody has told which of the two is summer time."""

    def tzname(self, dt: datetime | None) -> str:
        """Such as UTC+02:00."""
        return timezone(self.utcoffset(dt)).tzname(dt)


def _offset(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text[1:].split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))
