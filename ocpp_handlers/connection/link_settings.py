"""Settings of the link to the CSMS.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer
from station.core.setting_values import SettingGroup


class CsmsLinkSettings(SettingGroup):
    """Settings of the link to the CSMS (OCPPCommCtrlr): heartbeats, pings, repeats of messages, reconnection."""

    heartbeat_interval_s = Integer(300, minimum=1)
    offline_threshold_s = Integer(60)
    message_attempts = Integer(3, minimum=1, maximum=100)
    """attempts to send an event that is refused or not answered"""
    message_attempt_interval_s = Integer(10, maximum=86_400)
    """wait before the second attempt; times the number of attempts before each later one"""
    retry_back_off_repeat_times = Integer(5, maximum=20)
    retry_back_off_random_range_s = Integer(10, maximum=3_600)
    retry_back_off_wait_minimum_s = Integer(5, minimum=1, maximum=3_600)
    web_socket_ping_interval_s = Integer(60, maximum=86_400)
    """0: no pings"""
