"""The memory of the chart: a look every ten seconds, bounded, and the present moment besides."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from tests.walk import walking
from tests.walks.house import GRID, House


async def test_house_car_and_limit_are_remembered_every_ten_seconds(tmp_path: Path) -> None:
    """What the meter of the connection shows, the car's part, and what the connection carries."""
    async with walking(tmp_path, grid=GRID) as walk:
        house = House(walk)
        await walk.accepted()
        await walk.plug(max_current_a=10)
        await walk.present()
        await house.live(60)
        moments = walk.life.history.since(0.0)
        gaps = [after.at_s - before.at_s for before, after in pairwise(moments[:-1])]
        assert all(gap >= 10.0 for gap in gaps)
        last = moments[-1]
        assert last.grid_a == (14.0, 14.0, 14.0)
        assert last.car_a == (10.0, 10.0, 10.0)
        assert last.limit_a == 40.0
        assert walk.life.history.since(last.at_s)[:-1] == []


async def test_what_no_meter_tells_is_not_known(tmp_path: Path) -> None:
    """Without a grid meter the house is unknown, and the limit is that of the station."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        last = walk.life.history.now()
        assert last.grid_a == (None, None, None)
        assert last.limit_a == 32.0


async def test_the_memory_is_bounded(tmp_path: Path) -> None:
    """Six hours."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for _ in range(2_200):
            await walk.advance(10)
            walk.life.history.look()
        assert len(walk.life.history.since(0.0)) == 2_161
