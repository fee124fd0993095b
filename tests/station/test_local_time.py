"""What a clock on the wall shows: ClockCtrlr's TimeZone, TimeOffset and its next transition."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from station.local_time import local_time
from station.settings import Settings

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "offset", "due", "following", "shown"),
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
    zone: str, offset: str, due: str, following: str, shown: str
) -> None:
    settings = Settings()
    await settings.change(Settings.time_zone, zone)
    await settings.change(Settings.time_offset, offset)
    await settings.change(Settings.next_time_offset_transition, due)
    await settings.change(Settings.time_offset_next_transition, following)
    assert local_time(NOW, settings).isoformat() == shown
