"""The table of variables: a row for each, bound to a setting, to something alive, or fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from ocpp_handlers.device_model import DataType, DeviceModel, Mutability, Place, Variable
from station.model import ConnectorStatus
from station.settings import Integer, Members, Setting, Settings, Switch, Text, TxPoints

if TYPE_CHECKING:
    from station.evse import Evse

T = TypeVar("T")

ITEMS_PER_MESSAGE = 50
BYTES_PER_MESSAGE = 65_536

_S = Settings
_SEQUENCES = {_S.time_source.name}
_DATA_TYPES: Mapping[type, DataType] = {
    Integer: DataType.INTEGER,
    Switch: DataType.BOOLEAN,
    Members: DataType.MEMBER_LIST,
    TxPoints: DataType.MEMBER_LIST,
    Text: DataType.STRING,
}


_STATUSES = tuple(ConnectorStatus)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table needs to know besides the settings."""

    message_timeout_s: float
    security_profile: int
    now: Callable[[], str]
    available: Callable[[], str]
    evses: tuple[Evse, ...]
    model: str
    vendor: str
    serial_number: str | None
    firmware_version: str


def device_model(settings: Settings, facts: Facts) -> DeviceModel:
    """Everything that the CSMS may ask for."""
    return DeviceModel([*_bound(settings), *_fixed(facts), *_physical(facts)])


def _bound(settings: Settings) -> Iterator[Variable]:
    """Variables that are settings: component, variable, instance, setting, unit."""
    for component, name, instance, setting, unit in (
        ("TxCtrlr", "EVConnectionTimeOut", None, _S.ev_connection_timeout_s, "s"),
        ("TxCtrlr", "TxStartPoint", None, _S.tx_start_points, None),
        ("TxCtrlr", "TxStopPoint", None, _S.tx_stop_points, None),
        ("TxCtrlr", "StopTxOnEVSideDisconnect", None, _S.stop_tx_on_ev_side_disconnect, None),
        ("TxCtrlr", "StopTxOnInvalidId", None, _S.stop_tx_on_invalid_id, None),
        ("TxCtrlr", "MaxEnergyOnInvalidId", None, _S.max_energy_on_invalid_id_wh, "Wh"),
        ("TxCtrlr", "TxBeforeAcceptedEnabled", None, _S.tx_before_accepted_enabled, None),
        ("AuthCtrlr", "AuthorizeRemoteStart", None, _S.authorize_remote_start, None),
        ("AuthCtrlr", "LocalAuthorizeOffline", None, _S.local_authorize_offline, None),
        ("AuthCtrlr", "LocalPreAuthorize", None, _S.local_pre_authorize, None),
        ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", None, _S.offline_tx_for_unknown_id_enabled, None),
        ("AuthCacheCtrlr", "Enabled", None, _S.auth_cache_enabled, None),
        ("AuthCacheCtrlr", "LifeTime", None, _S.auth_cache_life_time_s, "s"),
        ("OCPPCommCtrlr", "HeartbeatInterval", None, _S.heartbeat_interval_s, "s"),
        ("OCPPCommCtrlr", "OfflineThreshold", None, _S.offline_threshold_s, "s"),
        ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent", _S.message_attempts, None),
        ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent", _S.message_attempt_interval_s, "s"),
        ("OCPPCommCtrlr", "RetryBackOffRepeatTimes", None, _S.retry_back_off_repeat_times, None),
        ("OCPPCommCtrlr", "RetryBackOffRandomRange", None, _S.retry_back_off_random_range_s, "s"),
        ("OCPPCommCtrlr", "RetryBackOffWaitMinimum", None, _S.retry_back_off_wait_minimum_s, "s"),
        ("OCPPCommCtrlr", "WebSocketPingInterval", None, _S.web_socket_ping_interval_s, "s"),
        ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", None, _S.unlock_on_ev_side_disconnect, None),
        ("ClockCtrlr", "TimeSource", None, _S.time_source, None),
        ("SampledDataCtrlr", "TxStartedMeasurands", None, _S.sampled_tx_started_measurands, None),
        ("SampledDataCtrlr", "TxUpdatedMeasurands", None, _S.sampled_tx_updated_measurands, None),
        ("SampledDataCtrlr", "TxUpdatedInterval", None, _S.sampled_tx_updated_interval_s, "s"),
        ("SampledDataCtrlr", "TxEndedMeasurands", None, _S.sampled_tx_ended_measurands, None),
        ("SampledDataCtrlr", "TxEndedInterval", None, _S.sampled_tx_ended_interval_s, "s"),
        ("AlignedDataCtrlr", "Measurands", None, _S.aligned_measurands, None),
        ("AlignedDataCtrlr", "Interval", None, _S.aligned_interval_s, "s"),
        ("AlignedDataCtrlr", "TxEndedMeasurands", None, _S.aligned_tx_ended_measurands, None),
        ("AlignedDataCtrlr", "TxEndedInterval", None, _S.aligned_tx_ended_interval_s, "s"),
        ("AlignedDataCtrlr", "SendDuringIdle", None, _S.aligned_send_during_idle, None),
        ("SmartChargingCtrlr", "Enabled", None, _S.smart_charging_enabled, None),
    ):
        yield _setting_variable(settings, Place(component), name, instance, cast("Setting[object]", setting), unit)


def _setting_variable(
    settings: Settings, place: Place, name: str, instance: str | None, setting: Setting[T], unit: str | None
) -> Variable:
    async def write(text: str) -> None:
        await settings.change(setting, text)

    return Variable(
        place,
        name,
        _data_type(setting),
        Mutability.READ_WRITE,
        read=lambda: settings.text_of(setting),
        write=write,
        override=lambda text: settings.override(setting, setting.parse(text)),
        instance=instance,
        unit=unit,
        values=setting.choices,
        minimum=setting.bounds[0],
        maximum=setting.bounds[1],
    )


def _data_type(setting: Setting[T]) -> DataType:
    if setting.name in _SEQUENCES:
        return DataType.SEQUENCE_LIST
    return _DATA_TYPES[type(setting)]


def _fixed(facts: Facts) -> Iterator[Variable]:
    """Variables of controllers that only tell."""
    integers: tuple[tuple[str, str, str | None, int], ...] = (
        ("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables", ITEMS_PER_MESSAGE),
        ("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables", ITEMS_PER_MESSAGE),
        ("DeviceDataCtrlr", "BytesPerMessage", "GetVariables", BYTES_PER_MESSAGE),
        ("DeviceDataCtrlr", "BytesPerMessage", "SetVariables", BYTES_PER_MESSAGE),
        ("OCPPCommCtrlr", "MessageTimeout", "Default", round(facts.message_timeout_s)),
        ("SecurityCtrlr", "SecurityProfile", None, facts.security_profile),
        ("SmartChargingCtrlr", "ProfileStackLevel", None, 100),
        ("SmartChargingCtrlr", "PeriodsPerSchedule", None, 1024),
        ("SmartChargingCtrlr", "Entries", "ChargingProfiles", 100),
    )
    for component, name, instance, value in integers:
        yield _told(Place(component), name, DataType.INTEGER, lambda value=value: str(value), instance)
    for component in ("AuthCacheCtrlr", "SampledDataCtrlr", "AlignedDataCtrlr", "SmartChargingCtrlr"):
        yield _told(Place(component), "Available", DataType.BOOLEAN, lambda: "true")
    yield _told(Place("SmartChargingCtrlr"), "RateUnit", DataType.MEMBER_LIST, lambda: "A,W", values=("A", "W"))
    yield _told(Place("ClockCtrlr"), "DateTime", DataType.DATE_TIME, facts.now)


def _physical(facts: Facts) -> Iterator[Variable]:
    """Variables of the station itself, its EVSEs and connectors."""
    station = Place("ChargingStation")
    yield _told(station, "Model", DataType.STRING, lambda: facts.model)
    yield _told(station, "VendorName", DataType.STRING, lambda: facts.vendor)
    yield _told(station, "FirmwareVersion", DataType.STRING, lambda: facts.firmware_version)
    if (serial_number := facts.serial_number) is not None:
        yield _told(station, "SerialNumber", DataType.STRING, lambda: serial_number)
    yield _told(station, "AvailabilityState", DataType.OPTION_LIST, facts.available, values=_STATUSES)
    for evse in facts.evses:
        yield from _evse(evse)


def _evse(evse: Evse) -> Iterator[Variable]:
    place = Place("EVSE", evse_id=evse.id)
    connector = Place("Connector", evse_id=evse.id, connector_id=evse.layout.connector_id)
    power_w = round(evse.layout.max_current_a * 230.0 * evse.layout.phases)
    yield _told(place, "AvailabilityState", DataType.OPTION_LIST, lambda: evse.connector_status.value, values=_STATUSES)
    yield _told(place, "SupplyPhases", DataType.INTEGER, lambda: str(evse.layout.phases))
    yield _told(place, "Power", DataType.DECIMAL, lambda: _power_text(evse), unit="W", maximum=power_w)
    yield _told(
        connector, "AvailabilityState", DataType.OPTION_LIST, lambda: evse.connector_status.value, values=_STATUSES
    )
    yield _told(connector, "ConnectorType", DataType.STRING, lambda: evse.layout.connector_type)
    yield _told(connector, "SupplyPhases", DataType.INTEGER, lambda: str(evse.layout.phases))


def _power_text(evse: Evse) -> str:
    """The power that flows; empty when nothing is known of it (B06.FR.13)."""
    latest = evse.meter.latest
    return f"{latest.power_w:.1f}" if latest is not None and latest.power_w is not None else ""


def _told(
    place: Place,
    name: str,
    data_type: DataType,
    read: Callable[[], str],
    instance: str | None = None,
    *,
    unit: str | None = None,
    maximum: float | None = None,
    values: tuple[str, ...] = (),
) -> Variable:
    return Variable(
        place,
        name,
        data_type,
        Mutability.READ_ONLY,
        read,
        instance=instance,
        unit=unit,
        maximum=maximum,
        values=values,
    )
