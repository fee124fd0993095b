"""An installer commissions a station with a phone, from the code on the label to the owner who activates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Locator, expect

from station.core.clock_settings import ClockSettings
from station.maintenance.commissioning.activation import ActivationStage
from tests.browser.visitor import Visitor, visiting
from tests.patience import until
from tests.walk import Walk, walking
from tests.walks.commissioned import commission, try_step
from tests.walks.visit import visiting as api_of

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

CODE = "ABCD-EFGH-JKLM"
REQUIRED: dict[str, Any] = {
    "station": {"identity": "BORNE-TEST", "serial_number": "0001", "commissioning": "required"},
    "http": {"installer_code": CODE},
}
SMALL = {"width": 360, "height": 740}
OWN_PASSWORD = "copper and torque"


async def next_step(visitor: Visitor, title: str) -> None:
    """Go on to the next step, which has this title."""
    await visitor.page.get_by_role("link", name="Next step").click()
    await until_step_open(visitor, title)


async def until_step_open(visitor: Visitor, title: str) -> None:
    """Wait until the step with this title is open."""
    await expect(visitor.page.get_by_role("heading", level=2, name=title, exact=True)).to_be_visible()


async def until_step_state(visitor: Visitor, word: str) -> None:
    """Wait until the open step shows a result."""
    await expect(visitor.page.locator(".step:visible [data-outcome] strong")).to_have_text(word)


def field(visitor: Visitor, label: str) -> Locator:
    """Return a field of the open step."""
    return visitor.page.locator(".step:visible").get_by_label(label, exact=True)


async def press(visitor: Visitor, name: str) -> None:
    """Press a button of the open step."""
    await visitor.page.locator(".step:visible").get_by_role("button", name=name, exact=True).click()


async def sign_up_with_code(visitor: Visitor) -> None:
    """Open the link of the label's code, and set a password with the printed code."""
    await visitor.go("/commissioning?identity=BORNE-TEST&serial=0001")
    await visitor.page.get_by_label("Code").fill(CODE.lower())
    await visitor.page.get_by_label("New password").fill(OWN_PASSWORD)
    await visitor.page.get_by_role("button", name="Set password and sign in").click()
    await until_step_open(visitor, "Station and installer")


async def test_a_station_is_commissioned_with_a_phone_and_activated_by_its_owner(
    browser: Browser, tmp_path: Path
) -> None:
    """Every step that applies to a station with a CSMS and nothing else, with a reload in the middle."""
    async with (
        walking(tmp_path, **REQUIRED) as walk,
        visiting(browser, walk, viewport=SMALL, timezone_id="Europe/Paris") as installer,
    ):
        await walk.accepted()
        await sign_up_with_code(installer)
        await expect(field(installer, "Identity on the label")).to_have_value("BORNE-TEST")
        await field(installer, "Your name").fill("A. Installer")
        await press(installer, "Save and check")
        await until_step_state(installer, "passed")
        await installer.audit()
        await installer.picture("commissioning-identity")
        await next_step(installer, "Site")
        await field(installer, "Name of the site").fill("Home")
        await field(installer, "Address").fill("Main Street 1")
        await field(installer, "Place").fill("garage, left wall")
        await expect(field(installer, "Time zone")).to_have_value("Europe/Paris")
        await press(installer, "Save and check")
        await until_step_state(installer, "passed")
        assert walk.parts.settings(ClockSettings).time_zone == "Europe/Paris", "the zone of the phone is suggested"
        now = walk.application.clock.now().astimezone(ZoneInfo("Europe/Paris"))
        await installer.reads(f"{now.day} {now:%b %Y, %H:%M}")
        await installer.audit()
        await installer.picture("commissioning-site")
        await next_step(installer, "Network and operator")
        await press(installer, "Test the connection")
        await until_step_state(installer, "passed")
        await installer.audit()
        await installer.picture("commissioning-network")
        await next_step(installer, "Breaker")
        await installer.page.reload()
        await enter_breaker(installer, walk)
        await next_step(installer, "Wiring and torque")
        await confirm_torque(installer)
        for title in ("House meter", "Current transformers", "Grid-operator contact (§14a)", "Load management"):
            await next_step(installer, title)
            await installer.audit()
            await installer.picture(f"commissioning-absent-{title.split()[0].lower()}")
        await next_step(installer, "Residual current")
        await press(installer, "Test the monitors")
        await until_step_state(installer, "passed")
        await installer.audit()
        await installer.picture("commissioning-residual")
        await next_step(installer, "Shunt trip")
        await installer.audit()
        await next_step(installer, "Test session")
        await run_test_session(installer, walk)
        await next_step(installer, "Phase order")
        await next_step(installer, "Report and hand-over")
        await hand_over(installer, walk)


async def enter_breaker(installer: Visitor, walk: Walk) -> None:
    """Enter a breaker that is smaller than the selector, then turn the selector down."""
    await installer.reads("32 A")
    await field(installer, "Rating of the breaker").select_option("16")
    await installer.page.get_by_role("radio", name="C", exact=True).check()
    await press(installer, "Save and check")
    await until_step_state(installer, "failed")
    await installer.reads(
        "The current selector allows 32 A, but the breaker is rated for 16 A. Turn the selector down."
    )
    await installer.audit()
    await installer.picture("commissioning-breaker-failed")
    walk.world.back_plate.turn_selector("16")
    await walk.settle()
    await expect(installer.page.locator("#breaker-facts")).to_contain_text("16 A")
    await press(installer, "Save and check")
    await until_step_state(installer, "passed")
    await installer.picture("commissioning-breaker")


async def confirm_torque(installer: Visitor) -> None:
    """Confirm the torque of the terminals."""
    await field(installer, "Conductor").select_option("6")
    await field(installer, "The terminals are tightened to 2.82 Nm.").check()
    await press(installer, "Save and check")
    await until_step_state(installer, "failed")
    await installer.reads("Tighten the cover screws to 0.5 Nm.")
    await field(installer, "The cover screws are tightened to 0.5 Nm.").check()
    await press(installer, "Save and check")
    await until_step_state(installer, "passed")
    await installer.audit()
    await installer.picture("commissioning-wiring")


async def run_test_session(installer: Visitor, walk: Walk) -> None:
    """Without a vehicle no energy flows; with one it does."""
    await press(installer, "Check that energy flows")
    await installer.reads("No energy flows")
    await walk.plug(phases=3)
    await press(installer, "Start the session")
    await until(lambda: walk.evse.state.authorization)
    await walk.charging()
    await walk.advance(20)
    await press(installer, "Check that energy flows")
    await until_step_state(installer, "passed")
    await installer.audit()
    await installer.picture("commissioning-session")
    await press(installer, "End the session")
    await until(lambda: walk.evse.state.authorization is None)
    await walk.until(lambda: sum(walk.board.currents_a) == 0)


async def hand_over(installer: Visitor, walk: Walk) -> None:
    """Finish commissioning, download the report, and make a code for the owner."""
    await installer.reads("All steps are done.")
    await installer.picture("commissioning-ready")
    await press(installer, "Finish commissioning")
    await installer.reads("Its owner has to activate it.")
    report = await installer.download(installer.page.get_by_role("link", name="Signed report (PDF)"))
    assert report.startswith(b"%PDF")
    await press(installer, "Make a code for the owner")
    await expect(installer.page.locator("#end-code-value")).not_to_be_empty()
    await installer.audit()
    await installer.picture("commissioning-end")
    assert walk.parts.activation.stage is ActivationStage.COMMISSIONED


async def test_a_setting_that_is_refused_is_named_in_every_language(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path, **REQUIRED) as walk,
        visiting(browser, walk, locale="fr-FR", local=True) as installer,
    ):
        await walk.accepted()
        await installer.go("/commissioning#network")
        await installer.page.get_by_text("Régler l’opérateur").click()
        address = installer.page.locator("#network-url")
        await address.fill("http://csms.example/ocpp")
        await installer.page.locator("#network-settings button[type=submit]").click()
        await installer.reads("du CSMS » est refusé")
        await expect(address).to_be_focused()
        installer.wrong.clear()  # the browser notes the refusal itself


async def test_what_was_changed_after_the_end_is_shown_as_left_to_do(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path, **REQUIRED) as walk,
        api_of(walk) as api,
        visiting(browser, walk, local=True) as installer,
    ):
        await walk.accepted()
        await api.post("/api/sim/selector", {"position": "25"})
        await commission(api)
        await installer.go("/commissioning#end")
        await installer.reads("Its owner has to activate it.")
        await api.post("/api/sim/selector", {"position": "32"})
        await installer.reads("Still to do:")
        open_step_links = installer.page.locator("#end-left a")
        await expect(open_step_links).to_have_text(["Breaker"])
        await installer.audit()
        await expect(installer.page.locator("#end-code")).to_be_hidden()
        await walk.advance(5)
        await try_step(api, step="breaker", rating_a=32, curve="C")
        await installer.reads("All steps are done.")
        await press(installer, "Finish commissioning")
        await installer.reads("Its owner has to activate it.")


async def test_at_a_station_that_serves_already_no_step_offers_what_would_be_refused(
    browser: Browser, tmp_path: Path
) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk, local=True) as installer:
        await walk.accepted()
        await installer.go("/commissioning#wiring")
        await expect(installer.page.locator("#wiring [data-absent]")).to_contain_text("needs no commissioning")
        await expect(installer.page.locator("#wiring form")).to_be_hidden()
        await expect(installer.page.locator("#way-progress")).to_have_text("Not required at this station")
        standings = installer.page.locator("#way-list .pill")
        assert set(await standings.all_text_contents()) <= {"not required", "not applicable"}, "nothing is left to do"
        await installer.page.get_by_text("All steps").click()
        await installer.audit()
        await installer.picture("commissioning-steps-not-required")
        await installer.go("/commissioning#test-session")
        await expect(installer.page.locator("#session-begin")).to_be_hidden()
        await installer.audit()
        await installer.picture("commissioning-not-required")
