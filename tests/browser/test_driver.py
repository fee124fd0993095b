"""What a driver does with the page: sees whether it is free, why it is this current, starts and stops."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.async_api import Browser, expect

from simulator.vehicle import VehicleModel
from station.billing.price import PeriodPrice, PriceList
from station.billing.transaction_log import TransactionQuery
from station.core.light_patterns import LightReason
from station.interfaces.languages import catalogue
from station.load.shared_limits import LimitRequest, LimitSetter
from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, Visitor, visiting
from tests.patience import until
from tests.walk import CARD, Walk, walking
from tests.walks.commissioned import commission
from tests.walks.house import GRID, House
from tests.walks.reservations import reserve
from tests.walks.visit import visiting as api_of

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

READER = [{"type": "simulated"}]


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
    async with walking(tmp_path, reader=READER) as walk, visiting(browser, walk) as visitor:
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


async def test_anybody_sees_until_when_an_evse_is_reserved_also_offline(browser: Browser, tmp_path: Path) -> None:
    """The light says that the station is offline; the page says that another card would be refused."""
    async with walking(tmp_path, reader=READER) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        assert await reserve(walk, evseId=1) == "Accepted"
        await visitor.go()
        await visitor.reads("If the reservation is yours, present your card.")
        walk.csms.http_status = 503
        walk.csms.drop()
        await walk.until(lambda: walk.parts.light.station.reason is LightReason.OFFLINE)
        await walk.advance(10)
        await visitor.go()
        await visitor.reads("If the reservation is yours, present your card.")


async def test_before_it_is_commissioned_it_is_not_announced_as_free(browser: Browser, tmp_path: Path) -> None:
    """A plug alone begins nothing, and the page says whose turn it is."""
    async with (
        walking(tmp_path, station={"identity": "BORNE-TEST", "commissioning": "required"}) as walk,
        visiting(browser, walk) as visitor,
    ):
        await walk.accepted()
        await walk.plug()
        await visitor.go()
        await visitor.reads("Inactive")
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
        await driver.reads("of the 40 A that its grid connection can carry")
        await driver.reads("kWh")
        await expect(driver.page.locator("#chart canvas")).to_be_visible()
        await expect(driver.page.locator("#chart-limit")).to_have_text("40 A")
        await expect(driver.page.locator("#chart-car")).to_have_text(f"{walk.evse.offered_a:.3g} A")
        await driver.page.get_by_text("All limits").click()
        await driver.reads("Grid connection of the house")
        await driver.audit()
        await driver.picture("driver-charging")
        await driver.page.get_by_role("button", name="Stop").click()
        await until(lambda: walk.evse.state.authorization is None)
        await house.live(10)
        await driver.reads("Charging stopped")


async def test_a_pause_is_explained_as_one_in_the_language_of_the_page(browser: Browser, tmp_path: Path) -> None:
    words = catalogue("fr")
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        await driver.sign_in(Role.DRIVER)
        await driver.page.get_by_role("link", name="Français").click()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.parts.shared_limits.pause()
        await driver.reads(words["why.pause"])
        await driver.page.get_by_text(words["charge.all-limits"]).click()
        await driver.reads(words["limit.pause"])
        await expect(driver.page.locator("[data-limits]")).not_to_contain_text("paused")


async def test_a_limit_that_the_page_has_no_text_for_is_explained_in_english(browser: Browser, tmp_path: Path) -> None:
    """A source of a limit that is new, or of a station that is newer than the page."""
    words = catalogue("fr")
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        texts = {key: text for key, text in words.items() if key not in {"why.user", "limit.user"}}
        await driver.page.route("**/words/fr.json", lambda route: route.fulfill(json=texts))
        await driver.sign_in(Role.DRIVER)
        await driver.page.get_by_role("link", name="Français").click()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.parts.shared_limits.set_limit(LimitSetter.USER, LimitRequest(current_a=10.0, for_s=None))
        await driver.reads(words["why.title"].replace("{current}", "10 A"))
        await expect(driver.page.locator("[data-why-text]")).to_have_text("The owner's limit.")
        await driver.page.get_by_text(words["charge.all-limits"]).click()
        await expect(driver.page.locator("[data-limits]")).to_contain_text("The owner's limit")
        await expect(driver.page.locator("[data-limits]")).to_contain_text(words["limit.hardware"])


async def test_a_driver_starts_with_the_number_of_a_card(browser: Browser, tmp_path: Path) -> None:
    """As if it was held to the reader; the device remembers it."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        await walk.plug()
        await driver.sign_in(Role.DRIVER)
        await press_start(driver)
        await driver.page.get_by_label("Card number").fill(CARD.value)
        await driver.audit()
        await driver.picture("driver-start")
        await driver.page.get_by_role("dialog").get_by_role("button", name="Start").click()
        await driver.reads("Welcome!")
        await walk.charging()
        await driver.reads("Charging")


async def press_start(driver: Visitor) -> None:
    """Press the button that starts a charge."""
    await driver.page.get_by_role("button", name="Start").first.click()


async def test_after_stop_the_page_says_how_to_go_on_and_keeps_the_figures_until_the_car_leaves(
    browser: Browser, tmp_path: Path
) -> None:
    """Energy, time and cost of what was charged; they end with the car, and a full car is still called that."""
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk) as driver,
        visiting(browser, walk, locale="fr-FR", viewport=DESKTOP) as french,
    ):
        await walk.accepted()
        await walk.parts.prices.change(PriceList(energy_per_kwh=Decimal("0.25")))
        await walk.plug(phases=3, max_current_a=16)
        await walk.present()
        await walk.advance(600)
        await driver.sign_in(Role.DRIVER)
        await driver.page.get_by_role("button", name="Stop").click()
        await until(lambda: walk.evse.state.authorization is None)
        await walk.advance(30)
        await driver.reads("Charging stopped")
        await driver.reads("Unplug the car, or present the card to charge again.")
        await expect(driver.page.get_by_role("button", name="Stop")).to_be_hidden()
        await expect(driver.page.get_by_role("button", name="Start").first).to_be_visible()
        (charged,) = (await walk.parts.transactions.find(TransactionQuery())).transactions
        assert charged.energy_wh is not None
        assert charged.cost is not None
        energy = driver.page.locator("[data-energy]").first
        await expect(energy).to_have_text(f"{charged.energy_wh / 1000:.2f}\u00a0kWh")
        await expect(driver.page.locator("[data-time]").first).to_have_text("10 min")
        cost = driver.page.locator("[data-cost]").first
        await expect(cost).to_be_visible()
        await expect(cost).to_have_text(f"€{charged.cost.amount}")
        await driver.audit()
        await driver.picture("driver-stopped")
        await french.go()
        await french.reads("Recharge arrêtée")
        await french.reads("Débranchez la voiture, ou présentez la carte pour reprendre.")
        await french.picture("visitor-stopped-fr")
        await walk.advance(3600)
        await expect(energy).to_have_text(f"{charged.energy_wh / 1000:.2f}\u00a0kWh")
        await walk.unplug()
        await walk.advance(90)
        await driver.reads("Ready to charge")
        await expect(driver.page.locator("[data-figures]").first).to_be_hidden()


async def test_a_start_without_a_car_counts_down_and_can_be_cancelled(browser: Browser, tmp_path: Path) -> None:
    """Until EVConnectionTimeOut; to cancel takes the authorization back."""
    async with (
        walking(tmp_path) as walk,
        visiting(browser, walk) as driver,
        visiting(browser, walk, locale="de-DE", viewport=DESKTOP) as german,
    ):
        await walk.accepted()
        await driver.sign_in(Role.DRIVER)
        await walk.present()
        await driver.reads("Plug in your car")
        await driver.reads("120 s")
        await walk.advance(20)
        await driver.reads("100 s")
        await driver.audit()
        await driver.picture("driver-plug-in")
        await german.go()
        await german.reads(catalogue("de")["state.plug-in"])
        await german.reads("100 s")
        await expect(german.page.get_by_role("button", name="Abbrechen")).to_be_hidden()
        await german.picture("visitor-plug-in-de")
        await driver.page.get_by_role("button", name="Cancel").first.click()
        await driver.reads("Ready to charge")
        assert walk.evse.state.authorization is None
        await walk.plug()
        await walk.advance(5)
        assert sum(walk.board.currents_a) == 0, "it was cancelled"


async def test_the_owners_price_is_shown_in_the_language_of_the_page_with_its_free_minutes(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        walking(tmp_path) as walk,
        visiting(browser, walk) as english,
        visiting(browser, walk, locale="fr-FR", viewport=DESKTOP) as french,
    ):
        await walk.accepted()
        period = (PeriodPrice("HC", Decimal("0.1812")),)
        await walk.parts.prices.change(
            PriceList("EUR", Decimal("0.25"), period, Decimal(1), Decimal(6), idle_after_s=900)
        )
        await walk.plug()
        await walk.present()
        await walk.charging()
        for visitor, text in ((english, IN_ENGLISH), (french, IN_FRENCH)):
            await visitor.go()
            await expect(visitor.page.locator("[data-tariff]").first).to_have_text(text, use_inner_text=True)
            await visitor.audit()
        await english.picture("visitor-price")
        await french.picture("visitor-price-fr")


IN_ENGLISH = (
    "€0.25 per kWh (HC €0.1812) + €1.00 per hour"
    " + €6.00 per hour while the car is plugged in but not charging (the first 15 min are free)"
)
IN_FRENCH = "0,25 € par kWh (HC 0,1812 €) + 1,00 € par heure + " + catalogue("fr")["tariff.idle-after"].format(
    price="6,00 €", minutes="15"
)


async def test_the_owner_activates_the_station_where_the_page_says_that_it_is_not(
    browser: Browser, tmp_path: Path
) -> None:
    """And nobody else is offered that."""
    required = {"identity": "BORNE-TEST", "commissioning": "required"}
    async with (
        walking(tmp_path, station=required) as walk,
        api_of(walk) as api,
        visiting(browser, walk) as owner,
        visiting(browser, walk) as driver,
    ):
        await walk.accepted()
        await commission(api)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("The owner has to activate the station first.")
        await expect(driver.page.get_by_role("button", name="Activate the station")).to_be_hidden()
        await owner.sign_in(Role.OWNER)
        await owner.reads("Not activated yet")
        await owner.audit()
        await owner.picture("owner-not-activated")
        await owner.page.get_by_role("button", name="Activate the station").click()
        await owner.reads("Ready to charge")
        assert walk.parts.activation.activated


async def test_the_page_is_as_good_in_dark_colours_and_on_a_large_screen(browser: Browser, tmp_path: Path) -> None:
    """Contrast is computed in both schemes."""
    async with (
        walking(tmp_path, grid=GRID) as walk,
        visiting(browser, walk, viewport=DESKTOP, scheme="dark") as dark,
        visiting(browser, walk, viewport=DESKTOP) as bright,
    ):
        await busy_evening(walk)
        for visitor, name in ((dark, "dark"), (bright, "bright")):
            await visitor.sign_in(Role.DRIVER)
            await visitor.reads(f"Why {walk.evse.offered_a:.3g} A?")
            await visitor.page.get_by_text("All limits").click()
            await visitor.audit()
            await visitor.picture(f"driver-desktop-{name}")


async def test_each_of_two_charging_points_is_drawn_against_its_own_limit(browser: Browser, tmp_path: Path) -> None:
    """Together they have no limit that a car could be compared with; beside a house they have: the connection's."""
    evses = [{"id": 1, "max_current_a": 16}, {"id": 2, "phases": 1, "max_current_a": 10}]
    async with walking(tmp_path, evse=evses) as walk, visiting(browser, walk, viewport=DESKTOP) as driver:
        await walk.accepted()
        for evse_id, board in walk.world.boards.items():
            board.plug(VehicleModel(phases=3))
            walk.parts.station.present_token(replace(CARD, value=f"04A3B2C1D5E68{evse_id}"), evse_id)
        await walk.charging()
        await walk.advance(60)
        await driver.sign_in(Role.DRIVER)
        chart = driver.page.locator("#chart-card")
        await expect(chart.get_by_role("heading")).to_have_text("Charging point 1")
        await expect(chart.locator("#chart-car")).to_have_text("16\u00a0A")
        await expect(chart.locator("#chart-limit")).to_have_text("16\u00a0A")
        await driver.picture("driver-two-points")
        await chart.get_by_role("button", name="2", exact=True).click()
        await expect(chart.get_by_role("heading")).to_have_text("Charging point 2")
        await expect(chart.locator("#chart-car")).to_have_text("10\u00a0A")
        await expect(chart.locator("#chart-limit")).to_have_text("10\u00a0A")
        await expect(chart.locator("#chart-phases")).to_be_hidden()
        await driver.audit()


async def test_the_house_is_what_all_cars_leave(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID, evse=[{"id": 1}, {"id": 2}]) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        house = House(walk)
        house.loads_a = (9.0, 4.0, 2.0)
        await house.live(60)
        for evse_id, board in walk.world.boards.items():
            board.plug(VehicleModel(phases=3))
            walk.parts.station.present_token(replace(CARD, value=f"04A3B2C1D5E68{evse_id}"), evse_id)
        await house.live(200)
        await driver.sign_in(Role.DRIVER)
        await driver.reads("The house alone uses 9")
        await expect(driver.page.locator("#chart-house")).to_have_text("9\u00a0A")
        await driver.picture("driver-two-points-house")
        await driver.page.locator("#chart-points").get_by_role("button", name="2", exact=True).click()
        await expect(driver.page.locator("#chart-house")).to_be_hidden()
        await driver.audit()


async def test_a_page_that_does_not_exist_leads_back_to_the_first_one(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path) as walk,
        visiting(browser, walk) as visitor,
        visiting(browser, walk, locale="nl-NL", viewport=DESKTOP) as dutch,
    ):
        await walk.accepted()
        for person, title in ((visitor, "Page not found"), (dutch, "Pagina niet gevonden")):
            await person.go("/nowhere")
            await expect(person.page.get_by_role("heading", name=title)).to_be_visible()
            await person.audit()
            person.wrong.clear()  # the browser notes the 404 itself
        await visitor.picture("not-found")
        await dutch.picture("not-found-nl")
        await visitor.page.get_by_role("link", name="To the charging page").click()
        await visitor.reads("Ready to charge")


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
