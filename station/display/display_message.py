"""A message of the CSMS for the display (block O, MessageInfoType)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.core.model import MessageContent

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    """the EVSE whose display it is; None: a display of the whole station"""
    connector_id: int | None = None

    def same_as(self, other: DisplayAddress) -> bool:
        """Return whether both name the same display; names and instances are case-insensitive (identifierString)."""
        return self.key == other.key

    @property
    def key(self) -> tuple[str, str, int | None, int | None]:
        """The same for all addresses of one display, as a key in a mapping."""
        return self.name.casefold(), (self.instance or "").casefold(), self.evse_id, self.connector_id


MAIN_DISPLAY: Final = DisplayAddress("Display")
"""the display of the whole station, which every station has: the page /display shows it"""


def displays_of(evse_ids: Iterable[int]) -> tuple[DisplayAddress, ...]:
    """The displays of a station: the main one first, then one for each EVSE that has its own (`[display] evses`)."""
    return MAIN_DISPLAY, *(DisplayAddress("Display", evse_id=evse_id) for evse_id in evse_ids)


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
    """None: the main display (O01.FR.20)"""

    @property
    def place(self) -> DisplayAddress:
        """The display that shows this message."""
        return self.display if self.display is not None else MAIN_DISPLAY

    def has_ended(self, now: datetime) -> bool:
        """Return whether its end time has come, so that it is removed (O01.FR.07)."""
        return self.ends_at is not None and now >= self.ends_at
