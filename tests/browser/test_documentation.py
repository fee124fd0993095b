"""The documentation that `make docs` builds: what its pages load, and its search in pages that are opened as files."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.patience import PATIENCE_S
from tests.project import ROOT
from tools.references.pages import PAGES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the documentation, built strictly: a warning is an error."""
    assert re.search("^strict: true$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    folder = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder))
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert result.returncode == 0, result.stderr
    return folder


class _LoadedUrls(HTMLParser):
    """Collects the addresses that a page loads without a click."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a browser fetches for this element."""
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "source"}:
            self.found.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in {"stylesheet", "preload", "icon", "preconnect"}:
            self.found.append(given.get("href") or "")


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {str(file.relative_to(site)) for file in pages} >= {
        *(place.replace(".md", ".html") for place in PAGES),
        *("index.html", "changelog.html", "architecture.html"),
        *(f"adr/{file.stem}.html" for file in (ROOT / "docs" / "adr").glob("*.md")),
    }
    for file in pages:
        parser = _LoadedUrls()
        text = file.read_text(encoding="utf-8")
        parser.feed(text)
        assert "```" not in text, f"{file}: a fenced block is shown as text"
        assert [source for source in parser.found if re.match(r"(https?:)?//", source)] == [], file


@pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser
async def test_the_search_works_in_pages_that_are_opened_as_files(browser: Browser, site: Path) -> None:
    page = await browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for place in ("index.html", "adr/0003-virtual-clock.html"):
        await page.goto((site / place).as_uri())
        await page.get_by_placeholder("Search").click()
        await page.keyboard.type("reconnect storm")
        await expect(page.locator(".md-search-result__item").first).to_contain_text("storm")
    assert errors == []
