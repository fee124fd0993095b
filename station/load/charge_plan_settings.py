"""Settings of the owner's charge plan.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from typing import Final

from station.core.setting_kinds import Choice, Integer, TimeOfDay
from station.core.setting_values import SettingGroup

MOST_ENERGY_WH: Final = 200_000


class ChargePlanSettings(SettingGroup):
    """The charge plan of the EVSEs that have none of their own (energy/tariff.py); no variables of OCPP."""

    tariff_mode = Choice("none", ("none", "off-peak", "avoid-peaks"))
    tariff_departure = TimeOfDay("")
    tariff_energy_wh = Integer(0, maximum=MOST_ENERGY_WH)
