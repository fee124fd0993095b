"""The page of a fleet: sorted, selected, an order for several stations, and no accessibility violation."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from playwright.async_api import Browser, expect

from borne.fleet.fleet_page import serving_fleet_page
from tests.borne.fleet.test_fleet_page import running_fleet
from tests.browser.visitor import AUDIT, DESKTOP, PHONE

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


async def test_stations_are_sorted_selected_and_given_an_order(browser: Browser, tmp_path: Path) -> None:
    async with serving_fleet_page(running_fleet(tmp_path), 0) as port:
        for size in (DESKTOP, PHONE):
            page = await browser.new_page(viewport={"width": size["width"], "height": size["height"]})
            wrong: list[str] = []
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            await page.goto(f"http://127.0.0.1:{port}/")
            first = page.locator("#rows tr").first
            await expect(first).to_contain_text("FLEET-1")
            await expect(first.locator(".good")).to_have_text("● online")
            await expect(first.get_by_role("link", name="simulation")).to_have_attribute(
                "href", "http://127.0.0.1:8123/stations/FLEET-1/simulation"
            )
            state = page.get_by_role("button", name="State")
            await state.click()
            await expect(first).to_contain_text("offline")
            await state.press("Enter")
            await expect(first).to_contain_text("online")
            await expect(page.get_by_role("columnheader", name="State")).to_have_attribute("aria-sort", "descending")
            await page.get_by_role("checkbox", name="Select FLEET-2").check()
            await expect(page.locator("#selected")).to_have_text("to 1 selected")
            await page.get_by_label("Order").select_option("cut the link")
            await page.get_by_role("button", name="Give it").click()
            await expect(page.locator("#outcome")).to_contain_text("0 done, 1 refused FLEET-2: does not answer")
            await page.get_by_role("checkbox", name="Select all that are shown").check()
            await expect(page.locator("#selected")).to_have_text("to 3 selected")
            assert cast("list[str]", await page.evaluate(AUDIT)) == []
            assert wrong == []
            await page.close()
