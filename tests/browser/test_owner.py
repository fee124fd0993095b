"""What an owner does with the page: looks back, adds a card, plans, prices, limits, hands out codes."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from energy.tariff import ChargePlan, TariffMode
from station.billing.price import PriceList
from station.charging.tokens.admission import TokenOutcome
from station.configuration.installation_file import Configuration
from station.core.clock_settings import ClockSettings
from station.security.access.accounts import Role
from station.storage.unreadable_rows import RowAddress
from tests.browser.visitor import DESKTOP, Visitor, visiting
from tests.csms import Csms
from tests.walk import CARD, OTHER_CARD, Walk, configuration, mid_month, powered, walking
from tests.walks.steps import listed, token

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


def configuration_without_csms(tmp_path: Path) -> Configuration:
    """Return the configuration of a station without a CSMS."""
    return configuration(tmp_path, None)


async def open_tab(visitor: Visitor, name: str) -> None:
    """Go to a tab by its name."""
    await visitor.page.get_by_role("tab", name=name).click()


async def run_charge(walk: Walk, minutes: int) -> None:
    """Run a whole charge."""
    await walk.plug()
    await walk.present()
    await walk.advance(minutes * 60)
    await walk.present()
    await walk.advance(5)
    await walk.unplug()
    await walk.advance(5)


async def test_an_owner_adds_a_card_by_presenting_it(browser: Browser, tmp_path: Path) -> None:
    """On a station that stands alone; afterwards it charges, until it is removed."""
    async with powered(configuration_without_csms(tmp_path), Csms()) as walk, visiting(browser, walk) as owner:
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Cards")
        await owner.reads("No cards yet.")
        await owner.page.get_by_label("Whose card is it?").fill("Anna")
        await owner.page.get_by_role("button", name="Add a card").click()
        await owner.reads("Now hold the card to the reader.")
        await owner.audit()
        assert await walk.present(OTHER_CARD) is TokenOutcome.LEARNED
        await owner.reads("The card was added.")
        await owner.reads("Anna")
        await owner.audit()
        await owner.picture("owner-cards")
        assert await walk.present(OTHER_CARD) is TokenOutcome.AUTHORIZED
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        owner.page.on("dialog", lambda dialog: dialog.accept())
        await owner.page.get_by_role("button", name="Delete: Anna").click()
        await owner.reads("No cards yet.")
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        changes = [event.info for event in await walk.parts.security_events.entries() if event.type == "LocalChange"]
        assert changes == [
            "owner: POST /api/cards/learning, from 127.0.0.1",
            "owner: DELETE /api/cards/{name}, from 127.0.0.1",
        ]


async def test_an_owner_reads_the_list_of_the_operator(browser: Browser, tmp_path: Path) -> None:
    """Read-only, with the names of known cards."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await walk.parts.cards.add(CARD, "Anna")
        operator_tokens = [{"idToken": f"05000000000{number:03}", "type": "ISO14443"} for number in range(120)]
        update = {
            "updateType": "Full",
            "versionNumber": 3,
            "localAuthorizationList": [
                listed(token(), cacheExpiryDateTime="2030-05-01T10:00:00Z"),
                listed(token(OTHER_CARD), "Blocked"),
                listed(operator_tokens[0], cacheExpiryDateTime="2020-05-01T10:00:00Z"),
                *map(listed, operator_tokens[1:]),
            ],
        }
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Cards")
        await owner.reads("Anna")
        await expect(owner.page.locator("#list")).to_be_hidden()
        assert (await walk.csms.call("SendLocalList", update))["status"] == "Accepted"
        await owner.go("/owner")
        await open_tab(owner, "Cards")
        await owner.reads("The operator’s list: 122")
        items = owner.page.locator("#list-items li")
        await expect(items).to_have_count(50)
        await expect(items.filter(has_text="Anna")).to_contain_text("until 1 May 2030")
        await expect(items.filter(has_text="Anna")).to_contain_text("may charge")
        await expect(items.filter(has_text="04ff")).to_contain_text("may not charge")
        await expect(items.filter(has_text="0500…00")).to_contain_text("may not charge")
        await owner.audit()
        await owner.picture("owner-local-list")
        for item_count, remaining in ((100, 72), (122, 22)):
            await owner.page.get_by_role("button", name=f"and {remaining} more").click()
            await expect(items).to_have_count(item_count)
        await expect(owner.page.locator("#list").get_by_role("button")).to_have_count(0)
        await walk.set_variable("LocalAuthListCtrlr", "Enabled", "false")
        await owner.go("/owner")
        await open_tab(owner, "Cards")
        await owner.reads("Anna")
        await expect(owner.page.locator("#list")).to_be_hidden()


async def test_an_owner_reserves_for_a_card_and_cancels(browser: Browser, tmp_path: Path) -> None:
    """A visitor sees until when, and not for whom."""
    async with powered(configuration_without_csms(tmp_path), Csms()) as walk, visiting(browser, walk) as owner:
        await walk.parts.cards.add(OTHER_CARD, "Anna")
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Cards")
        await owner.reads("No reservations.")
        await owner.page.get_by_label("For which card?").select_option("Anna")
        await owner.page.get_by_role("button", name="Reserve", exact=True).click()
        await expect(owner.page.locator("#reservation-items strong")).to_have_text("Anna")
        await owner.audit()
        await owner.picture("owner-reservations")
        assert await walk.present(CARD) is TokenOutcome.REJECTED
        await walk.advance(10)  # the light has shown the rejection
        await owner.page.get_by_role("link", name="Charge", exact=True).click()
        await owner.reads("If the reservation is yours, present your card.")
        assert "Anna" not in await owner.page.inner_text("main")
        await owner.audit()
        await owner.page.get_by_role("link", name="Owner", exact=True).click()
        await open_tab(owner, "Cards")
        await owner.page.get_by_role("button", name="Cancel the reservation: Anna").click()
        await owner.reads("No reservations.")
        assert walk.parts.reservations.pending == ()


async def test_a_driver_with_an_account_starts_without_a_card_where_there_is_no_csms(
    browser: Browser, tmp_path: Path
) -> None:
    """The account is enough."""
    async with powered(configuration_without_csms(tmp_path), Csms()) as walk, visiting(browser, walk) as driver:
        await walk.plug()
        await driver.sign_in(Role.DRIVER)
        await driver.page.get_by_role("button", name="Start").first.click()
        await driver.reads("Welcome!")
        await walk.charging()
        await driver.reads("Charging")


async def test_an_owner_looks_back_at_what_was_charged(browser: Browser, tmp_path: Path) -> None:
    """The newest first, with energy, time and cost; and takes the signed record along."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await walk.parts.prices.change(PriceList(energy_per_kwh=_quarter()))
        for minutes in (30, 60):
            await run_charge(walk, minutes)
        await owner.sign_in(Role.OWNER, to="/owner")
        await owner.reads("Charges: 2")
        await owner.reads("€")
        items = owner.page.locator("#history-items li")
        await expect(items).to_have_count(2)
        await owner.audit()
        await owner.picture("owner-history")
        receipts = items.get_by_role("link", name="Receipt (PDF)")
        await expect(receipts).to_have_count(2)
        assert (await owner.download(receipts.first)).startswith(b"%PDF")
        await owner.page.get_by_label("To", exact=True).fill("2000-01-01")
        await owner.reads("No charges in this period.")


async def test_an_owner_takes_the_report_of_a_month_along(browser: Browser, tmp_path: Path) -> None:
    """For all cards or for one; as a document and as a table."""
    async with walking(tmp_path, None, mid_month()) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await run_charge(walk, 30)
        await walk.parts.cards.add(OTHER_CARD, "Anna")
        month = f"{walk.parts.clock.now():%Y-%m}"
        await owner.sign_in(Role.OWNER, to="/owner")
        await owner.reads("Charges: 1")
        await owner.page.get_by_label("Month", exact=True).fill(month)
        report = owner.page.locator("#report")
        assert (await owner.download(report.get_by_role("link", name="Report (PDF)"))).startswith(b"%PDF")
        table = report.get_by_role("link", name="Table (CSV)")
        assert len((await owner.download(table)).splitlines()) == 2
        offered = owner.page.locator("#card-labels option")
        await expect(offered).to_have_attribute("value", "Anna")
        await report.get_by_label("Card (empty: all)").fill("Anna")
        assert len((await owner.download(table)).splitlines()) == 1, "Anna did not charge"
        await owner.audit()


async def test_an_owner_reads_names_in_the_history_and_looks_for_one(browser: Browser, tmp_path: Path) -> None:
    """Never digits with a gap for a card that was named."""
    async with (
        walking(tmp_path) as walk,
        visiting(browser, walk) as owner,
        visiting(browser, walk, viewport=DESKTOP, locale="de-DE", local=True) as german,
    ):
        await walk.accepted()
        await run_charge(walk, 30)
        await walk.parts.cards.add(CARD, "Anna")
        await walk.parts.cards.add(OTHER_CARD, "Bert")
        await owner.sign_in(Role.OWNER, to="/owner")
        items = owner.page.locator("#history-items li")
        await expect(items).to_contain_text("Anna")
        await expect(items).not_to_contain_text("…")
        await owner.picture("owner-history-names")
        choice = owner.page.locator("#history-card")
        await choice.fill("bert")
        await choice.blur()
        await owner.reads("No charges in this period.")
        await choice.fill("anna")
        await choice.blur()
        await owner.reads("Charges: 1")
        assert "card=anna" in (await owner.page.locator("#csv").get_attribute("href") or "")
        await owner.audit()
        await open_tab(owner, "Cards")
        await owner.reads("added on")
        await expect(owner.page.locator("#cards-items")).not_to_contain_text("…")
        await owner.audit()
        await owner.picture("owner-cards-named")
        await german.go("/owner")
        await german.reads("Anna")
        await german.picture("owner-history-names-de")


def _quarter() -> Decimal:
    return Decimal("0.25")


async def test_an_owner_plans_and_limits_and_closes(browser: Browser, tmp_path: Path) -> None:
    """Schedule, own limit, taking the charging point out of service."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Schedule")
        without_meter = "The station has no house meter that reports prices: the car is charged at once."
        note = owner.page.get_by_text(without_meter)
        await expect(note).to_have_count(0)
        await owner.page.get_by_label("When to charge").select_option("In cheap hours only")
        await expect(note).to_be_visible()
        await owner.page.get_by_label("When to charge").select_option("At once")
        await expect(note).to_have_count(0)
        await owner.page.get_by_label("When to charge").select_option("In cheap hours only")
        await owner.page.get_by_label("Departure at").fill("07:30")
        await owner.page.get_by_label("Energy by then (kWh)").fill("20")
        await owner.page.get_by_role("button", name="Save").first.click()
        await owner.reads("Saved.")
        assert walk.parts.load.plans.of(1) == ChargePlan(TariffMode.OFF_PEAK, time(7, 30), 20_000.0)
        await expect(note).to_be_visible()
        await owner.page.get_by_label("Amperes per phase").fill("10")
        await owner.page.get_by_role("button", name="Set limit").click()
        await owner.reads("10 A until")
        await owner.audit()
        await owner.picture("owner-schedule")
        assert "user" in walk.parts.shared_limits.to_json()
        await owner.page.get_by_role("button", name="Close").click()
        await owner.reads("closed")
        assert not walk.evse.state.in_service


async def test_an_owner_reads_which_own_plans_a_plan_for_all_replaces(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        plans = walk.parts.load.plans
        await plans.change(2, ChargePlan(TariffMode.AVOID_PEAKS, time(6, 0), 5_000.0))
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Schedule")
        note = owner.page.get_by_text("Charging points with a plan of their own: 2. Saving gives this plan to all.")
        await expect(note).to_be_visible()
        await owner.audit()
        await owner.picture("owner-own-plans")
        await owner.page.get_by_label("When to charge").select_option("In cheap hours only")
        await owner.page.get_by_role("button", name="Save").first.click()
        await owner.reads("Saved.")
        await expect(note).to_be_hidden()
        assert plans.of(1) == plans.of(2) == ChargePlan(TariffMode.OFF_PEAK, None, 0.0)


async def test_an_owner_says_which_of_two_comes_first(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Schedule")
        await owner.reads("Priority")
        await owner.page.locator("#priority-2").select_option("5")
        await owner.reads("Saved.")
        await owner.audit()
        await owner.picture("owner-priorities")
        assert [walk.parts.load.priorities.priority_of(evse_id) for evse_id in (1, 2)] == [0, 5]


async def test_an_owner_sets_a_price(browser: Browser, tmp_path: Path) -> None:
    """With a comma, as people write it; wrong ones are said."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Price")
        await owner.page.get_by_label("Per kWh").fill("a lot")
        await owner.page.get_by_role("button", name="Save").click()
        await expect(owner.page.locator("#price-problem")).to_contain_text("such as 0.25")
        await owner.page.get_by_label("Per kWh").fill("0,25")
        await owner.page.get_by_role("button", name="Add a period").click()
        await owner.page.get_by_label("Period", exact=True).fill("HC")
        await owner.page.get_by_label("Per kWh").nth(1).fill("0.18")
        await owner.audit()
        await owner.picture("owner-price")
        await owner.page.get_by_role("button", name="Save").click()
        await owner.reads("Saved.")
        prices = walk.parts.prices.current
        assert prices is not None
        assert prices.energy_per_kwh == _quarter()
        assert prices.energy_price("HC..") == Decimal("0.18")
        assert any("422" in error for error in owner.wrong)
        owner.wrong.clear()


async def test_a_code_of_the_owner_lets_a_driver_set_a_password(browser: Browser, tmp_path: Path) -> None:
    """Read aloud, typed on another phone."""
    async with (
        walking(tmp_path) as walk,
        visiting(browser, walk, viewport=DESKTOP) as owner,
        visiting(browser, walk) as driver,
    ):
        await walk.accepted()
        await owner.sign_in(Role.OWNER, to="/owner")
        await open_tab(owner, "Access")
        await owner.page.get_by_role("button", name="Create a code").click()
        await owner.reads("Code for: Driver")
        code = await owner.page.locator("#access-code-value").inner_text()
        await owner.audit()
        await owner.picture("owner-access")
        await driver.go("/sign-in")
        await driver.picture("sign-in")
        await driver.page.get_by_role("link", name="I have a code").click()
        await driver.page.get_by_role("radio", name="Driver").check()
        await driver.page.get_by_label("Code").fill(code.lower().replace("-", " "))
        await driver.page.get_by_label("New password").fill("a driver's password")
        await driver.audit()
        await driver.picture("first-password")
        await driver.page.get_by_role("button", name="Set password and sign in").click()
        await driver.reads("Ready to charge")
        assert await walk.parts.access.accounts.verify_password(Role.DRIVER, "a driver's password")


async def test_an_owner_says_where_the_station_stands_and_all_times_are_those_there(
    browser: Browser, tmp_path: Path
) -> None:
    """The zone of the browser, New York, is suggested; once the station is in Paris it does not matter."""
    async with (
        powered(configuration_without_csms(tmp_path), Csms()) as walk,
        visiting(browser, walk, timezone_id="America/New_York") as owner,
    ):
        clock = walk.application.clock
        clock.adjust(datetime(2026, 7, 1, 21, 30, tzinfo=UTC) - clock.now())
        await walk.parts.cards.add(CARD, "Anna")
        await run_charge(walk, 10)
        await owner.sign_in(Role.OWNER, to="/owner")
        await owner.reads("1 Jul 2026, 21:30")
        await open_tab(owner, "Schedule")
        await owner.reads("No time zone is set: all times are in UTC (now 21:4")
        field = owner.page.get_by_label("Name from the list")
        await expect(field).to_have_value("America/New_York")
        await owner.audit()
        await owner.picture("owner-time-zone-unset")
        await field.fill("Europe/Pari")
        await owner.page.locator("#zone-form").get_by_role("button", name="Save").click()
        await owner.reads("This time zone does not exist.")
        assert any("422" in error for error in owner.wrong)
        owner.wrong.clear()
        await field.fill("Europe/Paris")
        await owner.page.locator("#zone-form").get_by_role("button", name="Save").click()
        await owner.reads("The time at the station is 23:4")
        assert walk.parts.settings(ClockSettings).time_zone == "Europe/Paris"
        await owner.audit()
        await owner.picture("owner-time-zone")
        await open_tab(owner, "History")
        await owner.reads("1 Jul 2026, 23:30")


async def test_the_page_shows_the_offset_that_the_csms_has_set_before_and_after_its_transition(
    browser: Browser, tmp_path: Path
) -> None:
    """ClockCtrlr.TimeOffset with its next transition: a zone without a name, which no browser knows."""
    async with powered(configuration_without_csms(tmp_path), Csms()) as walk, visiting(browser, walk) as owner:
        clock, settings = walk.application.clock, walk.parts.settings(ClockSettings)
        await settings.change(ClockSettings.time_offset, "+05:45")
        await settings.change(ClockSettings.time_offset_next_transition, "+06:45")
        await settings.change(ClockSettings.next_time_offset_transition, "2026-07-02T00:00:00Z")
        clock.adjust(datetime(2026, 7, 1, 12, tzinfo=UTC) - clock.now())
        await owner.sign_in(Role.OWNER, to="/owner")
        days = await owner.page.evaluate(
            "import('/static/js/format.js').then(({ dateAndTime }) =>"
            " ['2026-07-01T12:00Z', '2026-07-02T12:00Z'].map(dateAndTime))"
        )
        assert days == ["1 Jul 2026, 17:45", "2 Jul 2026, 18:45"]
        await open_tab(owner, "Schedule")
        await owner.reads("The time at the station is 17:4")
        await owner.reads("(UTC+05:45)")


async def test_an_owner_and_an_installer_see_which_records_cannot_be_read(browser: Browser, tmp_path: Path) -> None:
    """Nothing of it as long as all can be read."""
    for role, path in ((Role.OWNER, "/owner"), (Role.INSTALLER, "/installer")):
        async with walking(tmp_path) as walk, visiting(browser, walk) as visitor:
            await visitor.sign_in(role, to=path)
            await expect(visitor.page.locator("#unreadable")).to_be_hidden()
            walk.parts.unreadable.add(RowAddress("events", "17", "tx-1", 3), "trigger: is missing")
            await visitor.reads("Rows that cannot be read: 1.")
            await visitor.reads("Transaction tx-1 (events, row 17)")
            await visitor.reads("trigger: is missing")
            await visitor.audit()
            walk.parts.unreadable.remove(RowAddress("events", "17"))
            await expect(visitor.page.locator("#unreadable")).to_be_hidden()
