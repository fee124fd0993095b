"""Settings of how large requests of the CSMS may be.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer
from station.core.setting_values import SettingGroup


class VariableRequestSettings(SettingGroup):
    """How large a request about variables, monitors or the local list may be, in items and bytes.

    A larger one is answered with a CALLERROR, a larger SendLocalList with status Failed.
    """

    # 50 items make a response of some 15 kB, and 64 KiB hold 50 items with the longest value of the schema; 512 bytes
    # hold a request that raises the limit again.
    get_report_items = Integer(50, minimum=1, maximum=500)
    get_report_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    get_variables_items = Integer(50, minimum=1, maximum=500)
    get_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    set_variables_items = Integer(50, minimum=1, maximum=500)
    set_variables_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    # 500 items of a token with status and group make some 100 kB; the list itself holds 100,000.
    send_local_list_items = Integer(500, minimum=1, maximum=1_000)
    send_local_list_bytes = Integer(262_144, minimum=512, maximum=1_000_000)
    set_monitoring_items = Integer(50, minimum=1, maximum=500)
    set_monitoring_bytes = Integer(65_536, minimum=512, maximum=1_000_000)
    clear_monitoring_items = Integer(100, minimum=1, maximum=1_000)
    clear_monitoring_bytes = Integer(16_384, minimum=512, maximum=1_000_000)
