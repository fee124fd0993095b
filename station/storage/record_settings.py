"""Settings of stored transactions.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer
from station.core.setting_values import SettingGroup


class RecordSettings(SettingGroup):
    """How many events the station keeps on disk, and for how many days transactions (vendor variables of TxCtrlr)."""

    queued_events_limit = Integer(50_000, minimum=500, maximum=1_000_000)
    """number of events waiting for the CSMS above which samples are dropped"""
    recorded_events_limit = Integer(100_000, minimum=1_000, maximum=10_000_000)
    """number of newest events that are kept; older delivered ones are deleted"""
    # Slightly more than ten years, the longest legal retention period of accounts.
    recorded_transactions_days = Integer(3_660, minimum=30, maximum=36_600)
