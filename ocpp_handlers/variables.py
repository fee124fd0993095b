"""The table of variables: a row for each, bound to a setting, to something alive, or fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from energy.profile_store import HIGHEST_STACK_LEVEL, MOST_PERIODS, MOST_PROFILES
from metering.frozen import frozen
from ocpp_handlers import authorization
from ocpp_handlers.device_model import DataType, DeviceModel, Mutability, Place, Variable, told
from ocpp_handlers.message_size import BYTES_PER_MESSAGE, ITEMS_PER_MESSAGE
from ocpp_handlers.physical_variables import Nameplate, physical_variables
from station.setting import (
    Choice,
    Currency,
    Decimal,
    Integer,
    Members,
    Moment,
    Setting,
    Switch,
    Text,
    TimeOffset,
    TimeZone,
    TxPoints,
)
from station.settings import Settings
from station.transfer.file_transfer import PROTOCOLS

if TYPE_CHECKING:
    from station.charging_station import ChargingStation
    from station.evse import Evse

T = TypeVar("T")

_S = Settings
_SEQUENCES = {_S.time_source.name}
_DATA_TYPES: Mapping[type, DataType] = {
    Integer: DataType.INTEGER,
    Decimal: DataType.DECIMAL,
    Switch: DataType.BOOLEAN,
    Choice: DataType.OPTION_LIST,
    Members: DataType.MEMBER_LIST,
    TxPoints: DataType.MEMBER_LIST,
    Text: DataType.STRING,
    Currency: DataType.STRING,
    TimeZone: DataType.STRING,
    TimeOffset: DataType.STRING,
    Moment: DataType.DATE_TIME,
}


_LIMITS = frozenset({"ConfigurationValueSize", "ReportingValueSize"})
"""variables whose maximum is what they are about"""
_VALUE_SIZE = 1_000
"""characters of a value that SetVariables can carry (its schema)"""
_REPORT_SIZE = 2_500
"""characters of a value that reports can carry (their schema)"""


@frozen
class Facts:
    """What the table needs to know besides the settings."""

    now: Callable[[], str]
    station: ChargingStation
    plate: Nameplate
    connected: Callable[[], bool]
    profiles: Callable[[], int]
    """how many charging profiles are installed"""


def device_model(settings: Settings, facts: Facts) -> DeviceModel:
    """Everything that the CSMS may ask for."""
    physical = physical_variables(facts.station, facts.plate, facts.connected)
    signs = any(evse.signing is not None for evse in facts.station.evses.values())
    variables = [*_bound(settings), *_fixed(facts), *authorization.variables(facts.station.tokens), *physical]
    return DeviceModel([*variables, *(signing_variables(settings) if signs else ())])


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
        ("TxCtrlr", "QueuedEventsLimit", None, _S.queued_events_limit, None),  # ours, as the next
        ("TxCtrlr", "RecordedEventsLimit", None, _S.recorded_events_limit, None),
        ("TxCtrlr", "EndRegisterWait", None, _S.end_register_wait_s, "s"),
        ("TxCtrlr", "RecordedTransactionsDays", None, _S.recorded_transactions_days, "d"),
        ("AuthCtrlr", "Enabled", None, _S.auth_enabled, None),
        ("AuthCtrlr", "DisableRemoteAuthorization", None, _S.disable_remote_authorization, None),
        ("AuthCtrlr", "MasterPassGroupId", None, _S.master_pass_group_id, None),
        ("AuthCtrlr", "AuthorizeRemoteStart", None, _S.authorize_remote_start, None),
        ("AuthCtrlr", "LocalAuthorizeOffline", None, _S.local_authorize_offline, None),
        ("AuthCtrlr", "LocalPreAuthorize", None, _S.local_pre_authorize, None),
        ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", None, _S.offline_tx_for_unknown_id_enabled, None),
        ("AuthCacheCtrlr", "Enabled", None, _S.auth_cache_enabled, None),
        ("AuthCacheCtrlr", "LifeTime", None, _S.auth_cache_life_time_s, "s"),
        ("AuthCacheCtrlr", "Policy", None, _S.auth_cache_policy, None),
        ("AuthCacheCtrlr", "DisablePostAuthorize", None, _S.auth_cache_disable_post_authorize, None),
        ("OCPPCommCtrlr", "HeartbeatInterval", None, _S.heartbeat_interval_s, "s"),
        ("OCPPCommCtrlr", "OfflineThreshold", None, _S.offline_threshold_s, "s"),
        ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent", _S.message_attempts, None),
        ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent", _S.message_attempt_interval_s, "s"),
        ("OCPPCommCtrlr", "RetryBackOffRepeatTimes", None, _S.retry_back_off_repeat_times, None),
        ("OCPPCommCtrlr", "RetryBackOffRandomRange", None, _S.retry_back_off_random_range_s, "s"),
        ("OCPPCommCtrlr", "RetryBackOffWaitMinimum", None, _S.retry_back_off_wait_minimum_s, "s"),
        ("OCPPCommCtrlr", "WebSocketPingInterval", None, _S.web_socket_ping_interval_s, "s"),
        ("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", None, _S.network_profile_connection_attempts, None),
        ("SecurityCtrlr", "OrganizationName", None, _S.organization_name, None),
        ("SecurityCtrlr", "AllowCSMSTLSWildcards", None, _S.allow_csms_tls_wildcards, None),
        ("ClockCtrlr", "TimeAdjustmentReportingThreshold", None, _S.time_adjustment_reporting_threshold_s, "s"),
        ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", None, _S.unlock_on_ev_side_disconnect, None),
        ("OCPPCommCtrlr", "ResetRetries", None, _S.reset_retries, None),
        ("ClockCtrlr", "TimeSource", None, _S.time_source, None),
        ("ClockCtrlr", "TimeZone", None, _S.time_zone, None),
        ("ClockCtrlr", "TimeOffset", None, _S.time_offset, None),
        ("ClockCtrlr", "TimeOffset", "NextTransition", _S.time_offset_next_transition, None),
        ("ClockCtrlr", "NextTimeOffsetTransitionDateTime", None, _S.next_time_offset_transition, None),
        ("SampledDataCtrlr", "Enabled", None, _S.sampled_data_enabled, None),
        ("SampledDataCtrlr", "RegisterValuesWithoutPhases", None, _S.register_values_without_phases, None),
        ("SampledDataCtrlr", "TxStartedMeasurands", None, _S.sampled_tx_started_measurands, None),
        ("SampledDataCtrlr", "TxUpdatedMeasurands", None, _S.sampled_tx_updated_measurands, None),
        ("SampledDataCtrlr", "TxUpdatedInterval", None, _S.sampled_tx_updated_interval_s, "s"),
        ("SampledDataCtrlr", "TxEndedMeasurands", None, _S.sampled_tx_ended_measurands, None),
        ("SampledDataCtrlr", "TxEndedInterval", None, _S.sampled_tx_ended_interval_s, "s"),
        ("ChargingStation", "MinimumStatusDuration", None, _S.minimum_status_duration_s, "s"),
        (
            "ChargingStation",
            "AllowNewSessionsPendingFirmwareUpdate",
            None,
            _S.allow_new_sessions_pending_firmware_update,
            None,
        ),
        ("FirmwareCtrlr", "MostBytes", None, _S.firmware_most_bytes, None),  # ours: the size of an image
        ("AlignedDataCtrlr", "Enabled", None, _S.aligned_data_enabled, None),
        ("AlignedDataCtrlr", "Measurands", None, _S.aligned_measurands, None),
        ("AlignedDataCtrlr", "Interval", None, _S.aligned_interval_s, "s"),
        ("AlignedDataCtrlr", "TxEndedMeasurands", None, _S.aligned_tx_ended_measurands, None),
        ("AlignedDataCtrlr", "TxEndedInterval", None, _S.aligned_tx_ended_interval_s, "s"),
        ("AlignedDataCtrlr", "SendDuringIdle", None, _S.aligned_send_during_idle, None),
        ("TariffCostCtrlr", "Enabled", "Tariff", _S.tariff_enabled, None),
        ("TariffCostCtrlr", "Enabled", "Cost", _S.cost_enabled, None),
        ("TariffCostCtrlr", "Currency", None, _S.currency, None),
        ("TariffCostCtrlr", "TariffFallbackMessage", None, _S.tariff_fallback_message, None),
        ("TariffCostCtrlr", "TotalCostFallbackMessage", None, _S.total_cost_fallback_message, None),
        ("SmartChargingCtrlr", "Enabled", None, _S.smart_charging_enabled, None),
        ("SmartChargingCtrlr", "LimitChangeSignificance", None, _S.limit_change_significance_percent, "Percent"),
        (
            "SmartChargingCtrlr",
            "NotifyChargingLimitWithSchedules",
            None,
            _S.notify_charging_limit_with_schedules,
            None,
        ),
    ):
        yield _setting_variable(settings, Place(component), name, instance, cast("Setting[object]", setting), unit)
    units = _setting_variable(
        settings, Place("SmartChargingCtrlr"), "RateUnit", None, cast("Setting[object]", _S.charging_rate_units), None
    )
    yield replace(units, mutability=Mutability.READ_ONLY, write=None)  # the installation's, not the CSMS's


def signing_variables(settings: Settings) -> Iterator[Variable]:
    """Variables of a station that signs what its meters show; others do not have them (SampledDataCtrlr.SignReadings).

    Source: OCPP 2.0.1 part 2, 2.5 and 2.7; OCA note on signed meter values, 4.3.
    """
    for component, name, setting in (
        ("SampledDataCtrlr", "SignReadings", _S.sampled_sign_readings),
        ("SampledDataCtrlr", "SignStartedReadings", _S.sampled_sign_started_readings),
        ("SampledDataCtrlr", "SignUpdatedReadings", _S.sampled_sign_updated_readings),
        ("AlignedDataCtrlr", "SignReadings", _S.aligned_sign_readings),
        ("AlignedDataCtrlr", "SignUpdatedReadings", _S.aligned_sign_updated_readings),
        ("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", _S.public_key_with_signed_meter_value),
        ("OCPPCommCtrlr", "PublicKeyFormat", _S.public_key_format),  # ours: many a CSMS expects the bare key
    ):
        yield _setting_variable(settings, Place(component), name, None, cast("Setting[object]", setting), None)


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
        override=lambda text: settings.override(setting, settings.parse(setting, text)),
        restore=lambda: settings.restore(setting),
        preset=lambda text: settings.preset(setting, settings.parse(setting, text)),
        instance=instance,
        unit=unit,
        values=settings.choices_of(setting),
        minimum=setting.bounds[0],
        maximum=setting.bounds[1],
    )


def _data_type(setting: Setting[T]) -> DataType:
    if setting.name in _SEQUENCES:
        return DataType.SEQUENCE_LIST
    return _DATA_TYPES[type(setting)]


def _phase_switching(station: ChargingStation) -> Iterator[Variable]:
    """Whether boards can take two of three phases away, of all EVSEs, and choose which is left, of each and of all."""
    evses = [evse for evse in station.evses.values() if evse.layout.phases > 1]

    def tell(place: Place, name: str, *, least: int, of: Sequence[Evse]) -> Variable:
        return told(
            place, name, DataType.BOOLEAN, lambda: str(bool(of) and all(len(e.alone) >= least for e in of)).lower()
        )

    yield tell(Place("SmartChargingCtrlr"), "Phases3to1", least=1, of=evses)
    yield tell(Place("SmartChargingCtrlr"), "ACPhaseSwitchingSupported", least=3, of=evses)
    for evse in station.evses.values():
        place = Place("SmartChargingCtrlr", evse_id=evse.id)
        yield tell(place, "ACPhaseSwitchingSupported", least=3, of=[evse])


def _fixed(facts: Facts) -> Iterator[Variable]:
    """Variables of controllers that only tell: component, variable, instance, value."""
    integers: tuple[tuple[str, str, str | None, int], ...] = (
        ("DeviceDataCtrlr", "ItemsPerMessage", "GetReport", ITEMS_PER_MESSAGE),
        ("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables", ITEMS_PER_MESSAGE),
        ("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables", ITEMS_PER_MESSAGE),
        ("DeviceDataCtrlr", "BytesPerMessage", "GetReport", BYTES_PER_MESSAGE),
        ("DeviceDataCtrlr", "BytesPerMessage", "GetVariables", BYTES_PER_MESSAGE),
        ("DeviceDataCtrlr", "BytesPerMessage", "SetVariables", BYTES_PER_MESSAGE),
        ("DeviceDataCtrlr", "ConfigurationValueSize", None, _VALUE_SIZE),
        ("DeviceDataCtrlr", "ReportingValueSize", None, _REPORT_SIZE),
        ("SmartChargingCtrlr", "ProfileStackLevel", None, HIGHEST_STACK_LEVEL),
        ("SmartChargingCtrlr", "PeriodsPerSchedule", None, MOST_PERIODS),
    )
    for component, name, instance, value in integers:
        limit = value if name in _LIMITS else None
        yield told(
            Place(component),
            name,
            DataType.INTEGER,
            lambda value=value: str(value),
            instance,
            maximum=limit,
            constant=True,
        )
    for component, name, instance, fact in (
        ("AuthCacheCtrlr", "Available", None, "true"),
        ("SampledDataCtrlr", "Available", None, "true"),
        ("AlignedDataCtrlr", "Available", None, "true"),
        ("SmartChargingCtrlr", "Available", None, "true"),
        ("TariffCostCtrlr", "Available", "Tariff", "true"),
        ("TariffCostCtrlr", "Available", "Cost", "true"),
        ("SmartChargingCtrlr", "ExternalControlSignalsEnabled", None, "true"),
        # Functional blocks that this station does not have.
        ("MonitoringCtrlr", "Available", None, "false"),
        ("DisplayMessageCtrlr", "Available", None, "false"),
        ("ReservationCtrlr", "Available", None, "false"),
        ("LocalAuthListCtrlr", "Available", None, "false"),
    ):
        yield told(Place(component), name, DataType.BOOLEAN, lambda fact=fact: fact, instance, constant=True)
    yield from _phase_switching(facts.station)
    yield told(
        Place("OCPPCommCtrlr"),
        "FileTransferProtocols",
        DataType.MEMBER_LIST,
        lambda: ",".join(PROTOCOLS),
        values=PROTOCOLS,
        constant=True,
    )
    yield told(
        Place("SmartChargingCtrlr"),
        "Entries",
        DataType.INTEGER,
        lambda: str(facts.profiles()),
        "ChargingProfiles",
        maximum=MOST_PROFILES,
    )
    yield told(Place("ClockCtrlr"), "DateTime", DataType.DATE_TIME, facts.now)
