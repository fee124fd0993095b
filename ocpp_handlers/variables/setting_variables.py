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


def _variable_factory(
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
    _variable_factory("TxCtrlr", "EVConnectionTimeOut", TransactionSettings.ev_connection_timeout_s, unit="s"),
    _variable_factory("TxCtrlr", "TxStartPoint", TransactionSettings.tx_start_points),
    _variable_factory("TxCtrlr", "TxStopPoint", TransactionSettings.tx_stop_points),
    _variable_factory("TxCtrlr", "StopTxOnEVSideDisconnect", TransactionSettings.stop_tx_on_ev_side_disconnect),
    _variable_factory("TxCtrlr", "StopTxOnInvalidId", TransactionSettings.stop_tx_on_invalid_id),
    _variable_factory("TxCtrlr", "MaxEnergyOnInvalidId", TransactionSettings.max_energy_on_invalid_id_wh, unit="Wh"),
    _variable_factory("TxCtrlr", "TxBeforeAcceptedEnabled", TransactionSettings.tx_before_accepted_enabled),
    _variable_factory(
        "TxCtrlr", "QueuedEventsLimit", RecordSettings.queued_events_limit
    ),  # vendor variable, as the next
    _variable_factory("TxCtrlr", "RecordedEventsLimit", RecordSettings.recorded_events_limit),
    _variable_factory("TxCtrlr", "EndRegisterWait", TransactionSettings.end_register_wait_s, unit="s"),
    _variable_factory("TxCtrlr", "RecordedTransactionsDays", RecordSettings.recorded_transactions_days, unit="d"),
    _variable_factory("ReservationCtrlr", "Enabled", ReservationSettings.reservation_enabled),
    _variable_factory("AuthCtrlr", "Enabled", AuthorizationSettings.auth_enabled),
    _variable_factory("AuthCtrlr", "DisableRemoteAuthorization", AuthorizationSettings.disable_remote_authorization),
    _variable_factory("AuthCtrlr", "MasterPassGroupId", AuthorizationSettings.master_pass_group_id),
    _variable_factory("AuthCtrlr", "AuthorizeRemoteStart", AuthorizationSettings.authorize_remote_start),
    _variable_factory("AuthCtrlr", "LocalAuthorizeOffline", AuthorizationSettings.local_authorize_offline),
    _variable_factory("AuthCtrlr", "LocalPreAuthorize", AuthorizationSettings.local_pre_authorize),
    _variable_factory(
        "AuthCtrlr", "OfflineTxForUnknownIdEnabled", AuthorizationSettings.offline_tx_for_unknown_id_enabled
    ),
    _variable_factory("AuthCacheCtrlr", "Enabled", AuthorizationSettings.auth_cache_enabled),
    _variable_factory("AuthCacheCtrlr", "LifeTime", AuthorizationSettings.auth_cache_life_time_s, unit="s"),
    _variable_factory("AuthCacheCtrlr", "Policy", AuthorizationSettings.auth_cache_policy),
    _variable_factory(
        "AuthCacheCtrlr", "DisablePostAuthorize", AuthorizationSettings.auth_cache_disable_post_authorize
    ),
    _variable_factory("LocalAuthListCtrlr", "Enabled", AuthorizationSettings.local_list_enabled),
    _variable_factory(
        "LocalAuthListCtrlr", "DisablePostAuthorize", AuthorizationSettings.local_list_disable_post_authorize
    ),
    _variable_factory("OCPPCommCtrlr", "HeartbeatInterval", CsmsLinkSettings.heartbeat_interval_s, unit="s"),
    _variable_factory("OCPPCommCtrlr", "OfflineThreshold", CsmsLinkSettings.offline_threshold_s, unit="s"),
    _variable_factory("OCPPCommCtrlr", "MessageAttempts", CsmsLinkSettings.message_attempts, "TransactionEvent"),
    _variable_factory(
        "OCPPCommCtrlr",
        "MessageAttemptInterval",
        CsmsLinkSettings.message_attempt_interval_s,
        "TransactionEvent",
        unit="s",
    ),
    _variable_factory("OCPPCommCtrlr", "RetryBackOffRepeatTimes", CsmsLinkSettings.retry_back_off_repeat_times),
    _variable_factory(
        "OCPPCommCtrlr", "RetryBackOffRandomRange", CsmsLinkSettings.retry_back_off_random_range_s, unit="s"
    ),
    _variable_factory(
        "OCPPCommCtrlr", "RetryBackOffWaitMinimum", CsmsLinkSettings.retry_back_off_wait_minimum_s, unit="s"
    ),
    _variable_factory("OCPPCommCtrlr", "WebSocketPingInterval", CsmsLinkSettings.web_socket_ping_interval_s, unit="s"),
    _variable_factory(
        "OCPPCommCtrlr", "NetworkProfileConnectionAttempts", SecuritySettings.network_profile_connection_attempts
    ),
    _variable_factory("SecurityCtrlr", "OrganizationName", SecuritySettings.organization_name),
    _variable_factory("SecurityCtrlr", "AllowCSMSTLSWildcards", SecuritySettings.allow_csms_tls_wildcards),
    _variable_factory(
        "ClockCtrlr", "TimeAdjustmentReportingThreshold", ClockSettings.time_adjustment_reporting_threshold_s, unit="s"
    ),
    _variable_factory("OCPPCommCtrlr", "ResetRetries", TransactionSettings.reset_retries),
    _variable_factory("ClockCtrlr", "TimeSource", ClockSettings.time_source),
    _variable_factory("ClockCtrlr", "TimeZone", ClockSettings.time_zone),
    _variable_factory("ClockCtrlr", "TimeOffset", ClockSettings.time_offset_next_transition, "NextTransition"),
    _variable_factory("ClockCtrlr", "NextTimeOffsetTransitionDateTime", ClockSettings.next_time_offset_transition),
    _variable_factory("SampledDataCtrlr", "Enabled", SamplingSettings.sampled_data_enabled),
    _variable_factory(
        "SampledDataCtrlr", "RegisterValuesWithoutPhases", SamplingSettings.register_values_without_phases
    ),
    _variable_factory("SampledDataCtrlr", "TxStartedMeasurands", SamplingSettings.sampled_tx_started_measurands),
    _variable_factory("SampledDataCtrlr", "TxUpdatedMeasurands", SamplingSettings.sampled_tx_updated_measurands),
    _variable_factory(
        "SampledDataCtrlr", "TxUpdatedInterval", SamplingSettings.sampled_tx_updated_interval_s, unit="s"
    ),
    _variable_factory("SampledDataCtrlr", "TxEndedMeasurands", SamplingSettings.sampled_tx_ended_measurands),
    _variable_factory("SampledDataCtrlr", "TxEndedInterval", SamplingSettings.sampled_tx_ended_interval_s, unit="s"),
    _variable_factory(
        "ChargingStation", "MinimumStatusDuration", TransactionSettings.minimum_status_duration_s, unit="s"
    ),
    _variable_factory(
        "ChargingStation",
        "AllowNewSessionsPendingFirmwareUpdate",
        FirmwareSettings.allow_new_sessions_pending_firmware_update,
    ),
    _variable_factory(
        "FirmwareCtrlr", "MostBytes", FirmwareSettings.firmware_most_bytes
    ),  # vendor variable: the size of an image
    _variable_factory("AlignedDataCtrlr", "Enabled", SamplingSettings.aligned_data_enabled),
    _variable_factory("AlignedDataCtrlr", "Measurands", SamplingSettings.aligned_measurands),
    _variable_factory("AlignedDataCtrlr", "Interval", SamplingSettings.aligned_interval_s, unit="s"),
    _variable_factory("AlignedDataCtrlr", "TxEndedMeasurands", SamplingSettings.aligned_tx_ended_measurands),
    _variable_factory("AlignedDataCtrlr", "TxEndedInterval", SamplingSettings.aligned_tx_ended_interval_s, unit="s"),
    _variable_factory("AlignedDataCtrlr", "SendDuringIdle", SamplingSettings.aligned_send_during_idle),
    _variable_factory("MonitoringCtrlr", "Enabled", MonitoringSettings.monitoring_enabled),
    _variable_factory("MonitoringCtrlr", "OfflineQueuingSeverity", MonitoringSettings.offline_queuing_severity),
    _variable_factory("TariffCostCtrlr", "Enabled", PriceSettings.tariff_enabled, "Tariff"),
    _variable_factory("TariffCostCtrlr", "Enabled", PriceSettings.cost_enabled, "Cost"),
    _variable_factory("TariffCostCtrlr", "Currency", PriceSettings.currency),
    _variable_factory("TariffCostCtrlr", "TariffFallbackMessage", PriceSettings.tariff_fallback_message),
    _variable_factory("TariffCostCtrlr", "TotalCostFallbackMessage", PriceSettings.total_cost_fallback_message),
    _variable_factory("DisplayMessageCtrlr", "Enabled", DisplaySettings.display_messages_enabled),
    _variable_factory("SmartChargingCtrlr", "Enabled", SmartChargingSettings.smart_charging_enabled),
    _variable_factory(
        "SmartChargingCtrlr",
        "LimitChangeSignificance",
        SmartChargingSettings.limit_change_significance_percent,
        unit="Percent",
    ),
    _variable_factory(
        "SmartChargingCtrlr",
        "NotifyChargingLimitWithSchedules",
        SmartChargingSettings.notify_charging_limit_with_schedules,
    ),
)

_SIGNING_SETTINGS = (
    _variable_factory("SampledDataCtrlr", "SignReadings", SamplingSettings.sampled_sign_readings),
    _variable_factory("SampledDataCtrlr", "SignStartedReadings", SamplingSettings.sampled_sign_started_readings),
    _variable_factory("SampledDataCtrlr", "SignUpdatedReadings", SamplingSettings.sampled_sign_updated_readings),
    _variable_factory("AlignedDataCtrlr", "SignReadings", SamplingSettings.aligned_sign_readings),
    _variable_factory("AlignedDataCtrlr", "SignUpdatedReadings", SamplingSettings.aligned_sign_updated_readings),
    _variable_factory(
        "OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", SamplingSettings.public_key_with_signed_meter_value
    ),
    # vendor variable: many CSMSs expect the bare key
    _variable_factory("OCPPCommCtrlr", "PublicKeyFormat", SamplingSettings.public_key_format),
)
"""variables of a station that signs meter values only (SampledDataCtrlr.SignReadings)

Source: OCPP 2.0.1 part 2, 2.5 and 2.7; OCA note on signed meter values, 4.3.
"""

_UNLOCK = "UnlockOnEVSideDisconnect"
_UNLOCK_OF_SOCKETS = _variable_factory("OCPPCommCtrlr", _UNLOCK, TransactionSettings.unlock_on_ev_side_disconnect)
_UNLOCK_OF_FIXED_CABLES = read_only_variable(
    Component("OCPPCommCtrlr"), _UNLOCK, DataType.BOOLEAN, lambda: "false", constant=True
)
"""part 2, 2.1.12: on a station with fixed cables only, it SHALL be ReadOnly and false"""
_TIME_OFFSET = _variable_factory("ClockCtrlr", "TimeOffset", ClockSettings.time_offset)
_INSTALLER_SETTINGS = (
    _variable_factory("ReservationCtrlr", "NonEvseSpecific", ReservationSettings.reservation_non_evse_specific),
    _variable_factory("SmartChargingCtrlr", "RateUnit", SmartChargingSettings.charging_rate_units),
    _variable_factory("DisplayMessageCtrlr", "SupportedFormats", DisplaySettings.display_supported_formats),
    _variable_factory("DisplayMessageCtrlr", "SupportedPriorities", DisplaySettings.display_supported_priorities),
    _variable_factory("DisplayMessageCtrlr", "PersonalMessageSize", PriceSettings.personal_message_size),
    _variable_factory("DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.get_report_items, "GetReport"),
    _variable_factory(
        "DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.get_variables_items, "GetVariables"
    ),
    _variable_factory(
        "DeviceDataCtrlr", "ItemsPerMessage", VariableRequestSettings.set_variables_items, "SetVariables"
    ),
    _variable_factory(
        "DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.get_report_bytes, "GetReport", unit="B"
    ),
    _variable_factory(
        "DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.get_variables_bytes, "GetVariables", unit="B"
    ),
    _variable_factory(
        "DeviceDataCtrlr", "BytesPerMessage", VariableRequestSettings.set_variables_bytes, "SetVariables", unit="B"
    ),
    _variable_factory("LocalAuthListCtrlr", "ItemsPerMessage", VariableRequestSettings.send_local_list_items),
    _variable_factory("LocalAuthListCtrlr", "BytesPerMessage", VariableRequestSettings.send_local_list_bytes, unit="B"),
    _variable_factory("LocalAuthListCtrlr", "SupportsExpiryDateTime", AuthorizationSettings.local_list_supports_expiry),
    _variable_factory(
        "MonitoringCtrlr", "ItemsPerMessage", VariableRequestSettings.set_monitoring_items, "SetVariableMonitoring"
    ),
    _variable_factory(
        "MonitoringCtrlr",
        "BytesPerMessage",
        VariableRequestSettings.set_monitoring_bytes,
        "SetVariableMonitoring",
        unit="B",
    ),
    _variable_factory(
        "MonitoringCtrlr", "ItemsPerMessage", VariableRequestSettings.clear_monitoring_items, "ClearVariableMonitoring"
    ),
    _variable_factory(
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
    for create_variable in (*_SETTINGS, *(_SIGNING_SETTINGS if signs else ())):
        yield create_variable(binding)

    async def write_time_offset(text: str) -> None:
        await change_time_offset(clock_settings, text, clock.now())

    # Part 2, ClockCtrlr.TimeOffset: not to be used at the same time as TimeZone.
    yield _TIME_OFFSET(binding).with_access(write=write_time_offset)
    yield _UNLOCK_OF_SOCKETS(binding) if sockets else _UNLOCK_OF_FIXED_CABLES
    for create_variable in _INSTALLER_SETTINGS:
        yield create_variable(binding).with_mutability(Mutability.READ_ONLY)
