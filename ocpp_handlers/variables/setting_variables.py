"""Variables bound to settings: the table that maps each setting to its component and variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from ocpp_handlers.variables.device_model import Component, DataType, Mutability, Variable, read_only_variable
from ocpp_handlers.variables.setting_binding import SettingBinding
from station.core.local_time import change_time_offset
from station.core.settings import Settings

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.setting_kinds import Setting

T = TypeVar("T")

_S = Settings


def _row(
    component: str, name: str, setting: Setting[T], instance: str | None = None, *, unit: str | None = None
) -> Callable[[SettingBinding], Variable]:
    """A function that creates the variable of a setting."""
    return lambda binding: binding.variable(Component(component), name, setting, instance, unit=unit)


_SETTINGS = (
    _row("TxCtrlr", "EVConnectionTimeOut", _S.ev_connection_timeout_s, unit="s"),
    _row("TxCtrlr", "TxStartPoint", _S.tx_start_points),
    _row("TxCtrlr", "TxStopPoint", _S.tx_stop_points),
    _row("TxCtrlr", "StopTxOnEVSideDisconnect", _S.stop_tx_on_ev_side_disconnect),
    _row("TxCtrlr", "StopTxOnInvalidId", _S.stop_tx_on_invalid_id),
    _row("TxCtrlr", "MaxEnergyOnInvalidId", _S.max_energy_on_invalid_id_wh, unit="Wh"),
    _row("TxCtrlr", "TxBeforeAcceptedEnabled", _S.tx_before_accepted_enabled),
    _row("TxCtrlr", "QueuedEventsLimit", _S.queued_events_limit),  # vendor variable, as the next
    _row("TxCtrlr", "RecordedEventsLimit", _S.recorded_events_limit),
    _row("TxCtrlr", "EndRegisterWait", _S.end_register_wait_s, unit="s"),
    _row("TxCtrlr", "RecordedTransactionsDays", _S.recorded_transactions_days, unit="d"),
    _row("AuthCtrlr", "Enabled", _S.auth_enabled),
    _row("AuthCtrlr", "DisableRemoteAuthorization", _S.disable_remote_authorization),
    _row("AuthCtrlr", "MasterPassGroupId", _S.master_pass_group_id),
    _row("AuthCtrlr", "AuthorizeRemoteStart", _S.authorize_remote_start),
    _row("AuthCtrlr", "LocalAuthorizeOffline", _S.local_authorize_offline),
    _row("AuthCtrlr", "LocalPreAuthorize", _S.local_pre_authorize),
    _row("AuthCtrlr", "OfflineTxForUnknownIdEnabled", _S.offline_tx_for_unknown_id_enabled),
    _row("AuthCacheCtrlr", "Enabled", _S.auth_cache_enabled),
    _row("AuthCacheCtrlr", "LifeTime", _S.auth_cache_life_time_s, unit="s"),
    _row("AuthCacheCtrlr", "Policy", _S.auth_cache_policy),
    _row("AuthCacheCtrlr", "DisablePostAuthorize", _S.auth_cache_disable_post_authorize),
    _row("OCPPCommCtrlr", "HeartbeatInterval", _S.heartbeat_interval_s, unit="s"),
    _row("OCPPCommCtrlr", "OfflineThreshold", _S.offline_threshold_s, unit="s"),
    _row("OCPPCommCtrlr", "MessageAttempts", _S.message_attempts, "TransactionEvent"),
    _row("OCPPCommCtrlr", "MessageAttemptInterval", _S.message_attempt_interval_s, "TransactionEvent", unit="s"),
    _row("OCPPCommCtrlr", "RetryBackOffRepeatTimes", _S.retry_back_off_repeat_times),
    _row("OCPPCommCtrlr", "RetryBackOffRandomRange", _S.retry_back_off_random_range_s, unit="s"),
    _row("OCPPCommCtrlr", "RetryBackOffWaitMinimum", _S.retry_back_off_wait_minimum_s, unit="s"),
    _row("OCPPCommCtrlr", "WebSocketPingInterval", _S.web_socket_ping_interval_s, unit="s"),
    _row("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", _S.network_profile_connection_attempts),
    _row("SecurityCtrlr", "OrganizationName", _S.organization_name),
    _row("SecurityCtrlr", "AllowCSMSTLSWildcards", _S.allow_csms_tls_wildcards),
    _row("ClockCtrlr", "TimeAdjustmentReportingThreshold", _S.time_adjustment_reporting_threshold_s, unit="s"),
    _row("OCPPCommCtrlr", "ResetRetries", _S.reset_retries),
    _row("ClockCtrlr", "TimeSource", _S.time_source),
    _row("ClockCtrlr", "TimeZone", _S.time_zone),
    _row("ClockCtrlr", "TimeOffset", _S.time_offset_next_transition, "NextTransition"),
    _row("ClockCtrlr", "NextTimeOffsetTransitionDateTime", _S.next_time_offset_transition),
    _row("SampledDataCtrlr", "Enabled", _S.sampled_data_enabled),
    _row("SampledDataCtrlr", "RegisterValuesWithoutPhases", _S.register_values_without_phases),
    _row("SampledDataCtrlr", "TxStartedMeasurands", _S.sampled_tx_started_measurands),
    _row("SampledDataCtrlr", "TxUpdatedMeasurands", _S.sampled_tx_updated_measurands),
    _row("SampledDataCtrlr", "TxUpdatedInterval", _S.sampled_tx_updated_interval_s, unit="s"),
    _row("SampledDataCtrlr", "TxEndedMeasurands", _S.sampled_tx_ended_measurands),
    _row("SampledDataCtrlr", "TxEndedInterval", _S.sampled_tx_ended_interval_s, unit="s"),
    _row("ChargingStation", "MinimumStatusDuration", _S.minimum_status_duration_s, unit="s"),
    _row("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", _S.allow_new_sessions_pending_firmware_update),
    _row("FirmwareCtrlr", "MostBytes", _S.firmware_most_bytes),  # vendor variable: the size of an image
    _row("AlignedDataCtrlr", "Enabled", _S.aligned_data_enabled),
    _row("AlignedDataCtrlr", "Measurands", _S.aligned_measurands),
    _row("AlignedDataCtrlr", "Interval", _S.aligned_interval_s, unit="s"),
    _row("AlignedDataCtrlr", "TxEndedMeasurands", _S.aligned_tx_ended_measurands),
    _row("AlignedDataCtrlr", "TxEndedInterval", _S.aligned_tx_ended_interval_s, unit="s"),
    _row("AlignedDataCtrlr", "SendDuringIdle", _S.aligned_send_during_idle),
    _row("TariffCostCtrlr", "Enabled", _S.tariff_enabled, "Tariff"),
    _row("TariffCostCtrlr", "Enabled", _S.cost_enabled, "Cost"),
    _row("TariffCostCtrlr", "Currency", _S.currency),
    _row("TariffCostCtrlr", "TariffFallbackMessage", _S.tariff_fallback_message),
    _row("TariffCostCtrlr", "TotalCostFallbackMessage", _S.total_cost_fallback_message),
    _row("SmartChargingCtrlr", "Enabled", _S.smart_charging_enabled),
    _row("SmartChargingCtrlr", "LimitChangeSignificance", _S.limit_change_significance_percent, unit="Percent"),
    _row("SmartChargingCtrlr", "NotifyChargingLimitWithSchedules", _S.notify_charging_limit_with_schedules),
)

_OF_SIGNING = (
    _row("SampledDataCtrlr", "SignReadings", _S.sampled_sign_readings),
    _row("SampledDataCtrlr", "SignStartedReadings", _S.sampled_sign_started_readings),
    _row("SampledDataCtrlr", "SignUpdatedReadings", _S.sampled_sign_updated_readings),
    _row("AlignedDataCtrlr", "SignReadings", _S.aligned_sign_readings),
    _row("AlignedDataCtrlr", "SignUpdatedReadings", _S.aligned_sign_updated_readings),
    _row("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", _S.public_key_with_signed_meter_value),
    _row("OCPPCommCtrlr", "PublicKeyFormat", _S.public_key_format),  # vendor variable: many CSMSs expect the bare key
)
"""variables of a station that signs meter values only (SampledDataCtrlr.SignReadings)

Source: OCPP 2.0.1 part 2, 2.5 and 2.7; OCA note on signed meter values, 4.3.
"""

_UNLOCK = "UnlockOnEVSideDisconnect"
_OF_SOCKETS = _row("OCPPCommCtrlr", _UNLOCK, _S.unlock_on_ev_side_disconnect)
_OF_FIXED_CABLES = read_only_variable(
    Component("OCPPCommCtrlr"), _UNLOCK, DataType.BOOLEAN, lambda: "false", constant=True
)
"""part 2, 2.1.12: on a station with fixed cables only, it SHALL be ReadOnly and false"""
_TIME_OFFSET = _row("ClockCtrlr", "TimeOffset", _S.time_offset)
_INSTALLER_SETTINGS = (
    _row("SmartChargingCtrlr", "RateUnit", _S.charging_rate_units),
    _row("DeviceDataCtrlr", "ItemsPerMessage", _S.get_report_items, "GetReport"),
    _row("DeviceDataCtrlr", "ItemsPerMessage", _S.get_variables_items, "GetVariables"),
    _row("DeviceDataCtrlr", "ItemsPerMessage", _S.set_variables_items, "SetVariables"),
    _row("DeviceDataCtrlr", "BytesPerMessage", _S.get_report_bytes, "GetReport", unit="B"),
    _row("DeviceDataCtrlr", "BytesPerMessage", _S.get_variables_bytes, "GetVariables", unit="B"),
    _row("DeviceDataCtrlr", "BytesPerMessage", _S.set_variables_bytes, "SetVariables", unit="B"),
)
"""variables set in the installation file; read-only for the CSMS unless that file says otherwise"""


def setting_variables(settings: Settings, clock: Clock, *, signs: bool, sockets: bool) -> Iterator[Variable]:
    """Yield the variables bound to settings; `signs`: it signs meter values; `sockets`: it has a socket outlet."""
    binding = SettingBinding(settings)
    for made in (*_SETTINGS, *(_OF_SIGNING if signs else ())):
        yield made(binding)

    async def write_time_offset(text: str) -> None:
        await change_time_offset(settings, text, clock.now())

    # Part 2, ClockCtrlr.TimeOffset: not to be used at the same time as TimeZone.
    yield replace(_TIME_OFFSET(binding), write=write_time_offset)
    yield _OF_SOCKETS(binding) if sockets else _OF_FIXED_CABLES
    for made in _INSTALLER_SETTINGS:
        yield replace(made(binding), mutability=Mutability.READ_ONLY)
