"""What the driver of a vehicle that communicates reads on the page: what it wants, and until when."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from simulator.communication_model import CommunicationModel
from station.security.access.accounts import Role
from tests.browser.visitor import visiting
from tests.walk import walking

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

VEHICLE = CommunicationModel(energy_wh=22_000.0, departs_in_s=7_200, reports_soc=True)


async def test_a_driver_reads_what_the_vehicle_wants_and_a_visitor_does_not(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path, evse=[{"secc": {"type": "simulated"}}], reader=[{"type": "simulated"}]) as walk,
        visiting(browser, walk) as driver,
        visiting(browser, walk, locale="de-DE") as visitor,
    ):
        await walk.accepted()
        await driver.sign_in(Role.DRIVER)
        await visitor.go()
        await walk.plug(communication=VEHICLE)
        await walk.present()
        await walk.until(
            lambda: walk.evse.vehicle_details.current.needs is not None and sum(walk.board.currents_a) > 1.0
        )
        await driver.reads("The vehicle wants 22.00 kWh until ")
        await visitor.reads("Lädt")
        await expect(visitor.page.locator("[data-wants]").first).to_be_hidden()
        await driver.audit()
        await driver.picture("vehicle-wants")
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await expect(driver.page.locator("[data-wants]").first).to_be_hidden()
