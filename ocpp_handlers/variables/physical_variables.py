"""Variables of physical components: the station, its EVSEs and connectors, and their parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.events import Event, merged
from foundation.frozen import Frozen
from ocpp_handlers.variables.variable import (
    AttributeType,
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from ocpp_handlers.wire.edition import V21
from station.charging.evse_state import all_faults, ev_connected
from station.core.hardware.board import Sensor
from station.core.model import ConnectorStatus, Fault
from station.core.sampling import Measurand

if TYPE_CHECKING:
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.charging.signing.meter_value_signing import MeterValueSigning

_STATUSES = tuple(ConnectorStatus)
_RESIDUAL_CURRENT_FAULTS = frozenset({Fault.GROUND_FAULT, Fault.DC_RESIDUAL_CURRENT})
_CONTACTOR_FAULTS = frozenset({Fault.CONTACTOR_WELDED, Fault.CONTACTOR_STUCK_OPEN, Fault.POWER_SWITCH})
_SENSORS = {
    "EmergencyStopSensor": Sensor.EMERGENCY_STOP,
    "BayOccupancySensor": Sensor.BAY,
    "TemperatureSensor": Sensor.TEMPERATURE,
}
_BOARD_FAULTS = frozenset({Fault.BOARD, Fault.BOARD_SILENT})
_PILOT_FAULTS = frozenset({Fault.DIODE, Fault.PILOT, *_BOARD_FAULTS})
PHASE_NAMES = ("L1", "L2", "L3")
"""variable instances of values per phase (PhaseEnumType)"""


class Nameplate(Frozen):
    """What the installation file says about the station: model, serial number, SIM, reader and grid connection.

    Source of constant variables; None: the variable is left out.
    """

    model: str
    vendor: str
    serial_number: str | None
    firmware_version: str
    iccid: str | None = None
    """of the SIM card of a mobile link (ModemType)"""
    imsi: str | None = None
    has_reader: bool = False
    """whether a token reader is fitted"""
    feed_phases: int | None = None
    """phases of the site's grid connection; None if unknown"""
    feed_fuse_a: float | None = None
    """rated current of the fuse of the grid connection, A; None if unknown"""


def physical_variables(
    station: ChargingStation, plate: Nameplate, connected: Callable[[], bool], connected_changed: Event[None]
) -> Iterator[Variable]:
    """Yield the variables of the station, token reader, data link, grid connection, EVSEs, connectors and their parts.

    `connected` returns whether the link to the CSMS is up; `connected_changed` is published when that changes.
    """
    yield from _station_variables(station, plate)
    yield from _link_variables(plate, connected, connected_changed)
    yield from _feed_variables(plate)
    for evse in station.evses.values():
        yield from _evse_variables(evse, station)
        yield from _connector_variables(evse)
        yield from _part_variables(evse, station.assemblies[evse.id].signing)
        yield from _measured_variables(evse)


def _station_variables(station: ChargingStation, plate: Nameplate) -> Iterator[Variable]:
    place, evses = Component("ChargingStation"), tuple(station.evses.values())
    phases, changes = max(evse.layout.phases for evse in evses), merged(evse.state_changed for evse in evses)
    yield _available_variable(place)
    yield read_only_variable(
        place,
        "AvailabilityState",
        DataType.OPTION_LIST,
        lambda: station.status.value,
        values=_STATUSES,
        changes=changes,
    )
    yield read_only_variable(place, "SupplyPhases", DataType.INTEGER, lambda: str(phases), constant=True)
    yield read_only_variable(
        place,
        "Problem",
        DataType.BOOLEAN,
        lambda: _boolean_text(any(_is_faulted(evse) for evse in evses)),
        changes=changes,
    )
    yield read_only_variable(
        place,
        "Power",
        DataType.DECIMAL,
        lambda: _total_power_text(evses),
        unit="W",
        maximum=sum(_rated_power_w(evse) for evse in evses),
        changes=merged(evse.meter.values_changed for evse in evses),
    )
    for name, text in (
        ("Model", plate.model),
        ("VendorName", plate.vendor),
        ("SerialNumber", plate.serial_number),
        ("FirmwareVersion", plate.firmware_version),
    ):
        if text is not None:
            yield read_only_variable(place, name, DataType.STRING, lambda text=text: text, constant=True)
    if plate.has_reader:
        reader = Component("TokenReader")
        yield _available_variable(reader)
        yield read_only_variable(
            reader,
            "Problem",
            DataType.BOOLEAN,
            lambda: _boolean_text(any(_has_fault(evse, Fault.READER) for evse in evses)),
            changes=changes,
        )


def _link_variables(plate: Nameplate, connected: Callable[[], bool], changes: Event[None]) -> Iterator[Variable]:
    place = Component("DataLink")
    yield _available_variable(place)
    yield read_only_variable(place, "Active", DataType.BOOLEAN, lambda: _boolean_text(connected()), changes=changes)
    for name, text in (("ICCID", plate.iccid), ("IMSI", plate.imsi)):
        if text is not None:
            yield read_only_variable(place, name, DataType.STRING, lambda text=text: text, constant=True)


def _feed_variables(plate: Nameplate) -> Iterator[Variable]:
    if plate.feed_phases is None:
        return
    place, phases = Component("ElectricalFeed"), plate.feed_phases
    yield _available_variable(place)
    yield read_only_variable(place, "SupplyPhases", DataType.INTEGER, lambda: str(phases), constant=True)
    if (fuse_a := plate.feed_fuse_a) is not None:
        yield read_only_variable(place, "FuseRating", DataType.DECIMAL, lambda: f"{fuse_a:g}", unit="A", constant=True)


def _evse_variables(evse: Evse, station: ChargingStation) -> Iterator[Variable]:
    place, restart = Component("EVSE", evse_id=evse.id), station.restart

    def allow_reset(text: str) -> None:
        if text not in {"true", "false"}:
            raise ValueError("must be true or false")
        (restart.resettable.add if text == "true" else restart.resettable.discard)(evse.id)

    yield _available_variable(place)
    yield _availability_state_variable(place, evse)
    yield read_only_variable(
        place,
        "AllowReset",  # B11.FR.10
        DataType.BOOLEAN,
        lambda: _boolean_text(evse.id in restart.resettable),
        override=allow_reset,
        restore=lambda: allow_reset("true"),
    )
    yield read_only_variable(place, "SupplyPhases", DataType.INTEGER, lambda: str(evse.layout.phases), constant=True)
    # The rated power of the EVSE, as maxLimit; the actual power is measured.
    yield read_only_variable(
        place,
        "Power",
        DataType.DECIMAL,
        lambda: _power_text(evse),
        unit="W",
        maximum=_rated_power_w(evse),
        changes=evse.meter.values_changed,
    )
    # What is offered to the vehicle: a TargetDelta monitor tells that it takes less, or more.
    yield create_variable(
        place,
        "Power",
        DataType.DECIMAL,
        Mutability.READ_ONLY,
        lambda: decimal_text(sum(evse.offered) * NOMINAL_VOLTAGE_V),
        unit="W",
        maximum=_rated_power_w(evse),
        attribute=AttributeType.TARGET,
        changes=evse.state_changed,
        since=V21,
    )
    yield read_only_variable(
        place, "Problem", DataType.BOOLEAN, lambda: _boolean_text(_is_faulted(evse)), changes=evse.state_changed
    )


def _connector_variables(evse: Evse) -> Iterator[Variable]:
    place = Component("Connector", evse_id=evse.id, connector_id=evse.layout.connector_id)
    yield _available_variable(place)
    yield _availability_state_variable(place, evse)
    yield read_only_variable(place, "ConnectorType", DataType.STRING, lambda: evse.layout.connector_type, constant=True)
    yield read_only_variable(place, "SupplyPhases", DataType.INTEGER, lambda: str(evse.layout.phases), constant=True)
    yield read_only_variable(place, "ChargeProtocol", DataType.STRING, lambda: "CPPWM", constant=True)
    if not evse.layout.attached_cable:
        lock = Component("ConnectorPlugRetentionLock", evse_id=evse.id, connector_id=evse.layout.connector_id)
        yield _available_variable(lock)
        yield _boolean_variable(lock, "Active", lambda: evse.state.observation.locked, evse)
        yield _boolean_variable(lock, "Problem", lambda: _has_fault(evse, Fault.LOCK), evse)


def _part_variables(evse: Evse, signing: MeterValueSigning | None) -> Iterator[Variable]:
    """Variables of the parts of an EVSE, read from its board and meter; none for sensors that are not fitted."""
    for component, name, read in (
        ("PowerContactor", "Active", lambda: evse.state.observation.contactor_closed),
        ("PowerContactor", "Problem", lambda: _has_fault(evse, *_CONTACTOR_FAULTS)),
        ("CPPWMController", "Active", lambda: ev_connected(evse.state)),
        ("CPPWMController", "Problem", lambda: _has_fault(evse, *_PILOT_FAULTS)),
        ("Controller", "Problem", lambda: _has_fault(evse, *_BOARD_FAULTS)),
        ("RCD", "Tripped", lambda: _has_fault(evse, *_RESIDUAL_CURRENT_FAULTS)),
        ("RCD", "Problem", lambda: _has_fault(evse, Fault.RESIDUAL_MONITOR)),
        ("OverCurrentProtection", "Tripped", lambda: _has_fault(evse, Fault.OVER_CURRENT)),
        ("EmergencyStopSensor", "Active", lambda: _has_fault(evse, Fault.EMERGENCY_STOP)),
        ("BayOccupancySensor", "Active", lambda: evse.state.observation.bay_occupied),
        ("TemperatureSensor", "Active", lambda: _has_fault(evse, Fault.OVER_TEMPERATURE)),
        ("FiscalMetering", "Problem", lambda: _has_fault(evse, Fault.METER)),
    ):
        if _SENSORS.get(component) in {None, *evse.layout.sensors}:
            place = Component(component, evse_id=evse.id)
            yield _available_variable(place)
            yield _boolean_variable(place, name, read, evse)
    operations, changes = Component("PowerContactor", evse_id=evse.id), evse.state_changed
    yield read_only_variable(operations, "Count", DataType.INTEGER, lambda: str(evse.contactor.closed), changes=changes)
    pilot, meter = Component("CPPWMController", evse_id=evse.id), Component("FiscalMetering", evse_id=evse.id)
    yield read_only_variable(
        pilot, "State", DataType.STRING, lambda: evse.state.observation.pilot.value, changes=changes
    )
    for name, read in (
        ("EnergyImportRegister", lambda: _register_text(evse)),
        ("EnergyExportRegister", lambda: _export_text(evse)),
    ):
        yield read_only_variable(meter, name, DataType.DECIMAL, read, unit="Wh", changes=evse.meter.values_changed)
    if signing is not None:  # OCA note on signed meter values, 4.3.2
        yield read_only_variable(meter, "PublicKey", DataType.STRING, signing.public_key_text)
    if Sensor.TEMPERATURE in evse.layout.sensors:
        sensor = Component("TemperatureSensor", evse_id=evse.id)
        yield read_only_variable(
            sensor,
            "Temperature",
            DataType.DECIMAL,
            lambda: _temperature_text(evse),
            unit="Celsius",
            changes=changes,
        )


def _measured_variables(evse: Evse) -> Iterator[Variable]:
    """Current and voltage of each phase of an EVSE, if its meter measures them; numbered as at the meter."""
    place, measurands, changes = Component("EVSE", evse_id=evse.id), evse.meter.measurands(), evse.meter.values_changed
    for index, phase in enumerate(PHASE_NAMES[: evse.layout.phases]):
        if Measurand.CURRENT_IMPORT in measurands:
            yield read_only_variable(
                place,
                "ACCurrent",
                DataType.DECIMAL,
                lambda index=index: _current_text(evse, index),
                phase,
                unit="A",
                maximum=evse.layout.max_current_a,
                changes=changes,
            )
        if Measurand.VOLTAGE in measurands:
            yield read_only_variable(
                place,
                "ACVoltage",
                DataType.DECIMAL,
                lambda index=index: _voltage_text(evse, index),
                phase,
                unit="V",
                changes=changes,
            )


def _boolean_variable(place: Component, name: str, read: Callable[[], bool], evse: Evse) -> Variable:
    """A boolean variable that follows from the state of an EVSE."""
    return read_only_variable(place, name, DataType.BOOLEAN, lambda: _boolean_text(read()), changes=evse.state_changed)


def _availability_state_variable(place: Component, evse: Evse) -> Variable:
    return read_only_variable(
        place,
        "AvailabilityState",
        DataType.OPTION_LIST,
        lambda: evse.connector_status.value,
        values=_STATUSES,
        changes=evse.state_changed,
    )


def _available_variable(place: Component) -> Variable:
    """The variable Available, which every reported component has (part 2, Available)."""
    return read_only_variable(place, "Available", DataType.BOOLEAN, lambda: "true", constant=True)


def _has_fault(evse: Evse, *faults: Fault) -> bool:
    return not all_faults(evse.state).isdisjoint(faults)


def _is_faulted(evse: Evse) -> bool:
    return evse.connector_status is ConnectorStatus.FAULTED


def _boolean_text(fact: bool) -> str:
    return "true" if fact else "false"


def _rated_power_w(evse: Evse) -> int:
    return round(evse.layout.max_current_a * NOMINAL_VOLTAGE_V * evse.layout.phases)


def decimal_text(value: float | None, decimals: int = 1) -> str:
    """Write a measured value, rounded; empty if it is unknown (B06.FR.13)."""
    return f"{value:.{decimals}f}" if value is not None else ""


def _power_text(evse: Evse) -> str:
    reading = evse.meter.valid_reading
    return decimal_text(reading.power_w if reading is not None else None)


def _total_power_text(evses: Iterable[Evse]) -> str:
    """The power of all EVSEs together; unknown if that of one is."""
    readings = [evse.meter.valid_reading for evse in evses]
    powers_w = [reading.power_w for reading in readings if reading is not None and reading.power_w is not None]
    return decimal_text(sum(powers_w) if len(powers_w) == len(readings) else None)


def _current_text(evse: Evse, index: int) -> str:
    reading = evse.meter.valid_reading
    return decimal_text(tuple(reading.currents_a)[index] if reading is not None else None, 2)


def _voltage_text(evse: Evse, index: int) -> str:
    reading = evse.meter.valid_reading
    return decimal_text(tuple(reading.voltages_v)[index] if reading is not None else None)


def _register_text(evse: Evse) -> str:
    latest = evse.meter.latest
    return decimal_text(latest.energy_import_wh if latest is not None else None)


def _export_text(evse: Evse) -> str:
    latest = evse.meter.latest
    return decimal_text(latest.energy_export_wh if latest is not None else None)


def _temperature_text(evse: Evse) -> str:
    return decimal_text(evse.state.observation.temperature_c)
