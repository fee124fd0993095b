"""What the chart of the page remembers of house and car."""

from __future__ import annotations

from pathlib import Path

from tests.walk import walking
from tests.walks.house import GRID, House


async def test_a_meter_that_is_silent_leaves_a_gap_and_not_its_last_value(tmp_path: Path) -> None:
    """Silence is not what flowed before."""
    async with walking(tmp_path, grid=GRID) as walk:
        await walk.accepted()
        house = House(walk)
        house.loads_a = (9.0, 4.0, 2.0)
        await house.live(20)
        assert walk.parts.history.now().grid_a == (9.0, 4.0, 2.0)
        await walk.advance(20)
        assert walk.parts.history.now().grid_a == (None, None, None)
        await house.send_sample()
        assert walk.parts.history.now().grid_a == (9.0, 4.0, 2.0)


async def test_the_house_is_the_one_that_load_management_counts_with(tmp_path: Path) -> None:
    """One estimate for the chart, the status and the explanation of the current."""
    async with walking(tmp_path, grid=GRID) as walk:
        await walk.accepted()
        house = House(walk)
        house.loads_a = (9.0, 4.0, 2.0)
        await house.live(60)
        await walk.plug(phases=3)
        await walk.present()
        await house.live(100)
        explained = walk.parts.load.grid.explain(1)
        assert explained is not None
        now = walk.parts.history.now()
        assert now.house_a == tuple(walk.parts.load.grid.house_currents_a) == (9.0, 4.0, 2.0)
        assert explained.phase == 1
        assert now.house_a[0] == explained.house_a == 9.0
        await walk.advance(20)
        assert walk.parts.history.now().house_a == (None, None, None)
