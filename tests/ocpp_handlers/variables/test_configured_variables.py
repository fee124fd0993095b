"""What the installation file makes of the device model, over a model built by hand and over a whole station."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec.structs import replace

from foundation.clock import SystemClock
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.configured_variables import ConfiguredVariable, ConfiguredVariables
from ocpp_handlers.variables.device_model import DeviceModel, VariableNotFound
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from ocpp_handlers.variables.variable import (
    AttributeType,
    Component,
    DataType,
    Mutability,
    Variable,
    read_only_variable,
)
from station.charging.transaction_settings import TransactionSettings
from station.load.smart_charging_settings import SmartChargingSettings
from station.security.security_settings import SecuritySettings
from station.storage.database import Database
from station.storage.fact_store import FactStore
from tests import fakes
from tests.csms import Csms, Payload
from tests.databases import open_database
from tests.walk import walking

KNOWN = Component("Known")
OWN = Component("VendorThing", evse_id=1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    async with open_database(tmp_path / "db", SystemClock()) as database:
        yield database


def row(
    place: Component,
    name: str,
    value: str | None = None,
    mutability: Mutability | None = None,
    attribute: AttributeType = AttributeType.ACTUAL,
) -> ConfiguredVariable:
    return ConfiguredVariable(place, name, None, attribute, value, mutability)


async def model_with(database: Database, *rows: ConfiguredVariable) -> DeviceModel:
    """A model with one variable, and these configured rows over it."""
    model = DeviceModel([read_only_variable(KNOWN, "Fixed", DataType.STRING, lambda: "as built")], fakes.RaisingCalls())
    await ConfiguredVariables(model, FactStore(database, "variable")).apply(rows)
    return model


def find(model: DeviceModel, place: Component, name: str, attribute: AttributeType = AttributeType.ACTUAL) -> Variable:
    found = model.find(place, name, attribute=attribute)
    assert not isinstance(found, VariableNotFound), found
    return found


async def test_a_value_overrides_what_is_reported(database: Database) -> None:
    model = await model_with(database, row(KNOWN, "Fixed", "as installed"))
    assert find(model, KNOWN, "Fixed").read() == "as installed"
    assert not find(model, KNOWN, "Fixed").writable


async def test_what_the_station_can_do_is_not_changed_by_a_value(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be reported and change nothing."""
    for value in ("false", "True"):
        available = read_only_variable(KNOWN, "Available", DataType.BOOLEAN, lambda: "true", constant=True)
        model = DeviceModel([available], fakes.RaisingCalls())
        await ConfiguredVariables(model, FactStore(database, "variable")).apply([row(KNOWN, "Available", value)])
        assert find(model, KNOWN, "Available").read().casefold() == "true"
    (refused,) = caplog.messages
    assert refused.startswith('variable Known.Available must be "true"')


async def test_a_name_that_is_not_known_is_no_variable_without_its_mutability(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    model = await model_with(database, row(KNOWN, "Fixde", "x"), row(Component("Nonsuch"), "Fixed", "x"))
    assert len(model.rows()) == 1
    assert "variable Known.Fixde is not known" in caplog.text
    assert "variable Nonsuch.Fixed is not known" in caplog.text


async def test_an_own_variable_is_written_and_kept_where_it_may_be(database: Database) -> None:
    rows = (
        row(OWN, "Colour", "red", Mutability.READ_WRITE),
        row(OWN, "Colour", "green", Mutability.READ_WRITE, AttributeType.TARGET),
        row(OWN, "Batch", "7", Mutability.READ_ONLY),
    )
    model = await model_with(database, *rows)
    colour, target = find(model, OWN, "Colour"), find(model, OWN, "Colour", AttributeType.TARGET)
    assert (colour.read(), target.read(), find(model, OWN, "Batch").read()) == ("red", "green", "7")
    assert not find(model, OWN, "Batch").writable
    assert colour.access.write is not None
    with pytest.raises(ValueError, match="must have at most"):
        await colour.access.write("x" * 1001)
    await colour.access.write("blue")
    again = await model_with(database, *rows)
    assert find(again, OWN, "Colour").read() == "blue"
    assert find(again, OWN, "Colour", AttributeType.TARGET).read() == "green"


async def test_what_is_reported_becomes_writable_where_the_installer_says_so(database: Database) -> None:
    model = await model_with(database, row(KNOWN, "Fixed", mutability=Mutability.READ_WRITE))
    variable = find(model, KNOWN, "Fixed")
    assert variable.read() == "as built"
    assert variable.access.write is not None
    await variable.access.write("as set")
    assert find(model, KNOWN, "Fixed").read() == "as set"


@pytest.mark.parametrize(
    ("component", "name", "value"),
    [
        ("SecurityCtrlr", "AllowSecurityProfileDowngrade", "true"),
        ("SecurityCtrlr", "AdditionalRootCertificateCheck", "true"),
        ("SecurityCtrlr", "MaxCertificateChainSize", "5000"),
        ("SmartChargingCtrlr", "RateUnit", "A"),
    ],
)
async def test_a_setting_that_the_installer_leaves_to_the_csms_is_changed_by_what_it_writes(
    tmp_path: Path, component: str, name: str, value: str
) -> None:
    """B05.FR.10: also after a power cut; what no setting takes is refused (B05.FR.07)."""
    csms = Csms()
    rows = [{"component": component, "variable": name, "mutability": "ReadWrite"}]
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        item = {"component": {"name": component}, "variable": {"name": name}, "attributeValue": "nonsense"}
        (refused,) = (await csms.call("SetVariables", {"setVariableData": [item]}))["setVariableResult"]
        assert refused["attributeStatus"] == "Rejected"
        await walk.set_variable(component, name, value)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        await walk.settle()
        security = walk.parts.settings(SecuritySettings)
        in_force = {
            "AllowSecurityProfileDowngrade": security.allow_security_profile_downgrade,
            "AdditionalRootCertificateCheck": security.additional_root_certificate_check,
            "MaxCertificateChainSize": security.max_certificate_chain_size,
            "RateUnit": walk.parts.settings(SmartChargingSettings).charging_rate_units,
        }
        assert in_force[name] == {"true": True, "5000": 5000, "A": ("A",)}[value]


def _request(action: str, items: int) -> Payload:
    """A request with the variable of its own bound, so many times over."""
    address: Payload = {
        "component": {"name": "DeviceDataCtrlr"},
        "variable": {"name": "ItemsPerMessage", "instance": "GetReport"},
    }
    match action:
        case "GetVariables":
            return {"getVariableData": [address] * items}
        case "SetVariables":
            return {"setVariableData": [{**address, "attributeValue": "1"}] * items}
        case _:
            return {"requestId": 7, "componentVariable": [address] * items}


@pytest.mark.parametrize("action", ["GetReport", "GetVariables", "SetVariables"])
@pytest.mark.parametrize(
    ("name", "value", "fits", "too_large", "code"),
    [
        ("ItemsPerMessage", "3", 3, 4, "OccurrenceConstraintViolation"),
        ("ItemsPerMessage", "60", 60, 61, "OccurrenceConstraintViolation"),
        ("BytesPerMessage", "700", 4, 8, "FormatViolation"),
    ],
)
async def test_a_message_size_of_the_installer_is_reported_and_enforced(
    tmp_path: Path, action: str, name: str, value: str, fits: int, too_large: int, code: str
) -> None:
    """B05.FR.11, B06.FR.16, B06.FR.17, B08.FR.17, B08.FR.18."""
    csms = Csms()
    rows = [{"component": "DeviceDataCtrlr", "variable": name, "instance": action, "value": value}]
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        await csms.call(action, _request(action, fits))
        refused = await csms.request(action, _request(action, too_large))
        assert (refused[0], refused[2]) == (4, code)
        requested = {"component": {"name": "DeviceDataCtrlr"}, "variable": {"name": name, "instance": action}}
        (result,) = (await csms.call("GetVariables", {"getVariableData": [requested]}))["getVariableResult"]
        assert result["attributeValue"] == value


async def test_a_message_size_that_would_shut_the_csms_out_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"component": "DeviceDataCtrlr", "variable": "BytesPerMessage", "instance": "SetVariables", "value": "0"}]
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        assert "variable DeviceDataCtrlr.BytesPerMessage must be between" in caplog.text
        assert walk.parts.settings(VariableRequestSettings).set_variables_bytes == 65_536


async def test_a_bound_that_the_program_enforces_cannot_be_overridden(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by the installation file nor by the simulation: what is reported is what is in force."""
    places = [
        ("OCPPCommCtrlr", "ReportsLimit", "ChargingProfiles"),
        ("OCPPCommCtrlr", "MessageTimeout", "Default"),
        ("SmartChargingCtrlr", "PeriodsPerSchedule", None),
        ("AuthCtrlr", "AdditionalInfoItemsPerMessage", None),
        ("DeviceDataCtrlr", "ConfigurationValueSize", None),
    ]
    rows = [
        {"component": component, "variable": name, "value": "7", "mutability": "ReadWrite"}
        | ({"instance": instance} if instance else {})
        for component, name, instance in places
    ]
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        model = walk.device_model
        for component, name, instance in places:
            assert f"variable {component}.{name} is fixed by the program" in caplog.text
            variable = model.find(Component(component), name, instance)
            assert not isinstance(variable, VariableNotFound)
            assert (variable.read() == "7", variable.mutability) == (False, Mutability.READ_ONLY)
            row = next(row for row in model.rows() if (row.component, row.variable, row.instance) == (
                component, name, instance))  # fmt: skip
            with pytest.raises(ValueError, match="is fixed by the program"):
                model.override(replace(row, value="7"))


async def test_a_variable_that_equals_its_maximum_is_fixed_or_enforced(tmp_path: Path) -> None:
    """Such a variable reports a bound; a new one is fixed too, or is bound to a setting."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        bounds = [
            variable
            for variable in walk.device_model
            if variable.description.maximum is not None and variable.read() == str(variable.description.maximum)
        ]
        assert len(bounds) > 10
        assert [
            variable.name for variable in bounds if not variable.description.fixed and variable.access.override is None
        ] == []


async def test_the_installers_variables_are_reported_written_and_outlive_a_power_cut(tmp_path: Path) -> None:
    """B05.FR.10, B07.FR.11; a setting that was made ReadOnly is refused (B05.FR.09)."""
    rows = [
        {"component": "VendorThing", "evse": 1, "variable": "Colour", "value": "red", "mutability": "ReadWrite"},
        {"component": "VendorThing", "evse": 1, "variable": "Colour", "attribute": "Target", "value": "green",
         "mutability": "ReadOnly"},
        {"component": "VendorThing", "evse": 1, "variable": "Key", "mutability": "WriteOnly", "value": "secret-key"},
        {"component": "TxCtrlr", "variable": "EVConnectionTimeOut", "value": "77", "mutability": "ReadOnly"},
        {"component": "OCPPCommCtrlr", "variable": "OfflineThreshold", "value": "33"},
    ]  # fmt: skip
    csms = Csms()
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        component = {"name": "VendorThing", "evse": {"id": 1}}
        requested = [
            {"component": component, "variable": {"name": "Colour"}, "attributeValue": "blue"},
            {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}, "attributeValue": "5"},
            {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}, "attributeValue": "44"},
        ]
        written = (await csms.call("SetVariables", {"setVariableData": requested}))["setVariableResult"]
        assert [result["attributeStatus"] for result in written] == ["Accepted", "Rejected", "Accepted"]
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        await walk.settle()
        report = {"requestId": 3, "componentVariable": [{"component": component}]}
        assert (await csms.call("GetReport", report))["status"] == "Accepted"
        part = await csms.expect("NotifyReport", lambda part: part["requestId"] == 3)
        attributes = {row["variable"]["name"]: row["variableAttribute"] for row in part["reportData"]}
        assert [(attribute["type"], attribute.get("value")) for attribute in attributes["Colour"]] == [
            ("Actual", "blue"),
            ("Target", "green"),
        ]
        assert "value" not in attributes["Key"][0]
        assert walk.parts.settings(TransactionSettings).ev_connection_timeout_s == 77
        assert walk.parts.settings(CsmsLinkSettings).offline_threshold_s == 44
