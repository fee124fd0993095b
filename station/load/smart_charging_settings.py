"""Settings of smart charging.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Decimal, Members, Switch
from station.core.setting_values import SettingGroup


class SmartChargingSettings(SettingGroup):
    """Settings of charging profiles (SmartChargingCtrlr)."""

    smart_charging_enabled = Switch(True)
    # Load balancing moves in steps of 1 A: a step of 1 A in 32 A is reported, rounding differences are not.
    limit_change_significance_percent = Decimal(3.0, maximum=100.0)
    notify_charging_limit_with_schedules = Switch(False)
    charging_rate_units = Members(("A", "W"), ("A", "W"))
