"""The page of the bundled CSMS: an order that is sent, its answer, the frames, and no accessibility violation."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import cast

import pytest
from playwright.async_api import Browser, expect
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from simulator.csms.csms import DemoCsms
from simulator.csms.orders_api import csms_application
from simulator.csms.recent_frames import RecentFrames
from simulator.loopback_page import serving_page
from tests.browser.visitor import AUDIT, DESKTOP, PHONE

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

STATUS = {"timestamp": "2026-01-02T03:04:05Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}


async def answering(station: ClientConnection) -> None:
    """Accept each request of the CSMS."""
    async for frame in station:
        kind, message_id, *_ = json.loads(frame)
        if kind == 2:
            await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))


async def test_an_order_is_sent_by_its_form(browser: Browser) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    frames = RecentFrames(now)
    csms = DemoCsms(now, frames.append)
    async with (
        csms.listening(),
        serving_page(lambda: csms_application(csms, frames), 0, "page") as port,
        connect(f"{csms.url}/CP-1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station,
    ):
        await station.send(json.dumps([2, "m1", "StatusNotification", STATUS]))
        answers = asyncio.create_task(answering(station))
        for size in (DESKTOP, PHONE):
            page = await browser.new_page(viewport={"width": size["width"], "height": size["height"]})
            wrong: list[str] = []
            page.on("console", lambda message, wrong=wrong: wrong.append(message.text))
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            await page.goto(f"http://127.0.0.1:{port}/")
            await expect(page.get_by_role("cell", name="1.1 Occupied")).to_be_visible()
            await page.get_by_text("Set a variable", exact=True).click()
            await page.get_by_role("button", name="Send SetVariables").click()
            await expect(page.locator("#answer")).to_contain_text('"status": "Accepted"')
            await expect(page.locator("#frames")).to_contain_text(
                '"SetVariables",{"setVariableData":[{"attributeValue"'
            )
            await page.get_by_text("Any request", exact=True).focus()
            await page.keyboard.press("Enter")
            payload = page.get_by_label("Payload")
            await payload.fill('{"vendorId": 1}')
            await payload.press("Enter")
            await expect(page.locator("#answer")).to_contain_text("is not of type")
            assert cast("list[str]", await page.evaluate(AUDIT)) == []
            assert [text for text in wrong if "422" not in text] == []
            await page.close()
        answers.cancel()
