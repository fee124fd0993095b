"""A message of the CSMS for the display (block O, MessageInfoType)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from station.core.model import MessageContent


class MessagePriority(StrEnum):
    """How prominently a message is shown (MessagePriorityEnumType)."""

    ALWAYS_FRONT = "AlwaysFront"
    """shown alone, in front of all others; at most one at a time"""
    IN_FRONT = "InFront"
    """shown in front of the messages of the normal cycle"""
    NORMAL_CYCLE = "NormalCycle"
    """shown in turn with the others"""


class MessageState(StrEnum):
    """The state of the station during which a message is shown (MessageStateEnumType)."""

    CHARGING = "Charging"
    FAULTED = "Faulted"
    IDLE = "Idle"
    """not charging"""
    UNAVAILABLE = "Unavailable"


class DisplayAddress(Frozen):
    """Which display a message is for: the component of the device model (ComponentType)."""

    name: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None


class DisplayMessage(Frozen):
    """A message of the CSMS for the display: its text, and when, how prominently and where it is shown."""

    id: int
    """unique; a message with the same id replaces this one (O06)"""
    priority: MessagePriority
    content: MessageContent
    state: MessageState | None = None
    """shown only in this state; None: in any state"""
    starts_at: datetime | None = None
    """shown from this time on; None: at once"""
    ends_at: datetime | None = None
    """removed at this time; None: stays"""
    transaction_id: str | None = None
    """shown only during this transaction, and removed at its end; None: independent of transactions"""
    display: DisplayAddress | None = None
    """None: every display"""
