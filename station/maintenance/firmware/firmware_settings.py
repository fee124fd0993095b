"""Settings of firmware updates.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer, Switch
from station.core.setting_values import SettingGroup


class FirmwareSettings(SettingGroup):
    """Settings of firmware updates: sessions before an installation, largest image (ChargingStation, FirmwareCtrlr)."""

    allow_new_sessions_pending_firmware_update = Switch(False)
    """whether vehicles may start charging while an installation waits for others to finish"""
    # Enough for the image of a small Linux system; the limit protects the disk.
    firmware_most_bytes = Integer(256 * 2**20, minimum=1)
