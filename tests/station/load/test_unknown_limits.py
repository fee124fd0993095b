"""The limit while charging profiles are set aside: never more than one of them may have allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from energy.limit import LimitSource
from simulator.clock import VirtualClock
from station.load.unknown_limits import limit_without_profiles
from tests.databases import open_database


def profile(unit: str, *limits: float) -> str:
    """A stored charging profile with these limits."""
    periods = ", ".join(f'{{"limit": {limit}}}' for limit in limits)
    return f'{{"schedule": {{"unit": "{unit}", "periods": [{periods}]}}}}'


@pytest.mark.parametrize(
    ("rows", "current_a"),
    [
        ([profile("A", 32.0, 6.0)], 6.0),
        ([profile("A", 32.0, 5.9)], 0.0),
        ([profile("W", 4140.0)], 6.0),
        ([profile("W", 4139.0)], 0.0),
        (["{damaged", "{}"], 6.0),
        (["{damaged", profile("A", 0.0)], 0.0),
    ],
)
async def test_a_profile_below_the_lowest_charging_current_is_a_pause(
    tmp_path: Path, rows: list[str], current_a: float
) -> None:
    async with open_database(tmp_path / "db", VirtualClock()) as database:
        await database.write("CREATE TABLE aside_charging_profiles AS SELECT * FROM charging_profiles WHERE FALSE")
        await database.write_many("INSERT INTO aside_charging_profiles VALUES (?, ?)", list(enumerate(rows)))
        limit = await limit_without_profiles(database)
    assert (limit.source, limit.current_a) == (LimitSource.SAFE_START, current_a)


async def test_where_nothing_can_be_read_the_limit_is_zero(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", VirtualClock()) as database:  # without the table
        assert (await limit_without_profiles(database)).current_a == 0.0
