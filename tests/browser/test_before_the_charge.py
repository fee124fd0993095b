"""What a driver reads before a charge: its price, how to start, and what to do after a card that was not accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Locator, expect

from station.charging.tokens.admission import TokenOutcome
from station.interfaces.languages import catalogue
from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, Visitor, visiting
from tests.csms import Csms
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered, walking
from tests.walks.steps import answering, variables
from tests.walks.visit import visiting as api_of

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

READER: Final = [{"type": "simulated"}]
PRICES: Final[dict[str, Any]] = {"energy_per_kwh": 0.3, "time_per_hour": 1}
FALLBACK: Final = variables(TariffCostCtrlr__TariffFallbackMessage="0.59 EUR/kWh, ad hoc")
NO_TARIFF: Final = variables(TariffCostCtrlr__Enabled__Tariff=False)
SMALL: Final = {"width": 360, "height": 800}


def tariff_of(visitor: Visitor) -> Locator:
    """Return the element that shows the price."""
    return visitor.page.locator("[data-tariff]").first


async def price_above_start(driver: Visitor) -> bool:
    """Whether the price is above the Start button."""
    price = await tariff_of(driver).bounding_box()
    start = await driver.page.get_by_role("button", name="Start").first.bounding_box()
    return price is not None and start is not None and price["y"] + price["height"] <= start["y"]


async def test_everybody_reads_the_owners_price_before_the_charge(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path, prices=PRICES, reader=READER) as walk,
        visiting(browser, walk, viewport=SMALL) as visitor,
        visiting(browser, walk, locale="de-DE", viewport=DESKTOP) as german,
        visiting(browser, walk) as driver,
    ):
        await walk.accepted()
        await visitor.go()
        await expect(tariff_of(visitor)).to_have_text("€0.30 per kWh + €1.00 per hour")
        await german.go()
        await expect(tariff_of(german)).to_have_text("0,30\u00a0€ pro kWh + 1,00\u00a0€ pro Stunde")
        await driver.sign_in(Role.DRIVER)
        await expect(tariff_of(driver)).to_be_visible()
        assert await price_above_start(driver)
        for person, name in ((visitor, "visitor"), (german, "german"), (driver, "driver")):
            await person.audit()
            await person.picture(f"price-before-{name}")
        await walk.plug()
        await visitor.reads("Plugged in")
        await expect(tariff_of(visitor)).to_be_visible()


async def test_everybody_reads_the_tariff_of_the_csms_before_the_charge(browser: Browser, tmp_path: Path) -> None:
    """TariffFallbackMessage (I04.FR.01) has precedence over the owner's prices."""
    async with (
        walking(tmp_path, prices=PRICES, variable=FALLBACK) as walk,
        visiting(browser, walk) as visitor,
    ):
        await walk.accepted()
        await visitor.go()
        await expect(tariff_of(visitor)).to_have_text("0.59 EUR/kWh, ad hoc")


@pytest.mark.parametrize("tables", [{}, {"prices": PRICES, "variable": NO_TARIFF}])
async def test_without_a_price_or_with_tariffs_switched_off_no_price_is_read(
    browser: Browser, tmp_path: Path, tables: dict[str, Any]
) -> None:
    async with walking(tmp_path, **tables) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await visitor.go()
        await visitor.reads("Ready to charge")
        await expect(tariff_of(visitor)).to_be_hidden()


# A card that is not accepted


async def present_unknown_card(walk: Walk) -> None:
    """Plug in, and present a card that the CSMS does not know."""
    walk.csms.answers["Authorize"] = answering("Invalid")
    await walk.plug()
    assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
    await walk.advance(5)


async def test_after_a_refused_card_another_card_or_the_button_starts_the_charge(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk, viewport=SMALL) as visitor,
        visiting(browser, walk) as owner,
    ):
        await walk.accepted()
        await present_unknown_card(walk)
        await visitor.go()
        await visitor.reads("Account not accepted")
        await visitor.reads("Present another card, or put the connector back in its holder.")
        await expect(visitor.page.get_by_role("button", name="Start")).to_be_hidden()
        await owner.sign_in(Role.OWNER)
        await owner.reads("Present another card, or press Start.")
        for person, name in ((visitor, "visitor"), (owner, "owner")):
            await person.audit()
            await person.picture(f"refused-{name}")
        walk.csms.answers["Authorize"] = answering("Accepted")
        await owner.page.get_by_role("button", name="Start").first.click()
        await owner.page.get_by_label("Card number").fill(CARD.value)
        await owner.page.get_by_role("dialog").get_by_role("button", name="Start").click()
        await walk.charging()
        await owner.reads("Charging")


async def test_who_must_fetch_the_cable_of_a_withdrawn_card_is_not_asked_for_another(
    browser: Browser, tmp_path: Path
) -> None:
    """E05.FR.10: the cable is kept for its holder."""
    async with walking(tmp_path, reader=READER) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        walk.csms.answers["TransactionEvent"] = answering("Invalid")
        await driver.sign_in(Role.DRIVER)
        await walk.plug()
        await walk.present()
        await driver.reads("Account not accepted")
        await driver.reads("Please put the connector back in its holder.")
        await expect(driver.page.get_by_role("button", name="Start")).to_be_hidden()


async def test_a_card_that_nobody_can_be_asked_about_cannot_be_checked_now(browser: Browser, tmp_path: Path) -> None:
    """Neither page nor display nor API say that it is refused; the button stays."""
    async with (
        walking(tmp_path, reader=READER) as walk,
        api_of(walk) as api,
        visiting(browser, walk) as driver,
        visiting(browser, walk, locale="fr-FR", viewport=SMALL) as french,
        visiting(browser, walk, viewport={"width": 800, "height": 480}) as display,
    ):
        await walk.accepted()
        await driver.sign_in(Role.DRIVER)
        await french.go()
        await display.go("/display")
        walk.stack.cut_network()
        await walk.plug()
        await walk.advance(2)
        answer = await api.post("/api/evses/1/token", {"id_token": OTHER_CARD.value, "type": OTHER_CARD.type})
        assert answer["outcome"] == "not-checked"
        await driver.reads("Card cannot be checked now")
        await driver.reads("Known cards may still charge")
        await french.reads(catalogue("fr")["state.card-not-checked.text"])
        await display.reads("It cannot be checked now: no connection to the operator.")
        await expect(driver.page.get_by_role("button", name="Start").first).to_be_visible()
        for person, name in ((driver, "driver"), (french, "french"), (display, "display")):
            await person.audit()
            await person.picture(f"not-checked-{name}")
        await walk.advance(15)
        await driver.reads("Offline")
        await expect(driver.page.get_by_role("button", name="Start").first).to_be_visible()


# How to start, as page and display say it alike


@pytest.mark.parametrize(
    ("has_csms", "reader", "on_page", "on_display"),
    [
        (True, True, "Hold your card to the reader.", "Present your card."),
        (False, True, "Hold your card to the reader.", "Present your card."),
        (True, False, "Start with your operator’s app.", "Start with your app."),
        (False, False, "Sign in on this page to start.", "Start on the station’s page."),
    ],
)
async def test_page_and_display_name_the_same_way_to_start(
    browser: Browser, tmp_path: Path, has_csms: bool, reader: bool, on_page: str, on_display: str
) -> None:
    tables: dict[str, Any] = {"reader": READER} if reader else {}
    station = walking(tmp_path, **tables) if has_csms else powered(configuration(tmp_path, None, **tables), Csms())
    async with (
        station as walk,
        visiting(browser, walk) as visitor,
        visiting(browser, walk, viewport={"width": 800, "height": 480}) as display,
    ):
        await visitor.go()
        await visitor.reads(on_page)
        await display.go("/display")
        await display.reads(on_display)


async def test_a_reservation_without_a_csms_names_the_card_on_page_and_display(
    browser: Browser, tmp_path: Path
) -> None:
    """The owner reserves for a card, with which alone the charge can start."""
    async with (
        powered(configuration(tmp_path, None), Csms()) as walk,
        api_of(walk) as api,
        visiting(browser, walk) as visitor,
        visiting(browser, walk, viewport={"width": 800, "height": 480}) as display,
    ):
        card = await walk.parts.cards.add(CARD, "Anna")
        await api.post("/api/evses/1/reservation", {"card": card, "for_s": 7200}, status=201)
        await visitor.go()
        await visitor.reads("If the reservation is yours, present your card.")
        await display.go("/display")
        await display.reads("Present your card.")
