"""The documentation that `make docs` builds, opened as files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.patience import PATIENCE_S
from tests.project import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


async def test_the_search_works_in_pages_that_are_opened_as_files(browser: Browser, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path))
    result = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert result.returncode == 0, result.stderr
    page = await browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for place in ("index.html", "adr/0003-virtual-clock.html"):
        await page.goto((tmp_path / place).as_uri())
        await page.get_by_placeholder("Search").click()
        await page.keyboard.type("reconnect storm")
        await expect(page.locator(".md-search-result__item").first).to_contain_text("storm")
    assert errors == []
