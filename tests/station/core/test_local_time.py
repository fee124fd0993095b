"""Local time: ClockCtrlr's TimeZone, TimeOffset and its next transition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from station.billing.documents.document_context import Month
from station.core.clock_settings import ClockSettings
from station.core.local_time import local_time, local_to_utc, zone

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "offset", "due", "following", "formatted"),
    [
        ("", "", "", "", "2026-10-25T00:30:00+00:00"),
        ("Europe/Oslo", "", "", "", "2026-10-25T02:30:00+02:00"),
        ("Europe/Oslo", "-05:00", "", "", "2026-10-25T02:30:00+02:00"),
        ("", "-02:30", "", "", "2026-10-24T22:00:00-02:30"),
        ("", "+02:00", "2026-10-25T01:00:00Z", "+01:00", "2026-10-25T02:30:00+02:00"),
        ("", "+02:00", "2026-10-25T00:30:00Z", "+01:00", "2026-10-25T01:30:00+01:00"),
        ("", "+02:00", "2026-10-25T00:30:00Z", "", "2026-10-25T02:30:00+02:00"),
        ("", "+02:00", "", "+01:00", "2026-10-25T02:30:00+02:00"),
    ],
)
async def test_local_time_follows_the_zone_else_the_offset_and_its_transition(
    zone: str, offset: str, due: str, following: str, formatted: str
) -> None:
    settings = ClockSettings()
    await settings.change(ClockSettings.time_zone, zone)
    await settings.change(ClockSettings.time_offset, offset)
    await settings.change(ClockSettings.next_time_offset_transition, due)
    await settings.change(ClockSettings.time_offset_next_transition, following)
    assert local_time(NOW, settings).isoformat() == formatted


async def settings_with_transition(offset: str, due: str, following: str) -> ClockSettings:
    """Settings of a station that knows its offset and the next one."""
    settings = ClockSettings()
    await settings.change(ClockSettings.time_offset, offset)
    await settings.change(ClockSettings.next_time_offset_transition, due)
    await settings.change(ClockSettings.time_offset_next_transition, following)
    return settings


async def test_the_borders_of_a_month_have_each_their_own_side_of_the_transition() -> None:
    """As those of a station that knows its time zone."""
    settings = await settings_with_transition("+02:00", "2026-10-25T01:00:00Z", "+01:00")
    october, here = Month(2026, 10), zone(settings)
    assert october.begin(here).astimezone(UTC) == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert october.end(here).astimezone(UTC) == datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset", "due", "following"),
    [("+02:00", "2026-10-25T01:00:00Z", "+01:00"), ("+01:00", "2026-03-29T01:00:00Z", "+02:00")],
)
async def test_each_moment_round_a_transition_is_shown_as_its_time_zone_shows_it_and_found_again(
    offset: str, due: str, following: str
) -> None:
    settings, paris = await settings_with_transition(offset, due, following), ClockSettings()
    await paris.change(ClockSettings.time_zone, "Europe/Paris")
    begin = datetime.fromisoformat(due) - timedelta(hours=3)
    for quarter in range(24):
        moment = begin + quarter * timedelta(minutes=15)
        actual, expected = (local_time(moment, clock_settings) for clock_settings in (settings, paris))
        assert (actual.isoformat(), actual.fold) == (expected.isoformat(), expected.fold)
        assert actual.astimezone(UTC) == moment
        written = expected.replace(tzinfo=None)
        assert local_to_utc(written, settings) == local_to_utc(written, paris) == moment
        skipped = written.replace(fold=1)
        assert local_to_utc(skipped, settings) == local_to_utc(skipped, paris)


@pytest.mark.parametrize("due", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
async def test_a_transition_that_no_clock_can_meet_is_refused_by_name(due: str) -> None:
    """Local time is calculated from it with every line of the log."""
    settings = ClockSettings()
    with pytest.raises(ValueError, match="must be a date in the years 2000 to 2199"):
        await settings.change(ClockSettings.next_time_offset_transition, due)
    assert settings.next_time_offset_transition is None


@pytest.mark.parametrize("due", [FIRST, LAST])
@pytest.mark.parametrize(("offset", "following"), [("+14:59", "-14:59"), ("-14:59", "+14:59")])
@pytest.mark.parametrize("moment", [FIRST, NOW, LAST])
async def test_every_moment_has_a_local_time_also_with_the_earliest_and_the_latest_transition(
    due: datetime, offset: str, following: str, moment: datetime
) -> None:
    """A station of an earlier version may have stored one."""
    settings = await settings_with_transition(offset, "", following)
    settings.use_stored(ClockSettings.next_time_offset_transition, due)
    local = local_time(moment, settings)
    assert local == moment
    assert local.isoformat()
