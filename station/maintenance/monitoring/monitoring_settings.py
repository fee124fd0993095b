"""Settings of variable monitoring.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer, Switch
from station.core.setting_values import SettingGroup
from station.maintenance.monitoring.monitor import HIGHEST_SEVERITY


class MonitoringSettings(SettingGroup):
    """Settings of MonitoringCtrlr: a switch for all monitors, and up to which severity events wait for the CSMS."""

    monitoring_enabled = Switch(True)
    # Warnings and all that is more serious; notices, information and debugging are of the moment.
    offline_queuing_severity = Integer(6, minimum=0, maximum=HIGHEST_SEVERITY)
