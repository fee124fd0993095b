"""All setting groups of one station. Each package that uses settings declares its own group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from station.billing.price_settings import PriceSettings
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.evse_settings import EvseSettings
from station.charging.reservations.reservation_settings import ReservationSettings
from station.charging.sampling_settings import SamplingSettings
from station.charging.transaction_settings import TransactionSettings
from station.core.clock_settings import ClockSettings
from station.core.setting_groups import SettingGroups
from station.display.display_settings import DisplaySettings
from station.load.charge_plan_settings import ChargePlanSettings
from station.load.smart_charging_settings import SmartChargingSettings
from station.maintenance.firmware.firmware_settings import FirmwareSettings
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings
from station.security.security_settings import SecuritySettings
from station.storage.record_settings import RecordSettings

if TYPE_CHECKING:
    from station.core.setting_values import SettingsStore


class StationSettings:
    """The changeable settings of one station, in groups; each part receives only the groups that it uses."""

    def __init__(self, store: SettingsStore | None = None) -> None:
        """Create all groups with their defaults; `groups.load` loads the stored values.

        `store`: stores changes; None: they are lost at the end.
        """
        self.clock = ClockSettings(store)
        self.records = RecordSettings(store)
        self.security = SecuritySettings(store)
        self.authorization = AuthorizationSettings(store)
        self.transactions = TransactionSettings(store)
        self.reservations = ReservationSettings(store)
        self.sampling = SamplingSettings(store)
        self.smart_charging = SmartChargingSettings(store)
        self.charge_plans = ChargePlanSettings(store)
        self.prices = PriceSettings(store)
        self.firmware = FirmwareSettings(store)
        self.monitoring = MonitoringSettings(store)
        self.display = DisplaySettings(store)
        self.csms_link = CsmsLinkSettings(store)
        self.variable_requests = VariableRequestSettings(store)
        self.evse = EvseSettings(self.transactions, self.sampling, self.records)
        """the groups that an EVSE uses"""
        self.groups = SettingGroups(
            (
                self.clock,
                self.records,
                self.security,
                self.authorization,
                self.transactions,
                self.reservations,
                self.sampling,
                self.smart_charging,
                self.charge_plans,
                self.prices,
                self.firmware,
                self.monitoring,
                self.display,
                self.csms_link,
                self.variable_requests,
            )
        )
        """all groups, to load them and to find a setting by its name"""
