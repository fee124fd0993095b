"""The page "About": a visitor reads the version, and the licences of everything in the station."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from station.core.version import package_version
from tests.browser.visitor import visiting
from tests.walk import walking

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


async def test_a_visitor_reads_the_version_and_the_licence_of_a_component(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk) as visitor:
        await visitor.go("/")
        await visitor.page.get_by_role("link", name=f"Version {package_version()}").click()
        await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("About this software")
        font = visitor.page.get_by_role("row").filter(has_text="dejavu-fonts")
        await expect(font).to_contain_text("2.37")
        await visitor.audit()
        await visitor.picture("about")
        await font.get_by_role("link", name="Bitstream-Vera").click()
        await expect(visitor.page.locator("body")).to_contain_text("Copyright (c) 2003 by Bitstream, Inc.")
        await visitor.go("/about")
        await visitor.page.get_by_role("link", name="Apache-2.0").first.click()
        await expect(visitor.page.locator("body")).to_contain_text("Apache License")
        visitor.wrong.clear()  # the browser's request for an icon, which a text does not name
