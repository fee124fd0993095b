"""The shunt trip follows the residual-current monitors, also while its coil or the disk is slow."""

from __future__ import annotations

import asyncio
from pathlib import Path

from station.core.hardware.back_plate import ConfiguredBackPlate
from station.core.model import Fault
from station.load.protection_config import ProtectionConfig
from station.load.residual_current import ResidualCurrentGuard
from station.storage.fact_store import FactStore
from tests.station.evse_fixture import EvseFixture, evse_fixture


class SlowBackPlate(ConfiguredBackPlate):
    """A back plate whose coil confirms only when the test allows it."""

    def __init__(self) -> None:
        super().__init__("32")
        self.orders: list[bool] = []
        self.answers = asyncio.Event()

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Note the command, and confirm it when the test allows it."""
        self.orders.append(energised)
        await self.answers.wait()


def _guard(fixture: EvseFixture, plate: SlowBackPlate) -> ResidualCurrentGuard:
    facts = FactStore(fixture.database, "residual-current")
    protection, drivers = ProtectionConfig(shunt_trip="hold"), {1: fixture.assembly.driver}
    return ResidualCurrentGuard({1: fixture.evse}, drivers, plate, facts, protection, fixture.clock)


async def test_a_fault_while_the_coil_is_being_released_energises_it(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        plate = SlowBackPlate()
        driving = asyncio.create_task(_guard(fixture, plate).drive_shunt_trip())
        await fixture.clock.settle()
        assert plate.orders == [False]
        await fixture.observe(faults=frozenset({Fault.DC_RESIDUAL_CURRENT}))
        plate.answers.set()
        await fixture.clock.advance(1)
        assert plate.orders == [False, True]
        driving.cancel()
        await asyncio.wait({driving})
