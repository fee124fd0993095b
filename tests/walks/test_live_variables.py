"""Each change of a variable that can be monitored is published at once by the part that owns the value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ocpp_handlers.variables.variable import DataType, Mutability, Variable
from ocpp_handlers.wire.edition import EDITIONS, Edition
from station.core.model import Fault
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.firmware.state import FirmwareStatus, UpdateOrder
from station.security.certificates.certificate_store import CertificateStore
from station.security.security_events import SecurityEvents, SecurityEventType
from tests.conformance.pki import Pki
from tests.csms import Csms
from tests.walk import Walk, walking
from tests.walks.house import GRID, House
from tests.walks.steps import charge
from tests.walks.written_variables import address, reconnected_after

PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    ],
}


class Watched:
    """Reads variables only when their owner publishes a change, as a monitor does."""

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._variables = [variable for variable in variables if variable.access.changes is not None]
        self._known = {id(variable): variable.read() for variable in self._variables}
        self.changed: set[str] = set()
        """the variables of which a change was published"""
        for variable in self._variables:
            assert variable.access.changes is not None
            variable.access.changes.subscribe(lambda _, variable=variable: self._read(variable))

    def _read(self, variable: Variable) -> None:
        if variable.read() != self._known[id(variable)]:
            self._known[id(variable)] = variable.read()
            self.changed.add(_name(variable))

    def missed(self) -> set[str]:
        """The variables that have another value than at the last published change."""
        return {_name(variable) for variable in self._variables if variable.read() != self._known[id(variable)]}


def _name(variable: Variable) -> str:
    return f"{variable.component.name}.{variable.name}" + (f"[{variable.instance}]" if variable.instance else "")


async def test_a_charge_publishes_each_change_of_power_current_registers_and_states(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        watched = Watched(walk.device_model)
        await charge(walk)
        for _ in range(10):
            await walk.advance(1.0)
            assert watched.missed() == set()
        await walk.present()
        await walk.advance(5.0)
        await walk.unplug()
        await walk.advance(5.0)
        assert watched.missed() == set()
        assert {
            "ChargingStation.AvailabilityState",
            "ChargingStation.Power",
            "Connector.AvailabilityState",
            "ConnectorPlugRetentionLock.Active",
            "CPPWMController.Active",
            "CPPWMController.State",
            "EVSE.ACCurrent[L1]",
            "EVSE.ACCurrent[L3]",
            "EVSE.AvailabilityState",
            "EVSE.Power",
            "FiscalMetering.EnergyImportRegister",
            "OCPPCommCtrlr.Entries[TransactionEvents]",
            "PowerContactor.Active",
            "PowerContactor.Count",
        } <= watched.changed


async def test_faults_temperature_and_the_flap_are_published(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        watched = Watched(walk.device_model)
        for fault in (
            Fault.LOCK,
            Fault.GROUND_FAULT,
            Fault.RESIDUAL_MONITOR,
            Fault.OVER_TEMPERATURE,
            Fault.BOARD,
            Fault.READER,
            Fault.METER,
        ):
            walk.evse.report_fault(fault, True)
            assert watched.missed() == set()
            walk.evse.report_fault(fault, False)
            assert watched.missed() == set()
        walk.board.set_temperature(61.5)
        walk.world.back_plate.move_flap(True)
        await walk.settle()
        assert watched.missed() == set()
        walk.world.fail_meter(1, True)
        await walk.advance(15.0)
        assert walk.device_model.rows()
        assert watched.missed() == set()
        assert {
            "CaseAccessSensor.Active",
            "CaseAccessSensor.Tripped",
            "ConnectorPlugRetentionLock.Problem",
            "Controller.Problem",
            "CPPWMController.Problem",
            "EVSE.ACVoltage[L1]",
            "EVSE.Power",
            "EVSE.Problem",
            "FiscalMetering.Problem",
            "RCD.Problem",
            "RCD.Tripped",
            "TemperatureSensor.Active",
            "TemperatureSensor.Temperature",
        } <= watched.changed


async def test_the_link_and_what_waits_for_it_are_published(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        watched = Watched(walk.device_model)
        walk.stack.cut_network()
        await walk.until(lambda: not walk.stack.connected)
        # A display may show its first screen meanwhile.
        assert watched.changed - {"Display.DataText[Visible]"} == {"DataLink.Active"}
        await walk.application.parts.get(SecurityEvents).report(SecurityEventType.MEMORY_EXHAUSTION)
        await walk.plug()  # starts a transaction (TxStartPoint)
        await walk.advance(5.0)
        assert watched.missed() == set()
        assert _values(walk)["OCPPCommCtrlr.Entries[SecurityEvents]"] == "1"
        waiting = _values(walk)["OCPPCommCtrlr.Entries[TransactionEvents]"]
        assert int(waiting) == await walk.parts.outbox.count_waiting() > 0
        walk.stack.restore_network()
        await walk.until(lambda: _values(walk)["OCPPCommCtrlr.Entries[TransactionEvents]"] == "0")
        await walk.until(lambda: _values(walk)["OCPPCommCtrlr.Entries[SecurityEvents]"] == "0")
        assert watched.missed() == set()
        assert await walk.parts.outbox.count_waiting() == 0


async def test_what_waits_is_counted_again_after_a_power_cut(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        await walk.until(lambda: not walk.stack.connected)
        await walk.plug()
        await walk.advance(5.0)
        await walk.application.cut_power()
        await walk.application.restore_power()
        waiting = _values(walk)["OCPPCommCtrlr.Entries[TransactionEvents]"]
        assert int(waiting) == await walk.parts.outbox.count_waiting() > 0
        await walk.until(lambda: _values(walk)["OCPPCommCtrlr.Entries[TransactionEvents]"] == "0")


async def test_the_grid_meter_is_published_with_its_values_and_when_it_falls_silent(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk:
        await walk.accepted()
        watched, house = Watched(walk.device_model), House(walk)
        assert _values(walk)["ControlMetering.Problem"] == "true"
        await house.live(3)
        assert (_values(walk)["ControlMetering.Problem"], _values(walk)["ElectricalFeed.ACCurrent[L2]"]) == (
            "false",
            "4.00",
        )
        house.loads_a = (4.0, 9.0, 4.0)
        await house.live(2)
        assert _values(walk)["ElectricalFeed.ACCurrent[L2]"] == "9.00"
        assert watched.missed() == set()
        await walk.advance(15.0)
        assert _values(walk)["ControlMetering.Problem"] == "true"
        assert _values(walk)["ElectricalFeed.ACCurrent[L2]"] == "", "unknown, not the last value"
        assert watched.missed() == set()
        assert {"ControlMetering.Problem", "ElectricalFeed.ACCurrent[L2]"} <= watched.changed


async def test_the_free_space_and_the_offset_of_the_clock_are_known(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        watched = Watched(walk.device_model)
        await walk.accepted()
        assert int(_values(walk)["Controller.StorageFree"]) > 0
        assert abs(float(_values(walk)["ClockCtrlr.Offset"])) < 60.0
        assert _values(walk)["FirmwareCtrlr.State"] == "Idle"
        assert watched.missed() == set()


def _values(walk: Walk) -> dict[str, str]:
    return {_name(variable): variable.read() for variable in walk.device_model}


async def test_the_state_of_a_firmware_update_is_published(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        watched, record = Watched(walk.device_model), walk.application.parts.get(FirmwareUpdates).record
        update = await record.begin(UpdateOrder(7, None, walk.application.clock.now()))
        await record.store_status(update, FirmwareStatus.DOWNLOADED)
        assert _values(walk)["FirmwareCtrlr.State"] == "Downloaded"
        assert watched.missed() == set()
        assert "FirmwareCtrlr.State" in watched.changed


async def test_the_days_until_the_certificate_expires_are_published_as_they_pass(tmp_path: Path) -> None:
    """At the check for renewal, which takes place every hour."""
    issued = Pki(tmp_path / "pki").station("0001")
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        watched = Watched(walk.device_model)
        assert _values(walk)["SecurityCtrlr.CertificateDaysLeft"] == ""
        store = walk.application.parts.get(CertificateStore)
        await store.install_unchecked(None, f"{issued.key_pem}{issued.pem}")
        first = int(_values(walk)["SecurityCtrlr.CertificateDaysLeft"])
        assert first > 30
        assert watched.missed() == set()
        watched.changed.clear()
        await walk.until(
            lambda: "SecurityCtrlr.CertificateDaysLeft" in watched.changed, within_s=90_000.0, step_s=600.0
        )
        assert int(_values(walk)["SecurityCtrlr.CertificateDaysLeft"]) == first - 1


async def test_what_is_installed_is_counted_as_it_changes(tmp_path: Path) -> None:
    root = Pki(tmp_path / "pki").root
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        watched = Watched(walk.device_model)
        installed = {"certificateType": "CSMSRootCertificate", "certificate": root.pem}
        assert (await walk.csms.call("InstallCertificate", installed))["status"] == "Accepted"
        assert (await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE}))["status"] == (
            "Accepted"
        )
        assert watched.missed() == set()
        assert {"SecurityCtrlr.CertificateEntries", "SmartChargingCtrlr.Entries[ChargingProfiles]"} <= watched.changed
        watched.changed.clear()
        assert (await walk.csms.call("ClearChargingProfile", {"chargingProfileId": 1}))["status"] == "Accepted"
        assert watched.missed() == set()
        assert "SmartChargingCtrlr.Entries[ChargingProfiles]" in watched.changed


async def test_each_variable_that_supports_monitoring_has_an_owner_that_publishes_its_changes(tmp_path: Path) -> None:
    """B08.FR.07: supportsMonitoring is true only where it is so; two rarely change, and are sampled."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        names = {
            _name(variable) for variable in walk.device_model if variable.supports_monitoring and variable.is_sampled
        }
        assert names == {"EVSE.AllowReset", "FiscalMetering.PublicKey"}
        assert "ClockCtrlr.DateTime" not in {
            _name(variable) for variable in walk.device_model if variable.supports_monitoring
        }


async def test_each_order_of_the_csms_publishes_what_it_changes(tmp_path: Path) -> None:
    token = {"idToken": "04E2A1", "type": "ISO14443"}
    listed = {"idToken": token, "idTokenInfo": {"status": "Accepted"}}
    reservation = {"id": 1, "expiryDateTime": "2099-01-01T00:00:00Z", "idToken": token}
    display_message = {"id": 1, "priority": "AlwaysFront", "message": {"format": "UTF8", "content": "Hello"}}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.advance(2.0)
        watched = Watched(walk.device_model)
        for action, payload, expected in (
            ("ReserveNow", {**reservation, "evseId": 1}, "Connector.AvailabilityState"),
            ("CancelReservation", {"reservationId": 1}, "EVSE.AvailabilityState"),
            ("ReserveNow", reservation, "ChargingStation.AvailabilityState"),
            ("CancelReservation", {"reservationId": 1}, "ChargingStation.AvailabilityState"),
            ("ChangeAvailability", {"operationalStatus": "Inoperative"}, "ChargingStation.AvailabilityState"),
            ("ChangeAvailability", {"operationalStatus": "Operative"}, "EVSE.AvailabilityState"),
            (
                "SendLocalList",
                {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [listed]},
                "LocalAuthListCtrlr.Entries",
            ),
            ("SendLocalList", {"versionNumber": 2, "updateType": "Full"}, "LocalAuthListCtrlr.Storage"),
            ("SetDisplayMessage", {"message": display_message}, "Display.State"),
            ("ClearDisplayMessage", {"id": 1}, "Display.DataText[Visible]"),
            ("SetMonitoringBase", {"monitoringBase": "All"}, "MonitoringCtrlr.ActiveMonitoringBase"),
            ("SetMonitoringLevel", {"severity": 8}, "MonitoringCtrlr.ActiveMonitoringLevel"),
        ):
            assert (await walk.csms.call(action, payload))["status"] == "Accepted", action
            await walk.advance(2.0)
            assert watched.missed() == set(), action
            assert expected in watched.changed, action
            watched.changed.clear()
        await walk.plug()
        await walk.present()
        await walk.advance(2.0)
        assert watched.missed() == set()
        assert {"AuthCacheCtrlr.Storage", "Display.DataText[Visible]"} <= watched.changed
        watched.changed.clear()
        assert (await walk.csms.call("ClearCache", {}))["status"] == "Accepted"
        assert "AuthCacheCtrlr.Storage" in watched.changed
        assert watched.missed() == set()


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.name)
async def test_each_setting_that_is_written_publishes_its_change(tmp_path: Path, edition: Edition) -> None:
    async with walking(tmp_path, Csms(subprotocol=edition.subprotocol)) as walk:
        await walk.accepted()
        watched, count = Watched(walk.device_model), 0
        for variable in list(walk.device_model):
            if variable.mutability is not Mutability.READ_WRITE or (value := _different_value(variable)) is None:
                continue
            answer = await walk.csms.call("SetVariables", {"setVariableData": [address(variable, value)]})
            if answer["setVariableResult"][0]["attributeStatus"] == "Accepted":
                count += 1
                assert _name(variable) in watched.changed, "published before the answer"
                await reconnected_after(walk, variable)
            assert watched.missed() == set(), _name(variable)
        assert count > 50


def _different_value(variable: Variable) -> str | None:
    """A value that the variable does not have; None: not known."""
    value = variable.read()
    match variable.description.data_type:
        case DataType.BOOLEAN:
            return "false" if value == "true" else "true"
        case DataType.INTEGER | DataType.DECIMAL:
            return str(int(value or 0) + 1)
        case DataType.OPTION_LIST | DataType.MEMBER_LIST | DataType.SEQUENCE_LIST:
            return next((choice for choice in variable.description.values if choice != value), None)
        case DataType.STRING:
            return "abc"
        case DataType.DATE_TIME:
            return None
