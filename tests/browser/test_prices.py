"""What a driver reads of prices and costs on the page, and with which key the bill can be checked (block I)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, PHONE, Visitor, visiting
from tests.csms import Csms
from tests.walk import Walk, walking
from tests.walks.steps import charge, variables

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

TARIFF = "0,45 €/kWh\nAb 4 Stunden: 0,10 €/min"
FALLBACK = variables(
    TariffCostCtrlr__TariffFallbackMessage="0.59 EUR/kWh, ad hoc",
    TariffCostCtrlr__TotalCostFallbackMessage="Your operator sends you the bill.",
)
PRICES: dict[str, Any] = {"energy_per_kwh": 9.99}


def csms_with_prices(tariff: str | None = None, total: float | None = None, form: str = "UTF8") -> Csms:
    """Return a CSMS that sends this tariff, and at the end this total."""
    csms = Csms()
    message = {"format": form, "content": tariff, "language": "de"}
    info = {"status": "Accepted"} | ({} if tariff is None else {"personalMessage": message})

    def rule(event: dict[str, Any]) -> dict[str, Any]:
        token = {"idTokenInfo": info} if "idToken" in event else {}
        return token | ({"totalCost": total} if event["eventType"] == "Ended" and total is not None else {})

    csms.answers |= {"Authorize": lambda _: {"idTokenInfo": info}, "TransactionEvent": rule}
    return csms


async def send_cost(walk: Walk, amount: float) -> None:
    """Send CostUpdated with the cost so far."""
    await walk.csms.call("CostUpdated", {"totalCost": amount, "transactionId": walk.evse.transaction_id})
    await walk.settle()


async def press_stop(driver: Visitor) -> None:
    """Press the Stop button, and wait for the end of the charge."""
    await driver.page.get_by_role("button", name="Stop").click()
    await driver.walk.until(lambda: driver.walk.csms.received("TransactionEvent")[-1]["eventType"] == "Ended")


async def reads(driver: Visitor, name: str, value: str) -> None:
    """Wait until a tile shows this value, and check that no other tile shows a cost."""
    costs = driver.page.locator(".figures div:visible", has_text="ost")
    await expect(costs).to_have_count(1)
    await expect(costs.locator("dt")).to_have_text(name)
    await expect(costs.locator("dd")).to_have_text(value)


@pytest.mark.parametrize(("viewport", "name"), [(PHONE, "phone"), (DESKTOP, "desktop")])
async def test_a_driver_reads_tariff_running_cost_and_total_as_the_csms_sends_them(
    browser: Browser, tmp_path: Path, viewport: dict[str, int], name: str
) -> None:
    """I01.FR.03, I02.FR.03, I03.FR.03; the owner's prices are never shown beside them."""
    async with (
        walking(tmp_path, csms_with_prices(TARIFF, 4.2), prices=PRICES) as walk,
        visiting(browser, walk, viewport=viewport) as driver,
    ):
        await charge(walk)
        await send_cost(walk, 1.25)
        await walk.advance(600)
        await driver.sign_in(Role.DRIVER)
        await reads(driver, "Cost so far", "€1.25")
        tariff = driver.page.locator(".figures [lang=de]")
        await expect(tariff).to_have_text(TARIFF)
        await send_cost(walk, 2.5)
        await reads(driver, "Cost so far", "€2.50")
        await driver.audit()
        await driver.picture(f"price-running-{name}")
        await press_stop(driver)
        await reads(driver, "Total cost", "€4.20")
        await expect(tariff).to_be_visible()
        await driver.audit()
        await driver.picture(f"price-total-{name}")
        await walk.unplug()
        await driver.reads("Ready to charge")
        await expect(driver.page.get_by_text("€4.20")).to_be_hidden()
        await driver.audit()


async def test_where_the_csms_sends_nothing_the_fallback_texts_are_used(browser: Browser, tmp_path: Path) -> None:
    """I04.FR.01; offline at the end it is the same text (I05.FR.02)."""
    async with walking(tmp_path, csms_with_prices(), variable=FALLBACK) as walk, visiting(browser, walk) as driver:
        await charge(walk)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("0.59 EUR/kWh, ad hoc")
        await press_stop(driver)
        await reads(driver, "Total cost", "Your operator sends you the bill.")
        await driver.audit()
        await driver.picture("price-fallback")


@pytest.mark.parametrize("form", ["UTF8", "HTML"])
async def test_a_text_of_the_csms_is_nothing_but_text(browser: Browser, tmp_path: Path, form: str) -> None:
    """Whatever it is said to be, and however long."""
    hostile = "<img src=x onerror=alert(1)><b>0.30</b><script>alert(2)</script>" + "W" * 200 + "\n" * 240
    async with walking(tmp_path, csms_with_prices(hostile, form=form)) as walk, visiting(browser, walk) as driver:
        await charge(walk)
        await driver.sign_in(Role.DRIVER)
        tariff = driver.page.locator(".figures [lang=de]")
        await expect(tariff).to_contain_text("0.30")
        assert await tariff.evaluate("(text) => text.childElementCount") == 0
        box = await tariff.bounding_box()
        assert box is not None
        assert box["height"] < 260
        await driver.audit()


async def test_what_is_switched_off_is_not_read(browser: Browser, tmp_path: Path) -> None:
    """TariffCostCtrlr.Enabled"""
    off = variables(TariffCostCtrlr__Enabled__Tariff=False, TariffCostCtrlr__Enabled__Cost=False)
    async with (
        walking(tmp_path, csms_with_prices(TARIFF), variable=off, prices=PRICES) as walk,
        visiting(browser, walk) as driver,
    ):
        await charge(walk)
        await send_cost(walk, 1.25)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("Energy")
        await expect(driver.page.locator(".figures div:visible dt")).to_have_text(["Energy", "Time"])


async def test_passers_by_read_what_it_costs_but_no_message_for_one_driver(browser: Browser, tmp_path: Path) -> None:
    page = {"visitors": "all"}
    async with (
        walking(tmp_path, csms_with_prices("Welcome, Mrs Smith"), page=page) as walk,
        visiting(browser, walk) as visitor,
    ):
        await charge(walk)
        await send_cost(walk, 1.25)
        await visitor.go()
        await reads(visitor, "Cost so far", "€1.25")
        await expect(visitor.page.get_by_text("Mrs Smith")).to_have_count(0)


@pytest.mark.parametrize(("viewport", "name"), [(PHONE, "phone"), (DESKTOP, "desktop")])
async def test_anybody_finds_the_public_key_of_the_meter_as_qr_code_and_text(
    browser: Browser, tmp_path: Path, viewport: dict[str, int], name: str
) -> None:
    """It is fetched when it is wanted, and shown in the dark as well."""
    async with walking(tmp_path) as walk, visiting(browser, walk, viewport=viewport, scheme="dark") as visitor:
        await walk.accepted()
        requested_urls: list[str] = []
        visitor.page.on("request", lambda request: requested_urls.append(request.url))
        await visitor.go()
        await visitor.reads("Ready to charge")
        assert not any("public-key" in url for url in requested_urls)
        await visitor.page.get_by_text("Public key of the meter").click()
        picture = visitor.page.get_by_role("img", name="The public key as a QR code")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
        key = await walk.parts.signer(1).prepare()
        await visitor.reads(key.spki.hex())
        await visitor.audit()
        await visitor.picture(f"public-key-{name}")


async def test_a_meter_that_signs_nothing_has_no_key_to_show(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[{"signing": "none"}]) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await visitor.go()
        await visitor.reads("Ready to charge")
        await expect(visitor.page.get_by_text("Public key of the meter")).to_be_hidden()
