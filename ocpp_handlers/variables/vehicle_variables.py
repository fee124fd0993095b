"""Variables of ISO 15118: ISO15118Ctrlr and ConnectedEV of each EVSE that has an SECC, and EVSE.ISO15118EvseId."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import (
    AttributeType,
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from ocpp_handlers.wire import timestamps
from station.charging.vehicle_details import VehicleDetails
from station.core.setting_groups import SettingGroups
from station.core.vehicle_link import EnergyTransferMode
from station.vehicle.vehicle_settings import VehicleSettings

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from station.core.vehicle_link import ChargingNeeds
    from station.vehicle.vehicle_communication import VehicleCommunication
    from station.vehicle.vehicles import Vehicles

_MAX_SCHEDULE_ENTRIES: Final = 1024
"""periods of a schedule for a vehicle"""
_MAX_PRIORITIES: Final = 20
_MODES: Final = ("DC", *(mode.value for mode in EnergyTransferMode))
_SWITCHES: Final = (
    ("CentralContractValidationAllowed", VehicleSettings.central_contract_validation_allowed),
    ("ContractCertificateInstallationEnabled", VehicleSettings.contract_certificate_installation_enabled),
    ("ContractValidationOffline", VehicleSettings.contract_validation_offline),
    ("PnCEnabled", VehicleSettings.pnc_enabled),
    ("RequestMeteringReceipt", VehicleSettings.request_metering_receipt),
    ("V2GCertificateInstallationEnabled", VehicleSettings.v2g_certificate_installation_enabled),
)
_REQUESTED: Final[Sequence[tuple[str, AttributeType, str, Callable[[ChargingNeeds], float]]]] = (
    ("ACCurrent", AttributeType.MIN_SET, "A", lambda needs: needs.min_current_a),
    ("ACCurrent", AttributeType.MAX_SET, "A", lambda needs: needs.max_current_a),
    ("ACVoltage", AttributeType.MAX_SET, "V", lambda needs: needs.max_voltage_v),
    ("EnergyImport", AttributeType.TARGET, "Wh", lambda needs: needs.energy_wh),
)
_TEXTS: Final = (
    ("CountryName", VehicleSettings.country_name),
    ("OrganizationName", VehicleSettings.organization_name),
    ("SeccId", VehicleSettings.secc_id),
)


def vehicle_variables(vehicles: Vehicles, auxiliary: AuxiliaryCalls) -> Iterator[Variable]:
    """Yield the variables of each EVSE that has an SECC; none for a station without one."""
    for evse_id, communication in vehicles.communications.items():
        yield from _controller_variables(evse_id, communication, auxiliary)
        yield from _vehicle_variables(Component("ConnectedEV", evse_id=evse_id), communication)


def _controller_variables(
    evse_id: int, communication: VehicleCommunication, auxiliary: AuxiliaryCalls
) -> Iterator[Variable]:
    place = Component("ISO15118Ctrlr", evse_id=evse_id)
    binding = SettingBinding(SettingGroups((communication.settings,)), auxiliary)
    for name, switch in _SWITCHES:
        yield binding.variable(place, name, switch)
    for name, text in _TEXTS:
        yield binding.variable(place, name, text)
    yield binding.variable(Component("EVSE", evse_id=evse_id), "ISO15118EvseId", VehicleSettings.iso15118_evse_id)
    most = str(_MAX_SCHEDULE_ENTRIES)
    yield read_only_variable(place, "MaxScheduleEntries", DataType.INTEGER, lambda: most, constant=True, fixed=True)
    yield _detail_variable(
        place,
        "RequestedEnergyTransferMode",
        communication,
        lambda details: details.needs.mode.value if details.needs is not None else "",
        data_type=DataType.OPTION_LIST,
        values=_MODES,
    )


def _vehicle_variables(place: Component, communication: VehicleCommunication) -> Iterator[Variable]:
    yield read_only_variable(
        place,
        "Available",
        DataType.BOOLEAN,
        lambda: str(communication.details.current.evccid is not None).lower(),
        changes=communication.details.changed,
    )
    yield _detail_variable(place, "VehicleID", communication, _vehicle_id)
    yield _detail_variable(place, "ProtocolAgreed", communication, lambda details: details.protocol or "")
    for priority in range(1, _MAX_PRIORITIES + 1):
        yield _detail_variable(
            place,
            "ProtocolSupportedByEV",
            communication,
            lambda details, priority=priority: _at(details.supported_protocols, priority),
            instance=str(priority),
        )
    yield from _request_variables(place, communication)


def _request_variables(place: Component, communication: VehicleCommunication) -> Iterator[Variable]:
    """Yield what the vehicle has requested last, and its state of charge (appendix 3.2.13)."""
    details = communication.details

    def number(name: str, attribute: AttributeType, unit: str, read: Callable[[], float | None]) -> Variable:
        def text() -> str:
            return "" if (value := read()) is None else f"{value:g}"

        return create_variable(
            place,
            name,
            DataType.DECIMAL,
            Mutability.READ_ONLY,
            text,
            unit=unit,
            attribute=attribute,
            changes=details.changed,
        )

    for name, attribute, unit, requested in _REQUESTED:
        yield number(name, attribute, unit, lambda requested=requested: _requested(details.current, requested))
    yield number("StateOfCharge", AttributeType.ACTUAL, "%", lambda: _percent(details.current.soc))
    yield _detail_variable(place, "DepartureTime", communication, _departure, data_type=DataType.DATE_TIME)


def _vehicle_id(details: VehicleDetails) -> str:
    """The EVCCID as hexadecimal digits, without the separators that an SECC may write it with."""
    return re.sub("[^0-9A-Z]", "", (details.evccid or "").upper())


def _departure(details: VehicleDetails) -> str:
    return timestamps.encode(details.departs_at) if details.departs_at is not None else ""


def _requested(details: VehicleDetails, value: Callable[[ChargingNeeds], float]) -> float | None:
    return value(details.needs) if details.needs is not None else None


def _percent(soc: float | None) -> float | None:
    return soc * 100.0 if soc is not None else None


def _detail_variable(
    place: Component,
    name: str,
    communication: VehicleCommunication,
    read: Callable[[VehicleDetails], str],
    instance: str | None = None,
    *,
    data_type: DataType = DataType.STRING,
    values: tuple[str, ...] = (),
) -> Variable:
    """A variable of something that the vehicle says; empty without one."""
    return read_only_variable(
        place,
        name,
        data_type,
        lambda: read(communication.details.current),
        instance,
        values=values,
        changes=communication.details.changed,
    )


def _at(protocols: tuple[str, ...], priority: int) -> str:
    return protocols[priority - 1] if priority <= len(protocols) else ""
