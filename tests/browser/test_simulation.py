"""The page of simulated hardware: a vehicle with a contract is plugged in, negotiates, and leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from simulator.pki.v2g_pki import TestPki
from station.core.model import ChargingState
from station.security.access.accounts import Role
from tests.browser.visitor import visiting
from tests.walk import walking
from tests.walks.test_vehicles import evcc_of, install_roots

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser


async def test_a_vehicle_with_a_contract_is_plugged_in_and_led(browser: Browser, tmp_path: Path) -> None:
    pki = TestPki.create(tmp_path / "pki")
    evses = [{"secc": {"type": "simulated"}}, {}]
    async with walking(tmp_path, evse=evses) as walk, visiting(browser, walk) as service:
        await walk.accepted()
        await install_roots(walk, pki)
        await service.sign_in(Role.SERVICE)
        await service.go("/simulation")
        first = service.page.locator('[data-evse="1"]')
        await first.get_by_label("Battery, kWh").fill("60")
        await expect(first.get_by_label("Contract")).to_be_hidden()
        await first.get_by_label("Communicates (ISO 15118)").check()
        await first.get_by_label("Leaves in, h").fill("2")
        await first.get_by_label("Contract").set_input_files(tmp_path / "pki" / "contracts" / "valid.pem")
        await first.get_by_role("button", name="Plug in").click()
        await walk.until(lambda: sum(walk.board.currents_a) > 1.0)
        assert walk.evse.state.authorization is not None
        assert walk.evse.state.authorization.id_token.value == "FRBRNC00000001X"
        await expect(first.locator("[data-state]")).to_contain_text("communicates, with a contract")
        await first.get_by_role("button", name="Plug in").click()
        await expect(first.get_by_role("alert").first).to_contain_text("already")
        service.wrong.clear()  # the browser's own note of the refusal
        await service.audit()
        await service.picture("simulation")
        needs = len(walk.csms.received("NotifyEVChargingNeeds"))
        await first.get_by_role("button", name="Negotiate anew").click()
        await walk.until(lambda: len(walk.csms.received("NotifyEVChargingNeeds")) > needs)
        assert evcc_of(walk).in_session
        await first.get_by_role("button", name="End the session").click()
        await walk.until(lambda: walk.evse.state.transaction is None or not walk.board.locked)
        await first.get_by_role("button", name="Unplug").click()
        await walk.until(lambda: walk.board.vehicle is None)
        second = service.page.locator('[data-evse="2"]')
        await expect(second.get_by_label("Communicates (ISO 15118)")).to_have_count(0)
        await second.get_by_role("button", name="Plug in").click()
        await walk.until(lambda: walk.world.boards[2].vehicle is not None)
        await second.get_by_role("button", name="Present").click()
        await walk.until(lambda: walk.parts.station.evses[2].state.charging_state is ChargingState.CHARGING)


async def test_a_driver_does_not_see_it(browser: Browser, tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        await driver.sign_in(Role.DRIVER)
        await driver.go("/")
        await expect(driver.page.get_by_role("link", name="Simulation")).to_have_count(0)
