"""Whether anybody may begin to charge: not before a restart, not before the activation, not past the CSMS."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from station.charging.restart import RestartController
from station.charging.start_permission import StartPermission
from station.charging.transaction_settings import TransactionSettings
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database


class Station:
    """What the permission depends on."""

    def __init__(self, outbox: Outbox) -> None:
        self.settings, self.csms, self.activated = TransactionSettings(), fakes.FakeCsms(), True
        self.restart = RestartController({}, outbox, self.csms, self.settings, fakes.clock(), lambda _: None)
        self.permission = StartPermission(self.restart, self, self.csms, self.settings)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncGenerator[Station]:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        yield Station(Outbox(database, clock))


async def test_nobody_begins_while_the_station_is_about_to_restart(station: Station) -> None:
    assert station.permission.granted
    station.restart.schedule_restart()
    assert not station.permission.granted
    assert station.permission.refusal_reason == "the station is about to restart"


async def test_nobody_begins_before_the_activation(station: Station) -> None:
    station.activated = False
    assert not station.permission.granted
    assert station.permission.refusal_reason == "the station is not activated yet"


@pytest.mark.parametrize("enabled", [True, False])
async def test_before_the_csms_accepts_the_station_the_setting_decides(station: Station, enabled: bool) -> None:
    """B02.FR.03, B03.FR.01: of whoever presents a card; a remote start comes from the CSMS itself."""
    station.csms.accepted = False
    station.settings.override(TransactionSettings.tx_before_accepted_enabled, enabled)
    assert station.permission.granted is enabled
    assert station.permission.refusal_reason is None
