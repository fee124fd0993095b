"""The device model of a station: variables bound to settings, read from parts of the station, or constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from energy.profile_store import HIGHEST_STACK_LEVEL, MAX_EXTERNAL_CONSTRAINTS, MAX_PERIODS, MAX_PROFILES
from foundation.events import merged
from foundation.frozen import Frozen
from ocpp_handlers.blocks import c_authorization as authorization
from ocpp_handlers.blocks import d_local_list as local_list
from ocpp_handlers.variables.configured_variables import VALUE_SIZE
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.display_variables import display_variables
from ocpp_handlers.variables.physical_variables import Nameplate, physical_variables
from ocpp_handlers.variables.setting_variables import setting_variables
from ocpp_handlers.variables.variable import (
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from ocpp_handlers.wire import timestamps
from station.security.file_transfer.file_transfer import PROTOCOLS

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.events import Event
    from foundation.supervision import AuxiliaryCalls
    from station.charging.authorization.authorization_cache import AuthorizationCache
    from station.charging.authorization.local_list import LocalAuthorizationList
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.core.clock_settings import ClockSettings
    from station.core.setting_groups import SettingGroups
    from station.display.display_screens import DisplayScreens
    from station.display.message_store import DisplayMessages

_SELF_LIMITED = frozenset({"ConfigurationValueSize", "ReportingValueSize"})
"""variables that also report their value as their maxLimit"""
_REPORT_SIZE = 2_500
"""characters of a value in reports (schema)"""


class DeviceModelSources(Frozen):
    """Parts of the station that `device_model` reads those variables from that are not settings."""

    clock: Clock
    station: ChargingStation
    tokens: AuthorizationCache
    local_list: LocalAuthorizationList
    nameplate: Nameplate
    connected: Callable[[], bool]
    """whether the link to the CSMS is up (DataLink.Active)"""
    connected_changed: Event[None]
    """published when that changes"""
    profiles: Callable[[], int]
    """how many charging profiles are installed"""
    profiles_changed: Event[None]
    """published when that may have changed"""
    messages: DisplayMessages
    """the messages of the CSMS for the displays"""
    screens: DisplayScreens
    """what the displays show"""
    contracts: bool
    """whether vehicles may present contracts: an EVSE has an SECC"""
    auxiliary: AuxiliaryCalls
    """calls the device model when the station publishes a change"""


def device_model(settings: SettingGroups, clock_settings: ClockSettings, facts: DeviceModelSources) -> DeviceModel:
    """Create the device model of the station: variables of settings, fixed ones, and those of physical components.

    The caller adds the variables of certificates, the link and resource limits, and applies the installation file.
    """
    physical = physical_variables(facts.station, facts.nameplate, facts.connected, facts.connected_changed)
    evses = facts.station.evses.values()
    signs = any(evse.layout.signs for evse in evses)
    sockets = any(not evse.layout.attached_cable for evse in evses)
    bound = setting_variables(settings, clock_settings, facts.clock, facts.auxiliary, signs=signs, sockets=sockets)
    return DeviceModel(
        [
            *bound,
            *_constants(),
            *_capabilities(facts),
            *authorization.authorization_variables(facts.tokens, contracts=facts.contracts),
            *local_list.local_list_variables(facts.local_list),
            *physical,
            *display_variables(facts.messages, facts.screens, facts.auxiliary),
        ],
        facts.auxiliary,
    )


def _phase_switching(station: ChargingStation) -> Iterator[Variable]:
    """Variables of phase switching: 3 to 1 phase on all EVSEs, and to a phase of choice, for each EVSE and for all."""
    evses = [evse for evse in station.evses.values() if evse.layout.phases > 1]

    def switching_variable(place: Component, name: str, *, least: int, of: Sequence[Evse]) -> Variable:
        return read_only_variable(
            place,
            name,
            DataType.BOOLEAN,
            lambda: str(bool(of) and all(len(e.selectable_phases) >= least for e in of)).lower(),
            changes=merged(e.state_changed for e in of),
        )

    yield switching_variable(Component("SmartChargingCtrlr"), "Phases3to1", least=1, of=evses)
    yield switching_variable(Component("SmartChargingCtrlr"), "ACPhaseSwitchingSupported", least=3, of=evses)
    for evse in station.evses.values():
        place = Component("SmartChargingCtrlr", evse_id=evse.id)
        yield switching_variable(place, "ACPhaseSwitchingSupported", least=3, of=[evse])


def _constants() -> Iterator[Variable]:
    """Read-only variables that are the same for each station: limits of the program, and what it can do."""
    for component, name, value in (
        ("DeviceDataCtrlr", "ConfigurationValueSize", VALUE_SIZE),
        ("DeviceDataCtrlr", "ReportingValueSize", _REPORT_SIZE),
        ("SmartChargingCtrlr", "ProfileStackLevel", HIGHEST_STACK_LEVEL),
        ("SmartChargingCtrlr", "PeriodsPerSchedule", MAX_PERIODS),
    ):
        limit = value if name in _SELF_LIMITED else None
        yield read_only_variable(
            Component(component),
            name,
            DataType.INTEGER,
            lambda value=value: str(value),
            maximum=limit,
            constant=True,
            fixed=True,
        )
    for component, name, instance, fact in (
        ("AuthCacheCtrlr", "Available", None, "true"),
        ("LocalAuthListCtrlr", "Available", None, "true"),
        ("SampledDataCtrlr", "Available", None, "true"),
        ("AlignedDataCtrlr", "Available", None, "true"),
        ("SmartChargingCtrlr", "Available", None, "true"),
        ("ReservationCtrlr", "Available", None, "true"),
        ("TariffCostCtrlr", "Available", "Tariff", "true"),
        ("TariffCostCtrlr", "Available", "Cost", "true"),
        ("SmartChargingCtrlr", "ExternalControlSignalsEnabled", None, "true"),
        ("DisplayMessageCtrlr", "Available", None, "true"),
    ):
        yield read_only_variable(
            Component(component), name, DataType.BOOLEAN, lambda fact=fact: fact, instance, constant=True
        )
    yield read_only_variable(
        Component("OCPPCommCtrlr"),
        "FileTransferProtocols",
        DataType.MEMBER_LIST,
        lambda: ",".join(PROTOCOLS),
        values=PROTOCOLS,
        constant=True,
    )


def _capabilities(facts: DeviceModelSources) -> Iterator[Variable]:
    """Read-only variables of controllers that depend on the parts of the station."""
    yield from _phase_switching(facts.station)
    yield read_only_variable(
        Component("SmartChargingCtrlr"),
        "Entries",
        DataType.INTEGER,
        lambda: str(facts.profiles()),
        "ChargingProfiles",
        maximum=MAX_PROFILES + MAX_EXTERNAL_CONSTRAINTS,  # as many as may be installed at any time
        changes=facts.profiles_changed,
    )
    yield create_variable(
        Component("ClockCtrlr"),
        "DateTime",
        DataType.DATE_TIME,
        Mutability.READ_ONLY,
        lambda: timestamps.encode(facts.clock.now()),
        monitorable=False,
    )
