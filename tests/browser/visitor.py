"""A person with a browser before a station: goes to pages, signs in, looks, and minds what is wrong with a page."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from station.security.access.accounts import Role
from tests.patience import PATIENCE_S
from tests.walk import Walk

PASSWORD: Final = "correct horse battery"
PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}
_AWAY: Final = {"X-Forwarded-For": "192.0.2.7"}
"""makes the browser one on another machine"""
_SCREENSHOTS: Final = os.environ.get("BORNE_TEST_SCREENSHOTS")
"""a directory that gets pictures of the pages, to be looked at"""
AUDIT: Final = (Path(__file__).with_name("audit.js")).read_text(encoding="utf-8")
"""a script that returns what is wrong with the accessibility of a page"""


@dataclass
class Visitor:
    """A user with a browser window on the page of a station; errors of the page are recorded."""

    walk: Walk
    page: Page
    address: str
    wrong: list[str]

    async def download(self, link: Locator, *, name: str | None = None) -> bytes:
        """Click a link that downloads a file; returns its content. `name`: the expected file name; None: any."""
        async with self.page.expect_download() as coming:
            await link.click()
        downloaded = await coming.value
        assert name in {None, downloaded.suggested_filename}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            await downloaded.save_as(file)
            return file.read_bytes()

    async def go(self, path: str = "/") -> None:
        """Open a page."""
        await self.page.goto(self.address + path)

    async def sign_in(self, role: Role, *, to: str = "/") -> None:
        """Sign in with the role's password, by the form."""
        await self.walk.parts.access.accounts.set_password(role, PASSWORD)
        await self.go(f"/sign-in?role={role.label}&to={quote(to)}")
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(f"{self.address}{to}*")

    async def reads(self, text: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until a text is visible."""
        await expect(self.page.get_by_text(text).first).to_be_visible(timeout=within_s * 1000)

    async def picture(self, name: str) -> None:
        """Take a screenshot, if the environment names a folder for them."""
        if _SCREENSHOTS is not None:
            await self.page.wait_for_timeout(900)  # let what moves come to rest
            await self.page.screenshot(path=Path(_SCREENSHOTS) / f"{name}.png", full_page=True)

    async def audit(self) -> None:
        """Check the accessibility: labels, names, contrast, sizes, overflow."""
        found = cast("list[str]", await self.page.evaluate(AUDIT))
        assert found == [], "\n".join(found)


@contextlib.asynccontextmanager
async def visiting(
    browser: Browser,
    walk: Walk,
    *,
    viewport: dict[str, int] = PHONE,
    scheme: Literal["light", "dark"] = "light",
    locale: str = "en-GB",
    local: bool = False,
    **more: Any,
) -> AsyncGenerator[Visitor]:
    """Open a browser window; at its end the page must have logged no error and requested nothing elsewhere."""
    address = f"http://127.0.0.1:{walk.web.port}"
    context = await browser.new_context(
        viewport=cast("Any", viewport),
        color_scheme=scheme,
        locale=locale,
        device_scale_factor=2,
        has_touch=viewport is PHONE,
        extra_http_headers={} if local else _AWAY,
        reduced_motion="reduce",
        **more,
    )
    wrong: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(f"asks elsewhere: {request.url}")

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            wrong.append(message.text)

    page = await context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.on("request", note)
    page.on("console", complain)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield Visitor(walk, page, address, wrong)
    finally:
        await page.unroute_all(behavior="wait")  # a request that a test answers may be under way
        await context.close()
    assert wrong == [], "\n".join(wrong)
