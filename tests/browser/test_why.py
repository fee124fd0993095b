"""Why the car gets this current: sentence, chart and pilot give the same numbers, and what holds it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from energy.grid_explanation import GridExplanation, GridHold
from station.load.shared_limits import LimitRequest, LimitSetter
from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, Visitor, visiting
from tests.walk import Walk, walking
from tests.walks.house import GRID, House

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


def amps(current_a: float) -> str:
    """Return a current as the page writes it."""
    return f"{current_a:g}\u00a0A"


async def check_grid_explanation(driver: Visitor, walk: Walk, held_by: GridHold | None) -> GridExplanation:
    """Check that sentence and chart show the numbers of load management; returns these."""
    explanation = walk.parts.load.grid.explain(1)
    assert explanation is not None
    assert explanation.held_by is held_by
    house, limit = amps(explanation.house_a), amps(explanation.limit_a)
    await driver.reads(
        f"The house alone uses {house} of the {limit} that its grid connection can carry on L{explanation.phase}. "
        f"With a margin of {amps(explanation.margin_a)}, {amps(explanation.room_a)} are left for charging."
    )
    await expect(driver.page.locator("#chart-house")).to_have_text(house)
    await expect(driver.page.locator("#chart-limit")).to_have_text(limit)
    return explanation


async def test_page_chart_and_pilot_give_the_same_numbers_and_say_what_holds_the_current(
    browser: Browser, tmp_path: Path
) -> None:
    """Full current, the calm time after an overload, the steps up again, a shortage and the pause that follows."""
    async with walking(tmp_path, grid=GRID) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        house = House(walk)
        house.loads_a = (4.0, 9.0, 2.0)
        await house.live(60)
        await walk.plug(phases=3)
        await walk.present()
        await house.live(100)
        await driver.sign_in(Role.DRIVER)
        full = await check_grid_explanation(driver, walk, None)
        assert (full.phase, full.room_a, walk.evse.offered_a) == (2, 30.0, 30.0)
        await driver.reads("Why 30 A?")
        await driver.picture("why-full")

        house.loads_a = (4.0, 25.0, 2.0)
        await house.live(6)
        house.loads_a = (4.0, 9.0, 2.0)
        await house.live(8)
        await driver.go()
        calm = await check_grid_explanation(driver, walk, GridHold.CALM_TIME)
        assert calm.current_a == walk.evse.offered_a == 14.0
        await driver.reads("There is room again; to spare breaker and car, it waits until")
        await driver.picture("why-calm-time")

        await house.live(28)
        await driver.go()
        await check_grid_explanation(driver, walk, GridHold.STEP)
        await driver.reads("The current rises to that in steps.")
        await driver.picture("why-step")

        house.loads_a = (4.0, 36.0, 2.0)
        await house.live(8)
        await driver.go()
        await check_grid_explanation(driver, walk, GridHold.SHORTAGE)
        await driver.reads("Why 6 A?")
        await driver.reads("The car keeps 6 A, the least it can charge with.")
        await driver.picture("why-shortage")

        await house.live(60)
        await driver.go()
        await check_grid_explanation(driver, walk, GridHold.PAUSE)
        await driver.reads("Charging pauses. It resumes when enough has been left for some minutes.")
        house.loads_a = (4.0, 9.0, 2.0)
        await house.live(40)
        await driver.go()
        await check_grid_explanation(driver, walk, GridHold.PAUSE)
        await driver.reads("There is room again; to spare breaker and car, charging waits until")
        await driver.reads("Why no power yet?")
        await driver.audit()
        await driver.picture("why-pause")


async def test_a_free_station_offers_no_more_than_owner_and_house_leave(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk, visiting(browser, walk, viewport=DESKTOP) as driver:
        await walk.accepted()
        house, limits = House(walk), walk.parts.shared_limits
        house.loads_a = (4.0, 19.0, 2.0)
        await house.live(60)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("up to 20 A per phase")
        await limits.set_limit(LimitSetter.USER, LimitRequest(current_a=10.0, for_s=None))
        await house.live(5)
        await driver.go()
        await driver.reads("up to 10 A per phase")
        await driver.picture("why-free-owner")
        await limits.pause()
        await house.live(5)
        await driver.go()
        await driver.reads("no power at the moment")
        await driver.picture("why-free-paused")
