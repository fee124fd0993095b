"""Settings of the display messages of the CSMS.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from typing import Final

from station.core.setting_kinds import Members, Switch
from station.core.setting_values import SettingGroup
from station.display.display_message import MessagePriority

FORMATS: Final = ("ASCII", "UTF8", "HTML", "URI")
"""the formats of a message that the station can show (MessageFormatEnumType)"""


class DisplaySettings(SettingGroup):
    """Settings of the messages that a CSMS sets for the displays (DisplayMessageCtrlr)."""

    display_messages_enabled = Switch(True)
    display_supported_formats = Members(FORMATS, FORMATS)
    display_supported_priorities = Members(tuple(MessagePriority), tuple(MessagePriority))
