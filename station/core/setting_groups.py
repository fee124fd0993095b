"""The settings that an operator may change at run time, in groups. OCPP variables are bound to these.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from collections.abc import Sequence

from station.core.sampling import Measurand
from station.core.setting_kinds import (
    Choice,
    Currency,
    Decimal,
    Integer,
    Members,
    Moment,
    Switch,
    Text,
    TimeOfDay,
    TimeOffset,
    TimeSources,
    TimeZone,
    TxPoints,
)
from station.core.setting_values import SettingGroup, SupportedChoices

# DataSigned has no meaning as a stop point (part 2, 2.6.6.2; E06.FR.05 was removed by the errata).
_TX_POINTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
_START_POINTS = (*_TX_POINTS[:3], "DataSigned", *_TX_POINTS[3:])
_PARKING_BAY = _TX_POINTS[0]
_NO_SENSOR = "supported: the station has no such sensor"
_MEASURANDS = tuple(Measurand)
_REGISTER = (Measurand.ENERGY_IMPORT_REGISTER,)


class ClockSettings(SettingGroup):
    """Local time, and the sources that may set the clock (ClockCtrlr)."""

    time_zone = TimeZone("")
    time_offset = TimeOffset("")
    next_time_offset_transition = Moment(None)
    time_offset_next_transition = TimeOffset("")
    time_source = TimeSources(("Heartbeat",), ("Heartbeat", "NTP", "RealTimeClock"))
    time_adjustment_reporting_threshold_s = Integer(20, minimum=1, maximum=86_400)


class RecordSettings(SettingGroup):
    """Limits and retention of stored transactions (TxCtrlr)."""

    queued_events_limit = Integer(50_000, minimum=500, maximum=1_000_000)
    recorded_events_limit = Integer(100_000, minimum=1_000, maximum=10_000_000)
    # Slightly more than ten years, the longest legal retention period of accounts.
    recorded_transactions_days = Integer(3_660, minimum=30, maximum=36_600)


class SecuritySettings(SettingGroup):
    """Certificates and security profiles (SecurityCtrlr)."""

    allow_security_profile_downgrade = Switch(False)
    allow_csms_tls_wildcards = Switch(False)
    organization_name = Text("", maximum=64)  # limit of O in an X.509 name (RFC 5280, ub-organization-name)
    # A certificate authority may sign manually: wait five minutes for the certificate, then ten, twenty, forty.
    cert_signing_wait_minimum_s = Integer(300, minimum=1, maximum=86_400)
    cert_signing_repeat_times = Integer(3, maximum=20)
    max_certificate_chain_size = Integer(10_000, minimum=1, maximum=10_000)  # limit of the message schema
    additional_root_certificate_check = Switch(False)


class AuthorizationSettings(SettingGroup):
    """Authorization (AuthCtrlr, AuthCacheCtrlr)."""

    auth_enabled = Switch(True)
    disable_remote_authorization = Switch(False)
    master_pass_group_id = Text("", 36)
    authorize_remote_start = Switch(False)
    local_authorize_offline = Switch(True)
    local_pre_authorize = Switch(False)
    offline_tx_for_unknown_id_enabled = Switch(False)
    auth_cache_enabled = Switch(True)
    auth_cache_life_time_s = Integer(86_400 * 30, minimum=1)
    auth_cache_disable_post_authorize = Switch(False)
    # CUSTOM keeps accepted tokens longest, so that trying many unknown cards does not evict them.
    auth_cache_policy = Choice("CUSTOM", ("LRU", "LFU", "FIFO", "CUSTOM"))


class TransactionSettings(SettingGroup):
    """Start and end of transactions, cable unlock, resets (TxCtrlr, OCPPCommCtrlr, ChargingStation)."""

    ev_connection_timeout_s = Integer(120, minimum=1)
    tx_start_points = TxPoints(("EVConnected", "Authorized"), _START_POINTS)
    tx_stop_points = TxPoints(("EVConnected", "Authorized"), _TX_POINTS)
    stop_tx_on_ev_side_disconnect = Switch(True)
    stop_tx_on_invalid_id = Switch(True)
    max_energy_on_invalid_id_wh = Integer(0)
    tx_before_accepted_enabled = Switch(True)
    # A restarting meter is back within half a minute; a broken one must not delay the bill.
    end_register_wait_s = Integer(60, maximum=86_400)
    unlock_on_ev_side_disconnect = Switch(True)
    reset_retries = Integer(1, maximum=10)
    minimum_status_duration_s = Integer(0, maximum=3_600)

    def disallow_parking_bay(self) -> None:
        """Disallow ParkingBayOccupancy, since without a bay sensor it is never reached (part 2, 2.6.6)."""
        for points in (_START_POINTS, _TX_POINTS):
            left = tuple(point for point in points if point != _PARKING_BAY)
            self._restrict_choices(points, SupportedChoices(left, _NO_SENSOR, may_be_empty=False))


class SamplingSettings(SettingGroup):
    """Sampling and signing of meter values (SampledDataCtrlr, AlignedDataCtrlr, FiscalMetering)."""

    sampled_data_enabled = Switch(True)
    sampled_tx_started_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_updated_measurands = Members(
        (Measurand.ENERGY_IMPORT_REGISTER, Measurand.POWER_IMPORT, Measurand.CURRENT_IMPORT), _MEASURANDS
    )
    sampled_tx_updated_interval_s = Integer(60, maximum=86_400)
    sampled_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_ended_interval_s = Integer(0, maximum=86_400)
    # Billing uses the total; registers per phase would add three values to every sample.
    register_values_without_phases = Switch(True)
    aligned_data_enabled = Switch(True)
    aligned_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_interval_s = Integer(0, maximum=86_400)
    aligned_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_tx_ended_interval_s = Integer(0, maximum=86_400)
    aligned_send_during_idle = Switch(False)
    sampled_sign_readings = Switch(False)
    sampled_sign_started_readings = Switch(True)
    # Off by default, since it signs every sample.
    sampled_sign_updated_readings = Switch(False)
    aligned_sign_readings = Switch(False)
    aligned_sign_updated_readings = Switch(False)
    public_key_with_signed_meter_value = Choice(
        "OncePerTransaction", ("Never", "OncePerTransaction", "EveryMeterValue")
    )
    public_key_format = Choice("oca", ("oca", "hex", "base64"))

    def restrict_measurands(self, measurands: Sequence[str]) -> None:
        """Allow only these measurands, which the meters of the station support."""
        self._restrict_choices(
            _MEASURANDS,
            SupportedChoices(tuple(measurands), "supported by the meters of the station", may_be_empty=True),
        )


class SmartChargingSettings(SettingGroup):
    """Charging profiles, and the owner's off-peak charging (SmartChargingCtrlr; energy/tariff.py)."""

    smart_charging_enabled = Switch(True)
    # Load balancing moves in steps of 1 A: a step of 1 A in 32 A is reported, rounding differences are not.
    limit_change_significance_percent = Decimal(3.0, maximum=100.0)
    notify_charging_limit_with_schedules = Switch(False)
    charging_rate_units = Members(("A", "W"), ("A", "W"))
    tariff_mode = Choice("none", ("none", "off-peak", "avoid-peaks"))
    tariff_departure = TimeOfDay("")
    tariff_energy_wh = Integer(0, maximum=200_000)


class PriceSettings(SettingGroup):
    """Display of tariff and cost to drivers (TariffCostCtrlr)."""

    tariff_enabled = Switch(True)
    cost_enabled = Switch(True)
    currency = Currency("EUR")
    tariff_fallback_message = Text("", 255)
    total_cost_fallback_message = Text("", 255)


class FirmwareSettings(SettingGroup):
    """Firmware updates (ChargingStation, FirmwareCtrlr)."""

    allow_new_sessions_pending_firmware_update = Switch(False)
    # Enough for the image of a small Linux system; the limit protects the disk.
    firmware_most_bytes = Integer(256 * 2**20, minimum=1)


class CsmsLinkSettings(SettingGroup):
    """The link to the CSMS, and the largest requests from it (OCPPCommCtrlr, DeviceDataCtrlr)."""

    heartbeat_interval_s = Integer(300, minimum=1)
    offline_threshold_s = Integer(60)
    message_attempts = Integer(3, minimum=1, maximum=100)
    message_attempt_interval_s = Integer(10, maximum=86_400)
    retry_back_off_repeat_times = Integer(5, maximum=20)
    retry_back_off_random_range_s = Integer(10, maximum=3_600)
    retry_back_off_wait_minimum_s = Integer(5, minimum=1, maximum=3_600)
    web_socket_ping_interval_s = Integer(60, maximum=86_400)
    network_profile_connection_attempts = Integer(3, minimum=1, maximum=100)
    # The largest request about variables (DeviceDataCtrlr): 50 items make a response of some 15 kB, and 64 KiB hold
    # 50 items with the longest value of the schema; 512 bytes hold a request that raises the limit again.
    get_report_items = Integer(50, minimum=1, maximum=500)
    get_report_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    get_variables_items = Integer(50, minimum=1, maximum=500)
    get_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    set_variables_items = Integer(50, minimum=1, maximum=500)
    set_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
