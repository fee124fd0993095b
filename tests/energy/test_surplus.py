"""What the house produces is added to an order of the grid operator (EnWG §14a): reported late, and followed late."""

from __future__ import annotations

import pytest

from energy.composite import ProfileTarget
from energy.controller import Demand, GridConnection, LoadController, SharedLimit
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.profile_store import ProfileStore, no_selectable_phases
from metering.reading import Phases
from tests import fakes

ORDERED_W = 4200.0
VOLTS = 230.0


async def dimmed(*, produced_w: list[float], age_s: int, lag_s: int) -> list[float]:
    """The power of a vehicle second by second, in watts, while it is dimmed beside so much solar power."""
    clock = fakes.clock()
    controller = LoadController(clock, ProfileStore({1: 3}, no_selectable_phases), GridConnection(3, 16.0, 63.0))
    controller.limits.set_shared(
        "grid-order", SharedLimit(LimitSource.GRID_ORDER, power_w=ORDERED_W, plus_surplus=True)
    )
    rating = (Limit(32.0, LimitSource.HARDWARE, fakes.NOON),)
    offered, drawn, grid = [0.0] * (lag_s + 1), [0.0], [0.0]
    for sun_w in produced_w:
        drawn.append(offered[-1 - lag_s])
        grid.append(3.0 * drawn[-1] - sun_w / VOLTS)
        demand = Demand(
            ProfileTarget(1), 3, True, Phases[float | None].all(drawn[-1]), rating, offered[-1], clock.monotonic()
        )
        controller.observe_draw([demand])
        grid_w = grid[max(0, len(grid) - 1 - age_s)]
        currents = Phases[float | None].all(grid_w / 3.0)
        controller.process_sample(GridSample(clock.now(), currents, power_w=grid_w * VOLTS, signed=True))
        offered.append(controller.decide([demand])[1].current_a)
        await clock.advance(1)
    return [3.0 * current_a * VOLTS for current_a in drawn[1:]]


@pytest.mark.parametrize("age_s", [0, 1, 2, 3])
@pytest.mark.parametrize("lag_s", [0, 1, 2, 4])
async def test_beside_a_steady_sun_a_dimmed_vehicle_is_steady_and_within_its_order(age_s: int, lag_s: int) -> None:
    drawn_w = await dimmed(produced_w=[3000.0] * 240, age_s=age_s, lag_s=lag_s)
    assert max(drawn_w) <= ORDERED_W + 3000.0 + 1.0
    assert min(drawn_w[120:]) >= ORDERED_W + 3000.0 - 3 * 0.1 * VOLTS


@pytest.mark.parametrize("age_s", [0, 2])
@pytest.mark.parametrize("lag_s", [0, 2, 4])
async def test_when_a_cloud_comes_a_dimmed_vehicle_follows_at_once(age_s: int, lag_s: int) -> None:
    cloud, soon = 120, age_s + lag_s + 2
    drawn_w = await dimmed(produced_w=[6000.0] * cloud + [0.0] * 60 + [6000.0] * 60, age_s=age_s, lag_s=lag_s)
    assert max(drawn_w[cloud + soon : cloud + 60]) <= ORDERED_W
    assert max(drawn_w) <= ORDERED_W + 6000.0
    assert drawn_w[-1] >= ORDERED_W + 6000.0 - 3 * 0.1 * VOLTS
