"""What installer and service do with the page: inputs and outputs, bytes, frames, device model, log, alarms."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, FilePayload, Route, expect

from metering.reading import Phases
from station.core.model import Fault
from station.security.access.accounts import Role
from tests.browser.test_owner import open_tab
from tests.browser.visitor import DESKTOP, PASSWORD, Visitor, visiting
from tests.conformance.firmware import image, signer
from tests.conformance.pki import Pki
from tests.csms import Csms
from tests.walk import Walk, configuration, powered, walking
from tests.walks.house import GRID as LINKY
from tests.walks.house import House

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

GRID: dict[str, Any] = {
    "phases": 3,
    "max_current_a": 25,
    "source": {
        "type": "modbus",
        "meter": {"type": "modbus-tcp", "model": "siemens-pac2200", "host": "simulated", "timeout_s": 1.0},
    },
}


async def test_an_installer_sees_inputs_and_outputs_and_answers_for_an_opened_flap(
    browser: Browser, tmp_path: Path
) -> None:
    """Nobody charges until then; who answered for it is in the security log."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as installer:
        await walk.accepted()
        await walk.plug(max_current_a=16)
        await walk.present()
        await walk.charging()
        await installer.sign_in(Role.INSTALLER, to="/installer")
        await installer.reads("takes energy")
        await installer.reads("Current selector")
        await installer.audit()
        await installer.picture("installer-live")
        walk.parts.tamper.report_opened()
        await walk.settle()
        await installer.page.get_by_role("button", name="Enclosure checked").click()
        await expect(installer.page.get_by_role("button", name="Enclosure checked")).to_be_hidden()
        assert not walk.parts.tamper.alarm
        events = [(event.type, event.info) for event in await walk.parts.security_events.entries()]
        assert events[-1] == ("LocalChange", "installer: DELETE /api/tamper, from 127.0.0.1")


async def test_service_tests_the_residual_current_monitor_and_clears_what_it_found(
    browser: Browser, tmp_path: Path
) -> None:
    """The evidence of the test stays; a fault is latched until then."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as service:
        await walk.accepted()
        await service.sign_in(Role.SERVICE, to="/installer")
        await service.reads("Residual-current monitor")
        clear = service.page.get_by_role("button", name="Clear the residual-current fault")
        await expect(clear).to_be_hidden()
        await service.page.get_by_role("button", name="Test the residual-current monitor").click()
        await service.reads("Test: passed")
        walk.board.raise_fault(Fault.DC_RESIDUAL_CURRENT)
        await walk.settle()
        await service.reads("tripped")
        await service.audit()
        walk.board.clear_fault(Fault.DC_RESIDUAL_CURRENT)
        await walk.settle()
        await clear.click()
        await expect(clear).to_be_hidden()
        assert Fault.DC_RESIDUAL_CURRENT not in walk.evse.state.faults


async def test_service_resets_a_contactor_that_was_mended(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk) as service:
        await walk.accepted()
        await service.sign_in(Role.SERVICE, to="/installer")
        await service.reads("Residual-current monitor")
        mended = service.page.get_by_role("button", name="Repaired")
        await expect(mended).to_be_hidden()
        walk.evse.report_fault(Fault.CONTACTOR_STUCK_OPEN, True)
        await mended.click()
        await expect(mended).to_be_hidden()
        assert not walk.evse.state.faults


async def test_an_installer_reads_the_raw_bytes_of_a_meter(browser: Browser, tmp_path: Path) -> None:
    """Requests and answers on Modbus, beside what was understood."""
    async with walking(tmp_path, grid=GRID) as walk, visiting(browser, walk) as installer:
        await walk.accepted()
        walk.world.house.set_currents(Phases(3.0, 4.0, 5.0))
        await wait_for_grid_sample(walk)
        await installer.sign_in(Role.INSTALLER, to="/installer#meter")
        await installer.reads("00 00 00 06 01 03")  # Modbus TCP: length, unit, function
        await installer.reads("received")
        await installer.audit()
        await installer.picture("installer-meter")


async def test_the_power_of_a_house_whose_meter_reports_apparent_power_only_is_read(
    browser: Browser, tmp_path: Path
) -> None:
    """A Linky sends volt-amperes."""
    async with walking(tmp_path, grid=LINKY) as walk, visiting(browser, walk, locale="fr-FR", local=True) as installer:
        await walk.accepted()
        await House(walk, apparent_power_va=4370.0).live(2)
        await installer.go("/installer#meter")
        await expect(installer.page.locator("#meter-values")).to_contain_text("Puissance de la maison4,4\u00a0kVA")


async def test_without_a_csms_no_message_waits_for_one(browser: Browser, tmp_path: Path) -> None:
    async with (
        powered(configuration(tmp_path, None), Csms()) as walk,
        visiting(browser, walk, local=True) as installer,
    ):
        await installer.go("/installer")
        await installer.reads("Software and link")
        await expect(installer.page.get_by_text("Messages waiting")).to_have_count(0)


async def wait_for_grid_sample(walk: Walk) -> None:
    """Wait until the grid meter has sent a sample."""
    await walk.until(lambda: walk.parts.load.grid.last_sample is not None, within_s=120)


@contextlib.asynccontextmanager
async def _at_the_messages(browser: Browser, tmp_path: Path) -> AsyncGenerator[tuple[Walk, Visitor]]:
    """An accepted station, and service at the OCPP messages of its page, which show the boot notification."""
    async with walking(tmp_path) as walk, visiting(browser, walk, viewport=DESKTOP) as service:
        await walk.accepted()
        await service.sign_in(Role.SERVICE, to="/installer#ocpp")
        await service.reads("BootNotification ✓")
        yield walk, service


async def test_the_answer_to_an_earlier_search_does_not_take_the_place_of_the_later_one(
    browser: Browser, tmp_path: Path
) -> None:
    """The earlier answer comes when the later search has been sent already."""
    async with _at_the_messages(browser, tmp_path) as (_, service):
        rows = service.page.locator("#ocpp-frames li")
        later_sent, earlier_answered = asyncio.Event(), asyncio.Event()

        async def earlier(route: Route) -> None:
            response = await route.fetch()
            await later_sent.wait()
            await route.fulfill(response=response)
            earlier_answered.set()

        async def later(route: Route) -> None:
            later_sent.set()
            await earlier_answered.wait()
            await route.continue_()

        action = service.page.get_by_label("Action")
        await action.fill("NoSuchAction")
        await expect(rows).to_have_count(0)
        await service.page.route("**/api/frames/exchanges?*action=BootNotification*", earlier)
        await service.page.route("**/api/frames/exchanges?*action=StatusNotification*", later)
        await action.fill("BootNotification")
        await action.fill("StatusNotification")
        await expect(rows.filter(has_text="StatusNotification")).not_to_have_count(0)
        await expect(rows.filter(has_text="BootNotification")).to_have_count(0)
        await service.page.unroute_all(behavior="wait")


async def test_service_filters_frames_and_searches_the_device_model_and_the_log(
    browser: Browser, tmp_path: Path
) -> None:
    """On a desktop screen."""
    async with _at_the_messages(browser, tmp_path) as (walk, service):
        await walk.plug()
        await service.reads("TransactionEvent")
        rows = service.page.locator("#ocpp-frames li")
        await service.page.get_by_label("Text, card or message id").fill("VENDORNAME")
        await expect(rows).to_have_count(1)
        await service.page.get_by_label("Text, card or message id").fill("")
        await service.page.get_by_label("Direction").select_option("From the CSMS")
        await expect(rows.filter(has_text="TransactionEvent")).to_have_count(0)
        await service.page.get_by_label("Direction").select_option("Both directions")
        await service.page.get_by_label("Action").fill("bootnotification")
        await expect(rows).to_have_count(1)
        lines = await service.download(service.page.get_by_role("link", name="JSON"), name="ocpp.jsonl")
        assert [json.loads(line)["action"] for line in lines.splitlines()] == ["BootNotification"] * 2
        capture = await service.download(service.page.get_by_role("link", name="Wireshark"), name="ocpp.pcapng")
        assert capture.startswith(b"\n\r\r\n")
        await service.page.get_by_text("BootNotification ✓").click()
        await service.reads('"status": "Accepted"')
        await service.audit()
        await service.picture("service-frames")
        await open_tab(service, "Device model")
        await service.page.get_by_label("Search").fill("heartbeat interval")
        await service.reads("OCPPCommCtrlr.HeartbeatInterval")
        await expect(service.page.locator("#model-rows tr")).to_have_count(1)
        await service.audit()
        await service.picture("service-model")
        logging.getLogger("station.meter").warning("a meter that limps")
        logging.getLogger("station.meter").warning("a meter that walks")
        await open_tab(service, "Log")
        await expect(service.page.locator("#log-lines")).to_contain_text("walks")
        await service.page.get_by_label("Only lines containing").fill("LIMPS")
        await expect(service.page.locator("#log-lines")).not_to_contain_text("walks")
        await expect(service.page.locator("#log-lines")).to_contain_text("limps")
        await expect(service.page.locator("#log-security")).to_contain_text("StartupOfTheDevice")
        await service.audit()
        await service.picture("service-log")
        button = service.page.get_by_role("button", name="Everything in one file")
        text = (await service.download(button, name="diagnostics-BORNE-TEST.json")).decode()
        diagnostics = json.loads(text)
        assert [name for name, part in diagnostics.items() if "missing" in part] == []
        assert any("a meter that limps" in line for line in diagnostics["log"])
        assert diagnostics["ocpp_frames"][0]["text"].startswith("[2,")
        assert PASSWORD not in text


async def test_an_installer_sees_monitors_and_events_as_they_occur(browser: Browser, tmp_path: Path) -> None:
    """Those of the CSMS and of the station; an event needs no reload."""
    power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
    monitor = {**power, "type": "UpperThreshold", "value": 7000, "severity": 4}
    async with walking(tmp_path) as walk, visiting(browser, walk) as installer:
        await walk.accepted()
        await walk.csms.call("SetVariableMonitoring", {"setMonitoringData": [monitor]})
        await installer.sign_in(Role.INSTALLER, to="/installer#monitoring")
        await installer.reads("No event since the station started.")
        monitors = installer.page.locator("#monitoring-monitors")
        await expect(monitors).to_contain_text("EVSE[1].Power")
        await expect(monitors).to_contain_text("above 7,000")
        await expect(monitors).to_contain_text("PowerContactor[1].Count")
        await expect(monitors).to_contain_text("station, fixed")
        await installer.reads("Events waiting for the CSMS: 0.")
        events = installer.page.locator("#monitoring-events")
        await walk.plug(max_current_a=16)
        await walk.present()
        await walk.charging()
        await walk.advance(5)
        await expect(events).to_contain_text("EVSE[1].Power = 11040.0")
        await expect(events).to_contain_text("severity 4")
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await walk.advance(2)
        await expect(events).to_contain_text("RCD[1].Tripped = true")
        await expect(events).to_contain_text("ground-fault")
        await expect(events).to_contain_text("back to normal")  # the power
        await expect(installer.page.get_by_text("No event since the station started.")).to_be_hidden()
        await installer.audit()
        await installer.picture("installer-monitoring")


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("fr-FR", "Variables surveillées"),
        ("de-DE", "Letzte Ereignisse"),
        ("nl-NL", "Bewaakte variabelen"),
    ],
)
async def test_monitors_are_listed_in_the_language_of_the_browser(
    browser: Browser, tmp_path: Path, locale: str, text: str
) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk, locale=locale, local=True) as installer:
        await walk.accepted()
        await installer.go("/installer#monitoring")
        await installer.reads(text)
        await expect(installer.page.locator("#monitoring-monitors tr").first).to_be_visible()
        await installer.audit()


async def test_service_brings_new_firmware_and_a_wrong_signature_is_said(browser: Browser, tmp_path: Path) -> None:
    """The same checks as for one that the CSMS orders; the CSMS hears the outcome."""
    pki = Pki(tmp_path / "pki")
    root = pki.make_root("Manufacturer")
    by = signer(pki, root)
    content = image("3.1.4")
    files = {
        "Image": content,
        "Signature": base64.b64decode(by.sign(content)),
        "Signing certificate (PEM)": by.pem.encode(),
    }
    async with walking(tmp_path / "storage") as walk, visiting(browser, walk) as service:
        await walk.accepted()
        trusted = {"certificateType": "ManufacturerRootCertificate", "certificate": root.pem}
        assert (await walk.csms.call("InstallCertificate", trusted))["status"] == "Accepted"
        await service.sign_in(Role.SERVICE, to="/installer")
        install = service.page.get_by_role("button", name="Install")
        await choose_firmware(service, {"Image": content})
        await install.click()
        await service.reads("firmware must be signed")
        service.wrong.clear()  # the browser tells of the 409
        await service.audit()
        await service.picture("service-firmware")
        await choose_firmware(service, files)
        await install.click()
        await expect(service.page.locator("#io-software")).to_contain_text("SignatureVerified")
        await walk.until(lambda: walk.parts.firmware.version == "3.1.4", within_s=120.0)
        await walk.until(
            lambda: walk.csms.received("BootNotification")[-1]["chargingStation"]["firmwareVersion"] == "3.1.4"
        )
        assert walk.csms.received("FirmwareStatusNotification") == []
        await expect(service.page.locator("#io-software")).to_contain_text("3.1.4")
        event_types = [event.type for event in await walk.parts.security_events.entries()]
        assert "FirmwareUpdated" in event_types
        # During the restart sessions are unknown (503); a request just before it is refused because of it (409).
        assert [error for error in service.wrong if "503" not in error and "409" not in error] == []
        service.wrong.clear()


async def choose_firmware(service: Visitor, files: dict[str, bytes]) -> None:
    """Choose the files in the form for firmware."""
    for label, content in files.items():
        chosen: FilePayload = {"name": label, "mimeType": "application/octet-stream", "buffer": content}
        await service.page.get_by_label(label, exact=True).set_input_files(chosen)


async def test_every_language_says_everything_and_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    """What the browser asks for, and what is chosen afterwards."""
    expected = {"fr-FR": "Prête à charger", "de-AT": "Bereit zum Laden", "nl-BE": "Klaar om te laden"}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.SERVICE, "correct horse battery")
        for locale, text in expected.items():
            async with visiting(browser, walk, locale=locale) as visitor:
                await visitor.go()
                await visitor.reads(text)
                await visitor.audit()
                await visitor.page.get_by_role("link", name="English").click()
                await visitor.reads("Ready to charge")
                await visitor.page.get_by_role("link", name="Deutsch").click()
                await visitor.reads("Bereit zum Laden")


async def test_whoever_may_not_is_asked_to_sign_in(browser: Browser, tmp_path: Path) -> None:
    """A wrong password is said, a page of another role leads to the door and back."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as visitor:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        await visitor.go("/owner")
        await visitor.page.get_by_label("Password").fill("not this one")
        await visitor.page.keyboard.press("Enter")
        await visitor.reads("The password is wrong.")
        await visitor.audit()
        await visitor.page.get_by_label("Password").fill("correct horse battery")
        await visitor.page.keyboard.press("Enter")
        await visitor.reads("No charges in this period.")
        await visitor.page.get_by_role("button", name="Sign out").click()
        await visitor.reads("Ready to charge")
        assert any("403" in error for error in visitor.wrong)
        visitor.wrong.clear()


async def test_the_page_says_when_the_station_is_silent_and_when_it_has_no_power(
    browser: Browser, tmp_path: Path
) -> None:
    """What is seen may be old then."""
    async with walking(tmp_path) as walk, visiting(browser, walk, local=True) as visitor:
        await walk.accepted()
        await visitor.go()
        await visitor.reads("Ready to charge")
        await walk.application.cut_power()
        await visitor.reads("The station is starting or has no power.")
        await walk.application.restore_power()
        await expect(visitor.page.locator("#banner")).to_be_hidden()
        # What the page asked for meanwhile was refused, which the browser notes itself.
        assert [error for error in visitor.wrong if "503" not in error and "409" not in error] == []
        visitor.wrong.clear()
