"""Variables bound to settings: the table that maps each setting to its component and variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import Component, DataType, Mutability, Variable, read_only_variable
from ocpp_handlers.wire.edition import V201, Edition
from station.billing.price_settings import PriceSettings
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.reservations.reservation_settings import ReservationSettings
from station.charging.sampling_settings import SamplingSettings
from station.charging.transaction_settings import TransactionSettings
from station.core.clock_settings import ClockSettings
from station.core.local_time import change_time_offset
from station.display.display_settings import DisplaySettings
from station.load.smart_charging_settings import SmartChargingSettings
from station.maintenance.firmware.firmware_settings import FirmwareSettings
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings
from station.security.security_settings import SecuritySettings
from station.storage.record_settings import RecordSettings

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.core.setting_groups import SettingGroups
    from station.core.setting_kinds import Setting

T = TypeVar("T")


def _row(
    component: str,
    name: str,
    setting: Setting[T],
    instance: str | None = None,
    *,
    unit: str | None = None,
    since: Edition = V201,
) -> Callable[[SettingBinding], Variable]:
    """A function that creates the variable of a setting; `since`: the edition of OCPP with which it came."""
    place = Component(component)
    return lambda binding: binding.variable(place, name, setting, instance, unit=unit, since=since)


_SETTINGS = (
    _row("TxCtrlr", "EVConnectionTimeOut", TransactionSettings.ev_connection_timeout_s, unit="s"),
    _row("TxCtrlr", "TxStartPoint", TransactionSettings.tx_start_points),
    _row("TxCtrlr", "TxStopPoint", TransactionSettings.tx_stop_points),
    _row("TxCtrlr", "StopTxOnEVSideDisconnect", TransactionSettings.stop_tx_on_ev_side_disconnect),
    _row("TxCtrlr", "StopTxOnInvalidId", TransactionSettings.stop_tx_on_invalid_id),
    _row("TxCtrlr", "MaxEnergyOnInvalidId", TransactionSettings.max_energy_on_invalid_id_wh, unit="Wh"),
    _row("TxCtrlr", "TxBeforeAcceptedEnabled", TransactionSettings.tx_before_accepted_enabled),
    _row("TxCtrlr", "QueuedEventsLimit", RecordSettings.queued_events_limit),  # vendor variable, as the next
    _row("TxCtrlr", "RecordedEventsLimit", RecordSettings.recorded_events_limit),
    _row("TxCtrlr", "EndRegisterWait", TransactionSettings.end_register_wait_s, unit="s"),
    _row("TxCtrlr", "RecordedTransactionsDays", RecordSettings.recorded_transactions_days, unit="d"),
    _row("ReservationCtrlr", "Enabled", ReservationSettings.reservation_enabled),
    _row("AuthCtrlr", "Enabled", AuthorizationSettings.auth_enabled),
    _row("AuthCtrlr", "DisableRemoteAuthorization", AuthorizationSettings.disable_remote_authorization),
    _row("AuthCtrlr", "MasterPassGroupId", AuthorizationSettings.master_pass_group_id),
    _row("AuthCtrlr", "AuthorizeRemoteStart", AuthorizationSettings.authorize_remote_start),
    _row("AuthCtrlr", "LocalAuthorizeOffline", AuthorizationSettings.local_authorize_offline),
    _row("AuthCtrlr", "LocalPreAuthorize", AuthorizationSettings.local_pre_authorize),
    _row("AuthCtrlr", "OfflineTxForUnknownIdEnabled", AuthorizationSettings.offline_tx_for_unknown_id_enabled),
    _row("AuthCacheCtrlr", "Enabled", AuthorizationSettings.auth_cache_enabled),
    _row("AuthCacheCtrlr", "LifeTime", AuthorizationSettings.auth_cache_life_time_s, unit="s"),
    _row("AuthCacheCtrlr", "Policy", AuthorizationSettings.auth_cache_policy),
    _row("AuthCacheCtrlr", "DisablePostAuthorize", AuthorizationSettings.auth_cache_disable_post_authorize),
    _row("LocalAuthListCtrlr", "Enabled", AuthorizationSettings.local_list_enabled),
    _row("LocalAuthListCtrlr", "DisablePostAuthorize", AuthorizationSettings.local_list_disable_post_authorize),
    _row("OCPPCommCtrlr", "HeartbeatInterval", CsmsLinkSettings.heartbeat_interval_s, unit="s"),
    _row("OCPPCommCtrlr", "OfflineThreshold", CsmsLinkSettings.offline_threshold_s, unit="s"),
    _row("OCPPCommCtrlr", "MessageAttempts", CsmsLinkSettings.message_attempts, "TransactionEvent"),
    _row(
        "OCPPCommCtrlr",
        "MessageAttemptInterval",
        CsmsLinkSettings.message_attempt_interval_s,
        "TransactionEvent",
        unit="s",
    ),
    _row("OCPPCommCtrlr", "RetryBackOffRepeatTimes", CsmsLinkSettings.retry_back_off_repeat_times),
    _row("OCPPCommCtrlr", "RetryBackOffRandomRange", CsmsLinkSettings.retry_back_off_random_range_s, unit="s"),
    _row("OCPPCommCtrlr", "RetryBackOffWaitMinimum", CsmsLinkSettings.retry_back_off_wait_minimum_s, unit="s"),
    _row("OCPPCommCtrlr", "WebSocketPingInterval", CsmsLinkSettings.web_socket_ping_interval_s, unit="s"),
    _row("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", SecuritySettings.network_profile_connection_attempts),
    _row("SecurityCtrlr", "OrganizationName", SecuritySettings.organization_name),
    _row("SecurityCtrlr", "AllowCSMSTLSWildcards", SecuritySettings.allow_csms_tls_wildcards),
    _row(
        "ClockCtrlr", "TimeAdjustmentReportingThreshold", ClockSettings.time_adjustment_reporting_threshold_s, unit="s"
    ),
    _row("OCPPCommCtrlr", "ResetRetries", TransactionSettings.reset_retries),
    _row("ClockCtrlr", "TimeSource", ClockSettings.time_source),
    _row("ClockCtrlr", "TimeZone", ClockSettings.time_zone),
    _row("ClockCtrlr", "TimeOffset", ClockSettings.time_offset_next_transition, "NextTransition"),
    _row("ClockCtrlr", "NextTimeOffsetTransitionDateTime", ClockSettings.next_time_offset_transition),
    _row("SampledDataCtrlr", "Enabled", SamplingSettings.sampled_data_enabled),
    _row("SampledDataCtrlr", "RegisterValuesWithoutPhases", SamplingSettings.register_values_without_phases),
    _row("SampledDataCtrlr", "TxStartedMeasurands", SamplingSettings.sampled_tx_started_measurands),
    _row("SampledDataCtrlr", "TxUpdatedMeasurands", SamplingSettings.sampled_tx_updated_measurands),
    _row("SampledDataCtrlr", "TxUpdatedInterval", SamplingSettings.sampled_tx_updated_interval_s, unit="s"),
    _row("SampledDataCtrlr", "TxEndedMeasurands", SamplingSettings.sampled_tx_ended_measurands),
    _row("SampledDataCtrlr", "TxEndedInterval", SamplingSettings.sampled_tx_ended_interval_s, unit="s"),
    _row("ChargingStation", "MinimumStatusDuration", TransactionSettings.minimum_status_duration_s, unit="s"),
    _row(
        "ChargingStation",
        "AllowNewSessionsPendingFirmwareUpdate",
        FirmwareSettings.allow_new_sessions_pending_firmware_update,
    ),
    _row("FirmwareCtrlr", "MostBytes", FirmwareSettings.firmware_most_bytes),  # vendor variable: the size of an image
    _row("AlignedDataCtrlr", "Enabled", SamplingSettings.aligned_data_enabled),
    _row("AlignedDataCtrlr", "Measurands", SamplingSettings.aligned_measurands),
    _row("AlignedDataCtrlr", "Interval", SamplingSettings.aligned_interval_s, unit="s"),
    _row("AlignedDataCtrlr", "TxEndedMeasurands", SamplingSettings.aligned_tx_ended_measurands),
    _row("AlignedDataCtrlr", "TxEndedInterval", SamplingSettings.aligned_tx_ended_interval_s, unit="s"),
    _row("AlignedDataCtrlr", "SendDuringIdle", SamplingSettings.aligned_send_during_idle),
    _row("MonitoringCtrlr", "Enabled", MonitoringSettings.monitoring_enabled),
    _row("MonitoringCtrlr", "OfflineQueuingSeverity", MonitoringSettings.offline_queuing_severity),
    _row("TariffCostCtrlr", "Enabled", PriceSettings.tariff_enabled, "Tariff"),
    _row("TariffCostCtrlr", "Enabled", PriceSettings.cost_enabled, "Cost"),
    _row("TariffCostCtrlr", "Currency", PriceSettings.currency),
    _row("TariffCostCtrlr", "TariffFallbackMessage", PriceSettings.tariff_fallback_message),
    _row("TariffCostCtrlr", "TotalCostFallbackMessage", PriceSettings.total_cost_fallback_message),
    _row("DisplayMessageCtrlr", "Enabled", DisplaySettings.display_messages_enabled),
    _row("SmartChargingCtrlr", "Enabled", SmartChargingSettings.smart_charging_enabled),
    _row(
        "SmartChargingCtrlr",
        "LimitChangeSignificance",
        SmartChargingSettings.limit_change_significance_percent,
        unit="Percent",
    ),
    _row(
        "SmartChargingCtrlr",
        "NotifyChargingLimitWithSchedules",
        SmartChargingSettings.notify_charging_limit_with_schedules,
    ),
)

_OF_SIGNING = (
    _row("SampledDataCtrlr", "SignReadings", SamplingSettings.sampled_sign_readings),
    _row("SampledDataCtrlr", "SignStartedReadings", SamplingSettings.sampled_sign_started_readings),
    _row("SampledDataCtrlr", "SignUpdatedReadings", SamplingSettings.sampled_sign_updated_readings),
    _row("AlignedDataCtrlr", "SignReadings", SamplingSettings.aligned_sign_readings),
    _row("AlignedDataCtrlr", "SignUpdatedReadings", SamplingSettings.aligned_sign_updated_readings),
    _row("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", SamplingSettings.public_key_with_signed_meter_value),
    # vendor variable: many CSMSs expect the bare key
    _row("OCPPCommCtrlr", "PublicKeyFormat", SamplingSettings.public_key_format),
)
"""variables of a station that signs meter values only (SampledDataCtrlr.SignReadings)

Source: OCPP 2.0.1 part 2, 2.5 and 2.7; OCA note on signed meter values, 4.3.
"""

_UNLOCK = "UnlockOnEVSideDisconnect"
_OF_SOCKETS = _row("OCPPCommCtrlr", _UNLOCK, TransactionSettings.unlock_on_ev_side_disconnect)
_OF_FIXED_CABLES = read_only_variable(
    Component("OCPPCommCtrlr"), _UNLOCK, DataType.BOOLEAN, lambda: "false", constant=True
)
"""part 2, 2.1.12: on a station with fixed cables only, it SHALL be ReadOnly and false"""
_TIME_OFFSET = _row("ClockCtrlr", "TimeOffset", ClockSettings.time_offset)
_INSTALLER_SETTINGS = (
    _row("ReservationCtrlr", "NonEvseSpecific", ReservationSettings.reservation_non_evse_specific),
    _row("SmartChargingCtrlr", "RateUnit", SmartChargingSettings.charging_rate_units),
    _row("DisplayMessageCtrlr", "SupportedFormats", DisplaySettings.display_supported_formats),
    _row("DisplayMessageCtrlr", "SupportedPriorities", DisplaySettings.display_supported_priorities),
    _row("DisplayMessageCtrlr", "PersonalMessageSize", PriceSettings.personal_message_size),
    _row("DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.get_report_items, "GetReport"),
    _row("DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.get_variables_items, "GetVariables"),
    _row("DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.set_variables_items, "SetVariables"),
    _row("DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.get_report_bytes, "GetReport", unit="B"),
    _row("DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.get_variables_bytes, "GetVariables", unit="B"),
    _row("DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.set_variables_bytes, "SetVariables", unit="B"),
    _row("LocalAuthListCtrlr", "ItemsPerMessage", VariableRequestSettings.send_local_list_items),
    _row("LocalAuthListCtrlr", "BytesPerMessage", VariableRequestSettings.send_local_list_bytes, unit="B"),
    _row("LocalAuthListCtrlr", "SupportsExpiryDateTime", AuthorizationSettings.local_list_supports_expiry),
    _row("MonitoringCtrlr", "ItemsPerMessage", VariableRequestSettings.set_monitoring_items, "SetVariableMonitoring"),
    _row(
        "MonitoringCtrlr",
        "BytesPerMessage",
        VariableRequestSettings.set_monitoring_bytes,
        "SetVariableMonitoring",
        unit="B",
    ),
    _row(
        "MonitoringCtrlr", "ItemsPerMessage", VariableRequestSettings.clear_monitoring_items, "ClearVariableMonitoring"
    ),
    _row(
        "MonitoringCtrlr",
        "BytesPerMessage",
        VariableRequestSettings.clear_monitoring_bytes,
        "ClearVariableMonitoring",
        unit="B",
    ),
)
"""variables set in the installation file; read-only for the CSMS unless that file says otherwise"""


def setting_variables(
    settings: SettingGroups,
    clock_settings: ClockSettings,
    clock: Clock,
    auxiliary: AuxiliaryCalls,
    *,
    signs: bool,
    sockets: bool,
) -> Iterator[Variable]:
    """Yield the variables bound to settings, for all components of the station but certificates and link security.

    `signs`: an EVSE signs its meter values; `sockets`: an EVSE has a socket outlet instead of a fixed cable.
    """
    binding = SettingBinding(settings, auxiliary)
    for made in (*_SETTINGS, *(_OF_SIGNING if signs else ())):
        yield made(binding)

    async def write_time_offset(text: str) -> None:
        await change_time_offset(clock_settings, text, clock.now())

    # Part 2, ClockCtrlr.TimeOffset: not to be used at the same time as TimeZone.
    yield _TIME_OFFSET(binding).with_access(write=write_time_offset)
    yield _OF_SOCKETS(binding) if sockets else _OF_FIXED_CABLES
    for made in _INSTALLER_SETTINGS:
        yield made(binding).with_mutability(Mutability.READ_ONLY)
