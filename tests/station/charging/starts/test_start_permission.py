"""Whether anybody may begin to charge: not before a restart, not before the activation, not past the CSMS."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from station.charging.restart import RestartController
from station.charging.starts.start_permission import StartPermission
from station.charging.starts.start_request import StartSource
from station.charging.transaction_settings import TransactionSettings
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database


class StartPermissionFixture:
    """A start permission with its collaborators."""

    def __init__(self, outbox: Outbox) -> None:
        self.settings, self.csms, self.activated = TransactionSettings(), fakes.FakeCsms(), True
        self.restart = RestartController({}, outbox, self.csms, self.settings, fakes.clock(), lambda _: None)
        self.permission = StartPermission(self.restart, self, self.csms, self.settings)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncGenerator[StartPermissionFixture]:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        yield StartPermissionFixture(Outbox(database, clock))


AT_THE_STATION = (StartSource.CARD, StartSource.BUTTON, StartSource.PLUG_IN)


async def test_nobody_begins_while_the_station_is_about_to_restart(harness: StartPermissionFixture) -> None:
    assert harness.permission.refusal(StartSource.CARD) is None
    harness.restart.schedule_restart()
    assert {harness.permission.refusal(source) for source in StartSource} == {"the station is about to restart"}


async def test_before_the_activation_only_an_installer_may_test(harness: StartPermissionFixture) -> None:
    harness.activated = False
    assert harness.permission.refusal(StartSource.INSTALLER) is None
    for source in (*AT_THE_STATION, StartSource.REMOTE):
        assert harness.permission.refusal(source) == "the station is not activated yet"


async def test_at_an_activated_station_no_installer_tests(harness: StartPermissionFixture) -> None:
    assert harness.permission.refusal(StartSource.INSTALLER) == "the station is activated already"


@pytest.mark.parametrize("enabled", [True, False])
async def test_before_the_csms_accepts_the_station_the_setting_decides(
    harness: StartPermissionFixture, enabled: bool
) -> None:
    """B02.FR.03, B03.FR.01: of whoever presents a card; a remote start comes from the CSMS itself."""
    harness.csms.accepted = False
    harness.settings.override(TransactionSettings.tx_before_accepted_enabled, enabled)
    for source in AT_THE_STATION:
        refusal = harness.permission.refusal(source)
        assert refusal == (None if enabled else "the CSMS has not accepted the station")
    assert harness.permission.refusal(StartSource.REMOTE) is None
