"""The panel of simulated hardware, by mouse and keyboard: house, faults, clock, link, misbehaviour, recording."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from station.core.model import ChargingState, Fault
from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, visiting
from tests.walk import walking

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

GRID = {"phases": 3, "safe_current_a": 6, "source": {"type": "linky", "mode": "standard"}}
LINKY = {"linky": {"mode": "standard", "phases": 3, "subscribed_va": 18000}}


@contextlib.asynccontextmanager
async def _one_change_at_a_time(page: Page, path: str) -> AsyncGenerator[None]:
    """The page sends several changes of a path, each after the answer to the one before: none overtakes another."""
    under_way, counts = 0, list[int]()

    async def count(route: Route) -> None:
        nonlocal under_way
        under_way += 1
        counts.append(under_way)
        response = await route.fetch()
        under_way -= 1
        await route.fulfill(response=response)

    await page.route(path, count)
    yield
    await page.unroute_all(behavior="wait")
    assert len(counts) > 1
    assert set(counts) == {1}


async def test_the_whole_world_is_controlled_from_one_page(browser: Browser, tmp_path: Path) -> None:
    tables = {"grid": GRID, "simulation": LINKY, "reader": [{"type": "simulated", "name": "front"}]}
    async with walking(tmp_path, **tables) as walk, visiting(browser, walk, viewport=DESKTOP) as service:
        await walk.accepted()
        await service.sign_in(Role.SERVICE)
        await service.go("/simulation")
        page, world = service.page, walk.world
        await page.get_by_role("button", name="Record", exact=True).click()
        await expect(page.get_by_role("link", name="Save what was recorded so far")).to_be_visible()
        await page.get_by_role("button", name="Plug in").click()
        await walk.until(lambda: walk.board.vehicle is not None)
        card = page.get_by_label("Card", exact=True)
        await card.fill("04A3B2C1D5E680")
        await card.press("Enter")
        await walk.until(lambda: walk.evse.state.charging_state is ChargingState.CHARGING)
        await page.get_by_label("More load on L2").focus()
        async with _one_change_at_a_time(page, "**/api/sim/grid"):
            for _ in range(4):
                await page.keyboard.press("ArrowRight")
            await walk.until(lambda: "panel" in world.house.loads and world.house.loads["panel"].l2 >= 2.0)
        await page.get_by_label("Sun on the roof").focus()
        await page.keyboard.press("PageUp")
        await walk.until(lambda: "sun" in world.house.loads and world.house.loads["sun"].l1 < 0.0)
        await page.get_by_label("Fault").select_option(Fault.LOCK.value)
        await page.get_by_role("button", name="Raise").click()
        await walk.until(lambda: Fault.LOCK in walk.evse.state.observation.faults)
        await page.get_by_role("button", name="Clear").click()
        await page.get_by_role("spinbutton", name="Rate").fill("5")
        await page.get_by_role("button", name="Set the rate").click()
        await expect(page.locator("#world-state")).to_contain_text("clock × 5")
        await page.get_by_role("spinbutton", name="Rate").fill("0")
        await page.get_by_role("button", name="Set the rate").click()
        await page.get_by_label("Action").fill("Heartbeat")
        await page.get_by_role("button", name="Begin").click()
        await expect(page.locator("#world-state")).to_contain_text("rules of misbehaviour: 1")
        assert world.misbehaviour.rules[0].rule.action == "Heartbeat"
        await page.get_by_role("button", name="End all").click()
        await expect(page.locator("#world-state")).not_to_contain_text("misbehaviour")
        started = page.locator("#frames li").filter(has_text="TransactionEvent").last
        await expect(started).to_contain_text("✓")
        await started.locator("summary").click()
        await expect(started.get_by_role("button", name="Copy as a scenario step")).to_be_visible()
        await service.audit()
        await service.picture("panel")
        text = (await service.download(page.get_by_role("link", name="Save what was recorded so far"))).decode()
        assert [
            word in text for word in ("plug.evse = 1", 'card.uid = "04A3B2C1D5E680"', "house.loads", "fault.code")
        ] == [True] * 4
        assert "base" in world.house.loads
        ended = (await service.download(page.get_by_role("button", name="End and save"))).decode()
        assert ended.startswith(text[:200])
        await expect(page.get_by_role("link", name="Save what was recorded so far")).to_be_hidden()
        await page.get_by_role("button", name="Cut the link").click()
        await walk.until(lambda: not walk.stack.link.online)
        await page.set_viewport_size({"width": 390, "height": 844})
        await service.audit()
        await service.picture("panel-phone")
