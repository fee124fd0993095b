"""Settings of authorization.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Choice, Integer, Switch, Text
from station.core.setting_values import SettingGroup


class AuthorizationSettings(SettingGroup):
    """Settings of how id tokens are authorized and cached (AuthCtrlr, AuthCacheCtrlr, LocalAuthListCtrlr)."""

    auth_enabled = Switch(True)
    disable_remote_authorization = Switch(False)
    master_pass_group_id = Text("", 36)
    """empty: there is no master pass"""
    authorize_remote_start = Switch(False)
    local_authorize_offline = Switch(True)
    local_pre_authorize = Switch(False)
    offline_tx_for_unknown_id_enabled = Switch(False)
    auth_cache_enabled = Switch(True)
    auth_cache_life_time_s = Integer(86_400 * 30, minimum=1)
    auth_cache_disable_post_authorize = Switch(False)
    # CUSTOM keeps accepted tokens longest, so that trying many unknown cards does not evict them.
    auth_cache_policy = Choice("CUSTOM", ("LRU", "LFU", "FIFO", "CUSTOM"))
    local_list_enabled = Switch(True)
    local_list_disable_post_authorize = Switch(False)
    local_list_supports_expiry = Switch(True)
    """whether an entry counts only until its cacheExpiryDateTime"""
