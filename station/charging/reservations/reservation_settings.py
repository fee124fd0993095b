"""Settings of reservations.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Switch
from station.core.setting_values import SettingGroup


class ReservationSettings(SettingGroup):
    """Settings of which reservations are accepted (ReservationCtrlr)."""

    reservation_enabled = Switch(True)
    reservation_non_evse_specific = Switch(True)
    """whether any EVSE, or any with a connector type, may be reserved (H01.FR.18, H01.FR.19)"""
