"""Settings of the clock and of local time.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer, Moment, TimeOffset, TimeSources, TimeZone
from station.core.setting_values import SettingGroup


class ClockSettings(SettingGroup):
    """Settings of local time, and of the sources that may set the station's clock (ClockCtrlr)."""

    time_zone = TimeZone("")
    time_offset = TimeOffset("")
    next_time_offset_transition = Moment(None)
    time_offset_next_transition = TimeOffset("")
    time_source = TimeSources(("Heartbeat",), ("Heartbeat", "NTP", "RealTimeClock"))
    time_adjustment_reporting_threshold_s = Integer(20, minimum=1, maximum=86_400)
