"""What an operator may change at run time: typed, bounded, saved. OCPP variables are bindings to these.

A setting is read as an attribute (`settings.ev_connection_timeout_s`) and changed from text, since every way
in (OCPP, the API, the disk) brings text. A refused text says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast

from station.core.sampling import Measurand
from station.core.setting_kinds import (
    Choice,
    Currency,
    Decimal,
    Integer,
    Members,
    Moment,
    Setting,
    Switch,
    Text,
    TimeOfDay,
    TimeOffset,
    TimeSources,
    TimeZone,
    TxPoints,
)

T = TypeVar("T")
_log = logging.getLogger(__name__)

# As a stop point DataSigned has no meaning at all (part 2, 2.6.6.2; E06.FR.05 was removed by the errata).
_TX_POINTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
_START_POINTS = (*_TX_POINTS[:3], "DataSigned", *_TX_POINTS[3:])
_PARKING_BAY = _TX_POINTS[0]
_MEASURANDS = tuple(Measurand)
_REGISTER = (Measurand.ENERGY_IMPORT_REGISTER,)


class SettingsStore(Protocol):
    """Keeps the texts of changed settings over a restart."""

    async def load(self) -> dict[str, str]:
        """The text of each stored setting by its name, including settings that this version does not have.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """The value that a stored text means, or None if `parse` refuses it; the text then stays stored and is listed.

        Args:
            name: the name of the setting.
            parse: reads the text, or raises ValueError.
            text: as stored.
        """
        ...

    async def save(self, name: str, text: str) -> None:
        """Store the text of a setting, in place of its earlier one; it is on disk when this returns.

        Raises:
            StorageError: it is not stored.
        """
        ...


class Settings:
    """All settings with their values. Reading is synchronous; a change is on disk before it counts."""

    # Transactions (TxCtrlr)
    ev_connection_timeout_s = Integer(120, minimum=1)
    tx_start_points = TxPoints(("EVConnected", "Authorized"), _START_POINTS)
    tx_stop_points = TxPoints(("EVConnected", "Authorized"), _TX_POINTS)
    stop_tx_on_ev_side_disconnect = Switch(True)
    stop_tx_on_invalid_id = Switch(True)
    max_energy_on_invalid_id_wh = Integer(0)
    tx_before_accepted_enabled = Switch(True)
    queued_events_limit = Integer(50_000, minimum=500, maximum=1_000_000)
    recorded_events_limit = Integer(100_000, minimum=1_000, maximum=10_000_000)

    # A meter that starts again is back within half a minute; one that is broken must not keep a driver from the bill.
    end_register_wait_s = Integer(60, maximum=86_400)
    # Ten years and a little: as long as accounts are kept where that is longest.
    recorded_transactions_days = Integer(3_660, minimum=30, maximum=36_600)

    # Authorization (AuthCtrlr, AuthCacheCtrlr)
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
    # CUSTOM keeps accepted tokens longest: somebody who tries cards cannot drive out those that charge here.
    auth_cache_policy = Choice("CUSTOM", ("LRU", "LFU", "FIFO", "CUSTOM"))

    # The link to the CSMS (OCPPCommCtrlr)
    heartbeat_interval_s = Integer(300, minimum=1)
    offline_threshold_s = Integer(60)
    message_attempts = Integer(3, minimum=1, maximum=100)
    message_attempt_interval_s = Integer(10, maximum=86_400)
    retry_back_off_repeat_times = Integer(5, maximum=20)
    retry_back_off_random_range_s = Integer(10, maximum=3_600)
    retry_back_off_wait_minimum_s = Integer(5, minimum=1, maximum=3_600)
    web_socket_ping_interval_s = Integer(60, maximum=86_400)
    network_profile_connection_attempts = Integer(3, minimum=1, maximum=100)
    unlock_on_ev_side_disconnect = Switch(True)
    reset_retries = Integer(1, maximum=10)
    time_adjustment_reporting_threshold_s = Integer(20, minimum=1, maximum=86_400)
    time_source = TimeSources(("Heartbeat",), ("Heartbeat", "NTP", "RealTimeClock"))

    # Local time, for whoever reads the local page (ClockCtrlr)
    time_zone = TimeZone("")
    time_offset = TimeOffset("")
    next_time_offset_transition = Moment(None)
    time_offset_next_transition = TimeOffset("")

    # Security (SecurityCtrlr)
    allow_security_profile_downgrade = Switch(False)
    allow_csms_tls_wildcards = Switch(False)
    organization_name = Text("", maximum=64)  # O of an X.509 name has no more (RFC 5280, ub-organization-name)
    # An authority may have people behind it: a signed certificate within five minutes, else in ten, twenty, forty.
    cert_signing_wait_minimum_s = Integer(300, minimum=1, maximum=86_400)
    cert_signing_repeat_times = Integer(3, maximum=20)
    max_certificate_chain_size = Integer(10_000, minimum=1, maximum=10_000)  # the most that the message can carry
    additional_root_certificate_check = Switch(False)

    # The largest request about variables (DeviceDataCtrlr): 50 items make a response of some 15 kB, and 64 KiB hold
    # 50 items with the longest value of the schema; 512 bytes hold a request that raises the limit again.
    get_report_items = Integer(50, minimum=1, maximum=500)
    get_report_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    get_variables_items = Integer(50, minimum=1, maximum=500)
    get_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    set_variables_items = Integer(50, minimum=1, maximum=500)
    set_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)

    # What is sampled (SampledDataCtrlr, AlignedDataCtrlr)
    sampled_data_enabled = Switch(True)
    sampled_tx_started_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_updated_measurands = Members(
        (Measurand.ENERGY_IMPORT_REGISTER, Measurand.POWER_IMPORT, Measurand.CURRENT_IMPORT), _MEASURANDS
    )
    sampled_tx_updated_interval_s = Integer(60, maximum=86_400)
    sampled_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_ended_interval_s = Integer(0, maximum=86_400)
    # What is billed is the total; those of the phases cost three numbers more in every sample.
    register_values_without_phases = Switch(True)
    aligned_data_enabled = Switch(True)
    aligned_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_interval_s = Integer(0, maximum=86_400)
    aligned_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_tx_ended_interval_s = Integer(0, maximum=86_400)
    aligned_send_during_idle = Switch(False)

    # What is told signed (OCA note on signed meter values; FiscalMetering)
    sampled_sign_readings = Switch(False)
    sampled_sign_started_readings = Switch(True)
    # One signature for each sample: who wants that says so.
    sampled_sign_updated_readings = Switch(False)
    aligned_sign_readings = Switch(False)
    aligned_sign_updated_readings = Switch(False)
    public_key_with_signed_meter_value = Choice(
        "OncePerTransaction", ("Never", "OncePerTransaction", "EveryMeterValue")
    )
    public_key_format = Choice("oca", ("oca", "hex", "base64"))

    # Status of connectors (ChargingStation)
    minimum_status_duration_s = Integer(0, maximum=3_600)

    # Firmware updates (ChargingStation, FirmwareCtrlr)
    allow_new_sessions_pending_firmware_update = Switch(False)
    # An image of a small Linux with two slots; more would be somebody filling the disk.
    firmware_most_bytes = Integer(256 * 2**20, minimum=1)

    # Cheap hours, as the owner wants them (energy/tariff.py)
    tariff_mode = Choice("none", ("none", "off-peak", "avoid-peaks"))
    tariff_departure = TimeOfDay("")
    tariff_energy_wh = Integer(0, maximum=200_000)

    # What drivers are told of prices (TariffCostCtrlr)
    tariff_enabled = Switch(True)
    cost_enabled = Switch(True)
    currency = Currency("EUR")
    tariff_fallback_message = Text("", 255)
    total_cost_fallback_message = Text("", 255)

    # Smart charging (SmartChargingCtrlr)
    smart_charging_enabled = Switch(True)
    # Load balancing moves in steps of amperes: one of 32 is told, what rounding does is not.
    limit_change_significance_percent = Decimal(3.0, maximum=100.0)
    notify_charging_limit_with_schedules = Switch(False)
    charging_rate_units = Members(("A", "W"), ("A", "W"))

    def __init__(self, store: SettingsStore | None = None) -> None:
        self._store = store
        self._overrides: dict[str, object] = {}
        self._saved: dict[str, object] = {}
        self._presets: dict[str, object] = {}
        self._watchers: list[Callable[[str], None]] = []
        self._offered: dict[tuple[str, ...], tuple[str, ...]] = {}
        """of lists of words, those that mean something here: others are refused, and not in force where they were
        saved or usual"""

    def offer_measurands(self, measurands: Sequence[str]) -> None:
        """Only these can be sampled here."""
        self._offered[_MEASURANDS] = tuple(measurands)

    def withdraw_parking_bay(self) -> None:
        """Nobody sees here who parks: a transaction would never start with that, or never end (part 2, 2.6.6)."""
        for points in (_START_POINTS, _TX_POINTS):
            self._offered[points] = tuple(point for point in points if point != _PARKING_BAY)

    def choices_of(self, setting: Setting[T]) -> tuple[str, ...]:
        """The words that a setting allows here, where it allows only some."""
        return self._offered.get(setting.choices, setting.choices)

    def parse(self, setting: Setting[T], text: str) -> T:
        """The value that a text means here.

        Raises:
            ValueError: why it is none.
        """
        value = setting.parse(text)
        if (offered := self._offered.get(setting.choices)) is not None:
            for name in cast("tuple[str, ...]", value):
                if name not in offered:
                    by = "given by the meter" if setting.choices == _MEASURANDS else "seen by a sensor here"
                    raise ValueError(f"{name!r} is not {by}; there is {', '.join(offered)}")
        return value

    def _in_force(self, setting: Setting[T], value: T) -> T:
        if (offered := self._offered.get(setting.choices)) is None:
            return value
        given = tuple(name for name in cast("tuple[str, ...]", value) if name in offered)
        if not given and setting.choices != _MEASURANDS:
            return setting.default
        return cast("T", given)

    def value_of(self, setting: Setting[T]) -> T:
        """What a setting is now: what is in force for the moment, else saved, else of the installation, else usual."""
        for values in (self._overrides, self._saved, self._presets):
            if setting.name in values:
                return self._in_force(setting, cast("T", values[setting.name]))  # `_put` put a T there
        return self._in_force(setting, setting.default)

    def text_of(self, setting: Setting[T]) -> str:
        """What a setting is now, as text."""
        return setting.format(self.value_of(setting))

    async def change(self, setting: Setting[T], text: str) -> None:
        """Change a setting: checked, then on disk, then in force.

        Raises:
            ValueError: the text is refused, and why.
            StorageError: it could not be saved and did not change.
        """
        value = self.parse(setting, text)
        if self._store is not None:
            await self._store.save(setting.name, setting.format(value))
        self._overrides.pop(setting.name, None)
        self._put(self._saved, setting, value)

    def override(self, setting: Setting[T], value: T) -> None:
        """Put a value in force without saving it, until it is changed, restored, or the station boots."""
        self._put(self._overrides, setting, value)

    def restore(self, setting: Setting[T]) -> None:
        """End what `override` did."""
        if self._overrides.pop(setting.name, None) is not None:
            self._announce(setting)

    def preset(self, setting: Setting[T], value: T) -> None:
        """Use this as the default, as the installation file wants it; what is saved outweighs it (B05.FR.10)."""
        self._put(self._presets, setting, value)

    def _put(self, values: dict[str, object], setting: Setting[T], value: T) -> None:
        values[setting.name] = value
        self._announce(setting)

    def _announce(self, setting: Setting[T]) -> None:
        _log.info("setting %s is %s", setting.name, self.text_of(setting))
        for watcher in self._watchers:
            watcher(setting.name)

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call `watcher` with the name of each setting that changes, until the returned function is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def load(self) -> None:
        """Take the saved values; one that is no longer allowed is left at its default, and said.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._store is None:
            return
        for name, text in (await self._store.load()).items():
            setting = self.find(name)
            if setting is None:
                _log.warning("saved setting %s is not known any more", name)
                continue
            value = self._store.read(setting.name, setting.parse, text)
            if value is None:
                _log.warning("saved setting %s = %s is not allowed; its default is used", name, text)
            else:
                self._saved[setting.name] = value

    @classmethod
    def find(cls, name: str) -> Setting[object] | None:
        """The setting of that name; None when there is none."""
        found: object = cls.__dict__.get(name)
        return found if isinstance(found, Setting) else None  # pyright: ignore[reportUnknownVariableType]  # of any type
