"""Settings of the tariff and cost shown to drivers.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.model import LONGEST_CONTENT
from station.core.setting_kinds import Currency, Integer, Switch, Text
from station.core.setting_values import SettingGroup


class PriceSettings(SettingGroup):
    """Settings of the display of tariff and cost to drivers (TariffCostCtrlr); the prices are in `Prices`."""

    tariff_enabled = Switch(True)
    cost_enabled = Switch(True)
    currency = Currency("EUR")
    tariff_fallback_message = Text("", 255)
    total_cost_fallback_message = Text("", 255)
    # DisplayMessageCtrlr.PersonalMessageSize: characters; 0: no personal message is used
    personal_message_size = Integer(LONGEST_CONTENT, maximum=LONGEST_CONTENT)
