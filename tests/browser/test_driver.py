"""What a driver does with the page: sees whether it is free, why it is this current, starts and stops."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, expect

from station.access.accounts import Role
from tests.browser.visitor import DESK, Visitor, visiting
from tests.walk import CARD, Walk, walking
from tests.walks.house import GRID, House
from tests.walks.station_process import until


async def busy_evening(walk: Walk) -> House:
    """A vehicle charges while the house cooks: a limit that binds, and a past to look at."""
    await walk.accepted()
    house = House(walk)
    house.loads_a = (9.0, 4.0, 2.0)
    await house.live(60)
    await walk.plug(phases=3, max_current_a=16)
    await walk.present()
    for load_a, seconds in ((9.0, 400), (21.0, 120), (30.0, 200), (27.0, 200), (24.0, 100), (31.0, 100)):
        house.loads_a = (load_a, load_a / 2, 3.0)
        await house.live(seconds)
    return house


async def test_anybody_sees_on_a_phone_whether_the_station_is_free(browser: Browser, tmp_path: Path) -> None:
    """And nothing of the house; the page follows what happens by itself."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await visitor.go()
        await visitor.reads("Ready to charge")
        await visitor.reads("Hold your card to the reader.")
        await visitor.audit()
        await visitor.picture("visitor-free")
        await expect(visitor.page.get_by_role("button", name="Start")).to_be_hidden()
        await expect(visitor.page.locator("#chart-card")).to_be_hidden()
        await walk.plug()
        await visitor.reads("Plugged in")


async def test_before_it_is_commissioned_nobody_is_told_that_it_is_free(browser: Browser, tmp_path: Path) -> None:
    """A plug alone begins nothing, and the page says whose turn it is."""
    async with (
        walking(tmp_path, station={"identity": "BORNE-TEST", "commissioning": "required"}) as walk,
        visiting(browser, walk) as visitor,
    ):
        await walk.accepted()
        await walk.plug()
        await visitor.go()
        await visitor.reads("Not yet")
        await visitor.reads("An installer has to set the station up first.")
        await expect(visitor.page.locator("[data-why]").first).to_be_hidden()
        await expect(visitor.page.locator("[data-figures]").first).to_be_hidden()
        await visitor.audit()


async def test_a_driver_reads_why_the_car_gets_so_little_and_stops(browser: Browser, tmp_path: Path) -> None:
    """The binding limit in plain words, power, energy and time; then the button."""
    async with walking(tmp_path, grid=GRID) as walk, visiting(browser, walk) as driver:
        house = await busy_evening(walk)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("Charging")
        await driver.reads(f"Why {walk.evse.offered_a:.3g} A?")
        await driver.reads("of the 40 A that its connection carries")
        await driver.reads("kWh")
        await expect(driver.page.locator("#chart canvas")).to_be_visible()
        await expect(driver.page.locator("#chart-limit")).to_have_text("40 A")
        await expect(driver.page.locator("#chart-car")).to_have_text(f"{walk.evse.offered_a:.3g} A")
        await driver.page.get_by_text("All limits").click()
        await driver.reads("Connection of the house")
        await driver.audit()
        await driver.picture("driver-charging")
        await driver.page.get_by_role("button", name="Stop").click()
        await until(lambda: walk.evse.state.authorization is None)
        await house.live(10)
        await driver.reads("Charge resting")


async def test_a_driver_starts_with_the_number_of_a_card(browser: Browser, tmp_path: Path) -> None:
    """As if it was held to the reader; the device remembers it."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        await walk.plug()
        await driver.sign_in(Role.DRIVER)
        await start(driver)
        await driver.page.get_by_label("Card number").fill(CARD.value)
        await driver.audit()
        await driver.picture("driver-start")
        await driver.page.get_by_role("dialog").get_by_role("button", name="Start").click()
        await driver.reads("Welcome!")
        await walk.charging()
        await driver.reads("Charging")


async def start(driver: Visitor) -> None:
    """Press the button that begins."""
    await driver.page.get_by_role("button", name="Start").first.click()


async def test_the_page_is_as_good_in_the_dark_and_on_a_desk(browser: Browser, tmp_path: Path) -> None:
    """Contrast is computed in both schemes."""
    async with (
        walking(tmp_path, grid=GRID) as walk,
        visiting(browser, walk, viewport=DESK, scheme="dark") as dark,
        visiting(browser, walk, viewport=DESK) as bright,
    ):
        await busy_evening(walk)
        for visitor, name in ((dark, "dark"), (bright, "bright")):
            await visitor.sign_in(Role.DRIVER)
            await visitor.reads(f"Why {walk.evse.offered_a:.3g} A?")
            await visitor.page.get_by_text("All limits").click()
            await visitor.audit()
            await visitor.picture(f"driver-desk-{name}")


async def test_a_chart_without_a_house_meter_does_not_speak_of_the_house(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.advance(60)
        await driver.sign_in(Role.DRIVER)
        await expect(driver.page.locator("#chart canvas")).to_be_visible()
        await expect(driver.page.locator("#chart-title")).to_have_text("Car")
        await driver.picture("driver-chart-alone")
