"""The page of the API description: reading it, and trying requests out with the session of the page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, PASSWORD, PHONE, Visitor, visiting
from tests.walk import walking

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

_LONG_MS = 60_000


async def _unfolded_operation(visitor: Visitor, group: str, name: str) -> Locator:
    """Unfold an operation of the viewer, and return it."""
    await visitor.page.locator(f"#operations-tag-{group}").click(timeout=_LONG_MS)
    operation = visitor.page.locator(f"#operations-{group}-{name}")
    await operation.locator(".opblock-summary-control").click()
    return operation


async def _try_out(operation: Locator) -> None:
    """Press the button that enables the form of a request."""
    await operation.get_by_role("button", name="Try it out").click()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_a_visitor_reads_what_fields_mean_and_tries_out_a_request(
    tmp_path: Path, browser: Browser, viewport: dict[str, int]
) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk, viewport=viewport) as visitor:
        await walk.accepted()
        await visitor.go("/docs")
        name = "phone" if viewport is PHONE else "desktop"
        operation = await _unfolded_operation(visitor, "station", "read_status")
        await visitor.picture(f"api-{name}")
        await _try_out(operation)
        await operation.get_by_role("button", name="Execute").click()
        await expect(operation.locator(".live-responses-table")).to_contain_text('"identity": "BORNE-TEST"')
        stream = visitor.page.locator("#operations-station-listen_to_events")
        await stream.locator(".opblock-summary-control").click()
        await expect(stream).to_contain_text("text/event-stream")
        await expect(stream.get_by_role("button", name="Try it out")).to_have_count(0)
        await visitor.picture(f"api-response-{name}")


async def test_the_owner_tries_out_a_change_whose_example_is_filled_in(tmp_path: Path, browser: Browser) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk, viewport=DESKTOP) as visitor:
        await walk.accepted()
        await visitor.sign_in(Role.OWNER, to="/api/docs")
        operation = await _unfolded_operation(visitor, "station", "change_availability")
        await _try_out(operation)
        await operation.get_by_placeholder("evse_id").fill("1")
        await expect(operation.locator("textarea")).to_have_value('{\n  "operative": false\n}')
        await operation.get_by_role("button", name="Execute").click()
        await expect(operation.locator(".live-responses-table")).to_contain_text('"accepted": true')
        await visitor.picture("api-change")
        await walk.settle()
        assert walk.evse.state.operative is False


async def test_a_request_is_tried_out_with_an_access_token(tmp_path: Path, browser: Browser) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk, viewport=DESKTOP, scheme="dark") as visitor:
        await walk.accepted()
        access = walk.parts.access
        await access.accounts.set_password(Role.OWNER, PASSWORD)
        secret = await access.create_token("script", Role.INSTALLER, timedelta(days=1), maker=None)
        await visitor.go("/api/docs")
        await visitor.page.locator(".auth-wrapper .authorize").first.click(timeout=_LONG_MS)
        dialog = visitor.page.locator(".modal-ux")
        await dialog.get_by_label("auth-bearer-value").fill(secret)
        await (
            dialog.get_by_role("button", name="Apply given OAuth2 credentials")
            .or_(dialog.get_by_role("button", name="Apply credentials"))
            .last.click()
        )
        await visitor.picture("api-authorize")
        await dialog.get_by_role("button", name="Close").last.click()
        operation = await _unfolded_operation(visitor, "station", "list_variables")
        await _try_out(operation)
        await operation.get_by_role("button", name="Execute").click()
        await expect(operation.locator(".live-responses-table")).to_contain_text("HeartbeatInterval")
