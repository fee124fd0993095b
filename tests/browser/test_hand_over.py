"""What people with little access see: a visitor during a charge, an owner at a page of the installer; the hand-over."""

from __future__ import annotations

import contextlib
import csv
import io
import sqlite3
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, PASSWORD, visiting
from tests.station.billing.documents.test_documents import text
from tests.walk import walking
from tests.walks import visit
from tests.walks.commissioned import commission
from tests.walks.test_commissioning import REQUIRED
from tests.walks.test_records import PRICES
from tests.walks.test_records import charge as visit_charge

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


async def test_a_visitor_reads_that_the_station_is_in_use_and_the_price_but_neither_power_nor_cost(
    browser: Browser, tmp_path: Path
) -> None:
    async with walking(tmp_path, prices=PRICES) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await walk.advance(600)
        await visitor.go()
        await visitor.reads("Charging")
        await visitor.reads("In use")
        await visitor.reads("CHF 0.30 per kWh")
        page_text = await visitor.page.inner_text("main")
        assert "Why" not in page_text
        assert "kW\n" not in page_text
        await expect(visitor.page.locator("[data-cost-tile]")).to_be_hidden()
        await expect(visitor.page.locator("[data-energy-tile]")).to_be_hidden()
        await visitor.audit()
        await visitor.picture("visitor-state")


async def test_a_visitor_reads_all_of_a_charge_where_the_installation_file_allows_it(
    browser: Browser, tmp_path: Path
) -> None:
    page = {"visitors": "all"}
    async with walking(tmp_path, prices=PRICES, page=page) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await walk.advance(600)
        await visitor.go()
        await visitor.reads("kWh")
        await expect(visitor.page.locator("[data-cost-tile]")).to_be_visible()
        await expect(visitor.page.locator("[data-why]")).to_be_visible()


async def test_an_owner_at_a_page_of_the_installer_reads_which_role_it_requires(
    browser: Browser, tmp_path: Path
) -> None:
    """A form to sign in without a word looks like the end of the session."""
    async with walking(tmp_path, http={"installer_code": "ABCD-EFGH-JKLM"}) as walk, visiting(browser, walk) as owner:
        await walk.accepted()
        await owner.sign_in(Role.OWNER)
        sentence = "You are signed in as “Owner”. That page requires the role “Installer”."
        await owner.go("/installer")
        await owner.reads(sentence)  # the installer has a code, and no password yet
        await walk.parts.access.accounts.set_password(Role.INSTALLER, PASSWORD)
        await owner.go("/installer")
        await owner.reads(sentence)
        await owner.audit()
        await owner.picture("owner-at-installer")
        await owner.go("/sign-in?role=owner")
        await expect(owner.page.get_by_text("You are signed in as")).to_have_count(0)


async def test_the_owner_gets_the_commissioning_report(browser: Browser, tmp_path: Path) -> None:
    """In the language of the page; before commissioning nothing is offered."""
    async with (
        walking(tmp_path, station=REQUIRED) as walk,
        visit.visiting(walk) as api,
        visiting(browser, walk, viewport=DESKTOP) as owner,
    ):
        await walk.accepted()
        await owner.sign_in(Role.OWNER, to="/owner")
        await expect(owner.page.locator("#handover")).to_have_count(0)
        await commission(api)
        await owner.go("/owner")
        report = await owner.download(owner.page.get_by_role("link", name="Signed report (PDF)"))
        assert "Commissioning report" in text(report)
        await owner.audit()
        await owner.picture("owner-handover")


async def test_the_history_labels_test_sessions_and_charges_without_energy_and_offers_only_records_that_exist(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        walking(tmp_path, station=REQUIRED) as walk,
        visit.visiting(walk) as api,
        visiting(browser, walk, locale="de-DE") as owner,
    ):
        await walk.accepted()
        await walk.plug(phases=3)
        await api.post("/api/commissioning/test-session", {"evse": 1})
        await walk.charging()
        await walk.advance(60)
        await api.delete("/api/commissioning/test-session")
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await commission(api)
        await api.post("/api/activation")
        await walk.plug(phases=3, ready_after_s=60.0)
        await walk.present()
        await walk.advance(5)
        await walk.present()
        await walk.unplug()
        await visit_charge(api)
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database, database:
            database.execute(
                "DELETE FROM signed_records WHERE transaction_id IN (SELECT transaction_id FROM transactions"
                " WHERE test_session = 1)"
            )
        await walk.parts.access.accounts.set_password(Role.OWNER, PASSWORD)
        await owner.go("/sign-in?role=owner&to=/owner")
        await owner.page.get_by_label("Passwort").fill(PASSWORD)
        await owner.page.get_by_role("main").get_by_role("button", name="Anmelden").click()
        await owner.reads("Ladungen: 1 · Probeladungen: 1 · Ohne Energie: 1")
        items = owner.page.locator("#history-items li")
        await expect(items).to_have_count(3)
        await expect(items.nth(2)).to_contain_text("Probeladung")
        await expect(items.nth(1)).to_contain_text("ohne Energie")
        await expect(items.nth(2).get_by_role("link")).to_have_count(1)
        await expect(items.nth(0).get_by_role("link")).to_have_count(2)
        table = (await owner.download(owner.page.locator("#csv"))).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(table), delimiter=";"))
        assert [row["Art"] for row in rows] == ["Probeladung", "ohne Energie", "Ladevorgang"]
        assert "," in rows[2]["Energie (kWh)"]
        await owner.audit()
        await owner.picture("owner-history-kinds")
