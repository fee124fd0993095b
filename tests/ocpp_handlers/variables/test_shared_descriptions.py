"""Stations of one process share the descriptions of their variables, and nothing that one of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne.station_settings import StationSettings
from foundation.events import Event
from ocpp_handlers.variables.configured_variables import ConfiguredVariable, ConfiguredVariables
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import AttributeType, Component, DataType, Mutability, Variable, create_variable
from station.charging.transaction_settings import TransactionSettings
from station.core.csms import VariableRow
from station.display.display_settings import DisplaySettings
from station.storage.fact_store import FactStore
from tests import fakes
from tests.databases import open_database

PLACE = Component("TxCtrlr")
NAME = "EVConnectionTimeOut"
ROW = VariableRow("TxCtrlr", None, None, None, NAME, None, "Actual", "77", "")


class SharingStation:
    """The settings of a station, and a device model with one of them, a live value and a constant."""

    def __init__(self) -> None:
        self.settings = StationSettings()
        binding = SettingBinding(self.settings.groups, fakes.RaisingCalls())
        self.live = "1"
        self.model = DeviceModel(
            [
                binding.variable(PLACE, NAME, TransactionSettings.ev_connection_timeout_s, unit="s"),
                binding.variable(Component("DisplayMessageCtrlr"), "Enabled", DisplaySettings.display_messages_enabled),
                create_variable(PLACE, "Live", DataType.INTEGER, Mutability.READ_ONLY, lambda: self.live),
            ],
            fakes.RaisingCalls(),
        )
        self.changes: list[tuple[str, str]] = []
        self.model.changed.subscribe(lambda change: self.changes.append((change.variable.name, change.value)))

    def find(self, name: str = NAME) -> Variable:
        """The variable of this name of TxCtrlr."""
        found = self.model.find(PLACE, name)
        assert isinstance(found, Variable)
        return found


@pytest.fixture
def stations() -> tuple[SharingStation, SharingStation]:
    return SharingStation(), SharingStation()


Both = tuple[SharingStation, SharingStation]


def test_equal_descriptions_are_one_object(stations: Both) -> None:
    first, second = stations
    for name in (NAME, "Live"):
        assert first.find(name).description is second.find(name).description
        assert first.find(name) is not second.find(name)


async def test_each_station_has_its_own_value(stations: Both) -> None:
    first, second = stations
    before = second.find().read()
    await first.model.write(first.find(), "77")
    first.live = "2"
    assert (first.find().read(), second.find().read()) == ("77", before)
    assert (first.find("Live").read(), second.find("Live").read()) == ("2", "1")
    assert second.changes == []


async def test_what_one_station_observes_another_does_not(stations: Both) -> None:
    first, second = stations
    for station in stations:
        station.model.observe(station.find())
    await first.settings.transactions.change(TransactionSettings.ev_connection_timeout_s, "77")
    assert (first.changes, second.changes) == ([(NAME, "77")], [])
    first.model.end_observation(first.find())
    await second.settings.transactions.change(TransactionSettings.ev_connection_timeout_s, "88")
    assert (first.changes, second.changes) == ([(NAME, "77")], [(NAME, "88")])


def test_an_override_is_that_of_one_station(stations: Both) -> None:
    first, second = stations
    before = second.find().read()
    first.model.override(ROW)
    assert (first.find().read(), second.find().read()) == ("77", before)
    first.model.restore(ROW)
    assert first.find().read() == before


async def test_what_an_installation_file_changes_is_changed_at_one_station(stations: Both, tmp_path: Path) -> None:
    first, second = stations
    before = second.find().read()
    row = ConfiguredVariable(PLACE, NAME, None, AttributeType.ACTUAL, "77", Mutability.READ_ONLY)
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await ConfiguredVariables(first.model, FactStore(database, "variable")).apply([row])
    assert (first.find().writable, first.find().read()) == (False, "77")
    assert (second.find().writable, second.find().read()) == (True, before)


def test_other_limits_are_another_description() -> None:
    def variable(maximum: float) -> Variable:
        return create_variable(
            PLACE, "Live", DataType.INTEGER, Mutability.READ_ONLY, lambda: "", maximum=maximum, changes=Event[None]()
        )

    assert variable(1.0).description is variable(1.0).description
    assert variable(2.0).description.maximum == 2.0
