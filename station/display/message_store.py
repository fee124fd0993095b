"""The messages that the CSMS sets for the displays: on disk, and removed when they end (block O)."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from station.core.model import EventType, MessageContent
from station.display.content_rules import content_error
from station.display.display_message import DisplayAddress, DisplayMessage, MessagePriority, MessageState
from station.display.display_settings import DisplaySettings
from station.display.message_visibility import MessageVisibility, condition_of, visibilities, visible_messages
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.charging.charging_station import ChargingStation
    from station.core.model import TransactionEvent
    from station.display.message_visibility import EvseCondition
    from station.storage.database import Database

_log = logging.getLogger(__name__)

MAX_MESSAGES: Final = 100
"""messages at the same time (maxLimit of DisplayMessageCtrlr.DisplayMessages); some 250 kB on disk at most"""
_TABLE: Final = "display_messages"
_DELETE: Final = "DELETE FROM display_messages WHERE id = ?"
_UPSERT: Final = (
    "INSERT INTO display_messages (id, payload) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload"
)
_SHORTEST_WAIT_S: Final = 0.001

MESSAGES: Final = StoredFormat(
    DisplayMessage,
    {
        DisplayMessage: names(
            "id", "priority", "content", "state", "starts_at", "ends_at", "transaction_id", "display"
        ),
        MessageContent: names("content", "format", "language"),
        DisplayAddress: names("name", "instance", "evse_id", "connector_id"),
        MessagePriority: names(ALWAYS_FRONT="AlwaysFront", IN_FRONT="InFront", NORMAL_CYCLE="NormalCycle"),
        MessageState: names(CHARGING="Charging", FAULTED="Faulted", IDLE="Idle", UNAVAILABLE="Unavailable"),
    },
)


class RefusalStatus(StrEnum):
    """Why a message is not accepted (DisplayMessageStatusEnumType)."""

    REJECTED = "Rejected"
    FORMAT = "NotSupportedMessageFormat"
    PRIORITY = "NotSupportedPriority"
    STATE = "NotSupportedState"
    TRANSACTION = "UnknownTransaction"


class MessageRefusal(Frozen):
    """Why a message is not accepted: the status, the reason code of statusInfo, and a sentence for the CSMS."""

    status: RefusalStatus
    reason_code: str
    sentence: str


class DisplayCapabilities(Frozen):
    """What the displays of the station can do, by the installation file."""

    displays: tuple[DisplayAddress, ...]
    """all displays of the station, the main one first"""
    states: frozenset[MessageState] = frozenset(MessageState)
    """the states that a display can distinguish; a message for another one is refused (O01.FR.02)"""


class DisplayMessages:
    """The messages of the CSMS for the displays of the station.

    A message is on disk before it is accepted, and deleted from disk before its removal is confirmed. It is removed
    when its end time comes, also if that was while the station was off, and when its transaction ends.
    """

    def __init__(
        self,
        database: Database,
        station: ChargingStation,
        capabilities: DisplayCapabilities,
        settings: DisplaySettings,
        clock: Clock,
        auxiliary: AuxiliaryCalls,
    ) -> None:
        self.changed: Event[None] = Event()
        """displays must choose again what they show: a message was added, replaced or removed, or its start time has
        come, or messages of the CSMS were enabled or disabled"""
        self.capabilities = capabilities
        self._database = database
        self._station = station
        self._settings = settings
        self._clock = clock
        self._messages: dict[int, DisplayMessage] = {}
        self._ended_ids: set[int] = set()
        """ids of messages that have ended and are to be deleted from disk"""
        self._save_lock = asyncio.Lock()
        """held while the disk is changed, so that memory and disk change in the same order"""
        self._due = ChangeSignal()
        """the next start or end, or `_ended_ids`, has changed"""
        enabled = settings.changed(DisplaySettings.display_messages_enabled)
        auxiliary.subscribe(enabled, lambda _: self.changed.publish(None))

    async def load(self) -> None:
        """Load the stored messages, without those that have ended; call once, before `run`.

        A message of a transaction has ended: a power cut or a restart ends all transactions (O02.FR.02).

        Raises:
            StorageError: the disk cannot be read.
        """
        now = self._clock.now()
        for identity, payload in await self._database.rows("SELECT id, payload FROM display_messages ORDER BY id"):
            address = RowAddress(_TABLE, str(identity))
            message = self._database.unreadable.read(MESSAGES.from_text, payload, address)
            if message is None:
                continue
            if message.has_ended(now) or message.transaction_id is not None:
                self._ended_ids.add(message.id)
            else:
                self._messages[message.id] = message

    # For the CSMS

    async def put(self, message: DisplayMessage) -> MessageRefusal | None:
        """Check and store a message; it replaces the one with its id (O06.FR.01).

        One with AlwaysFront also replaces the one with AlwaysFront on the same display (O01.FR.16, O02.FR.18).

        Returns:
            None if the message is stored; else why it is refused, and nothing has changed.

        Raises:
            StorageError: the message could not be stored, and nothing has changed.
        """
        async with self._save_lock:
            replaced = self._replaced_by(message)
            refusal = self._refusal(message) or self._number_refusal(message, replaced)
            if refusal is not None:
                return refusal
            row = (message.id, MESSAGES.to_text(message))
            await self._database.write_together((_DELETE, [(message_id,) for message_id in replaced]), (_UPSERT, [row]))
            self._database.unreadable.remove(RowAddress(_TABLE, str(message.id)))  # replaces an unreadable row
            self._ended_ids.discard(message.id)
            for identity in replaced:
                self._messages.pop(identity, None)
            self._messages[message.id] = message
            if message.transaction_id is not None and not self._station.is_ongoing(message.transaction_id):
                self._mark_ended(message.id)  # the transaction ended while the message was written
        self._note_change()
        return None

    async def remove(self, identity: int) -> bool:
        """Remove a message, also from disk; returns whether there was one (O05.FR.01, O05.FR.02).

        Raises:
            StorageError: the message could not be deleted, and is still there.
        """
        async with self._save_lock:
            if all(message.id != identity for message in self.all()):
                return False
            await self._database.write(_DELETE, (identity,))
            self._messages.pop(identity, None)
        self._note_change()
        return True

    def all(self) -> list[DisplayMessage]:
        """All messages that have not ended, by id; on any display, shown or not."""
        now = self._clock.now()
        return [message for _, message in sorted(self._messages.items()) if not message.has_ended(now)]

    def matching(
        self,
        ids: Collection[int] | None = None,
        priority: MessagePriority | None = None,
        state: MessageState | None = None,
    ) -> list[DisplayMessage]:
        """The messages that meet all criteria that are not None, by id (O04.FR.01)."""
        return [
            message
            for message in self.all()
            if (ids is None or message.id in ids)
            and priority in {None, message.priority}
            and state in {None, message.state}
        ]

    # For the displays

    def conditions(self) -> dict[int, EvseCondition]:
        """The present state and transaction of each EVSE, by number."""
        return {evse.id: condition_of(evse) for evse in self._station.evses.values()}

    def visible_on(self, display: DisplayAddress) -> list[DisplayMessage]:
        """The messages that a display shows now, as `shown_messages`; none if messages of the CSMS are disabled."""
        if not self._settings.display_messages_enabled:
            return []
        return visible_messages(self.all(), self._clock.now(), self.conditions(), display)

    def visibilities(self) -> dict[int, MessageVisibility]:
        """Whether each message is shown on its display now, by id."""
        messages = self.all()
        if not self._settings.display_messages_enabled:
            return dict.fromkeys((message.id for message in messages), MessageVisibility.DISABLED)
        return visibilities(messages, self._clock.now(), self.conditions())

    # From the station

    def event_recorded(self, event: TransactionEvent) -> None:
        """Remove the messages of a transaction when its end is recorded (O02.FR.02)."""
        if event.event_type is not EventType.ENDED:
            return
        ended = [message.id for message in self._messages.values() if message.transaction_id == event.transaction_id]
        for identity in ended:
            self._mark_ended(identity)
        if ended:
            self._note_change()

    def clock_corrected(self) -> None:
        """Compute the next start or end again, because the station's clock was set."""
        self._note_change()

    async def run(self) -> None:
        """Task until cancelled: remove messages when they end, and publish `changed` when one starts or ends.

        Raises:
            StorageError: an ended message could not be deleted from disk; it is not shown any more, and the next run
                tries again.
        """
        while True:
            due_count = self._due.count
            await self._delete_ended()
            wait_s = self._until_next_change_s()
            if wait_s is None:
                await self._due.wait(due_count)
            elif not await self._due.wait_for(due_count, self._clock, wait_s):
                self.changed.publish(None)

    async def _delete_ended(self) -> None:
        """Remove messages whose end time has come, and delete all ended ones from disk."""
        now = self._clock.now()
        for message in list(self._messages.values()):
            if message.has_ended(now):
                self._mark_ended(message.id)
        async with self._save_lock:
            if self._ended_ids:
                deleted = tuple(self._ended_ids)
                await self._database.write_many(_DELETE, [(identity,) for identity in deleted])
                self._ended_ids.difference_update(deleted)

    def _mark_ended(self, identity: int) -> None:
        message = self._messages.pop(identity)
        self._ended_ids.add(identity)
        reason = "its transaction has ended" if not message.has_ended(self._clock.now()) else "its end time has come"
        _log.info("display message %d is removed: %s", identity, reason)

    def _until_next_change_s(self) -> float | None:
        """Seconds until the next start or end of a message; None: none is to come."""
        now = self._clock.now()
        moments = [
            moment
            for message in self._messages.values()
            for moment in (message.starts_at, message.ends_at)
            if moment is not None and moment > now
        ]
        return max(_SHORTEST_WAIT_S, (min(moments) - now).total_seconds()) if moments else None

    def _note_change(self) -> None:
        self._due.notify()
        self.changed.publish(None)

    # Checks

    def _replaced_by(self, message: DisplayMessage) -> list[int]:
        """The ids of other messages that a message replaces."""
        if message.priority is not MessagePriority.ALWAYS_FRONT:
            return []
        return [
            other.id
            for other in self._messages.values()
            if other.id != message.id and other.priority is message.priority and other.place.same_as(message.place)
        ]

    def _refusal(self, message: DisplayMessage) -> MessageRefusal | None:
        settings, capabilities = self._settings, self.capabilities
        if not settings.display_messages_enabled:
            return MessageRefusal(RefusalStatus.REJECTED, "NotEnabled", "DisplayMessageCtrlr.Enabled is false")
        if message.priority not in settings.display_supported_priorities:  # O01.FR.01, O02.FR.03
            return _unsupported(RefusalStatus.PRIORITY, "priority", settings.display_supported_priorities)
        if message.state is not None and message.state not in capabilities.states:  # O01.FR.02, O02.FR.04
            return _unsupported(RefusalStatus.STATE, "state", sorted(capabilities.states))
        if message.content.format not in settings.display_supported_formats:  # O01.FR.03, O02.FR.05
            return _unsupported(RefusalStatus.FORMAT, "message.format", settings.display_supported_formats)
        if message.transaction_id is not None and not self._station.is_ongoing(message.transaction_id):
            return MessageRefusal(RefusalStatus.TRANSACTION, "TxNotFound", "transactionId is not ongoing")  # O02.FR.01
        if all(not message.place.same_as(display) for display in capabilities.displays):  # O01.FR.22
            return MessageRefusal(RefusalStatus.REJECTED, "InvalidValue", "display: the station has no such display")
        if (problem := content_error(message.content)) is not None:
            return MessageRefusal(RefusalStatus.REJECTED, problem.reason_code, problem.sentence)
        if message.has_ended(self._clock.now()):
            return MessageRefusal(RefusalStatus.REJECTED, "InvalidValue", "endDateTime is in the past")
        if message.starts_at is not None and message.has_ended(message.starts_at):
            return MessageRefusal(RefusalStatus.REJECTED, "InvalidValue", "endDateTime is not after startDateTime")
        return None

    def _number_refusal(self, message: DisplayMessage, replaced: Sequence[int]) -> MessageRefusal | None:
        """The refusal of a message that would exceed the number of messages (O01.FR.11, O02.FR.11); else None."""
        other_ids = {stored.id for stored in self.all()} - set(replaced) - {message.id}
        if len(other_ids) < MAX_MESSAGES:
            return None
        return MessageRefusal(
            RefusalStatus.REJECTED, "TooManyElements", f"the station stores at most {MAX_MESSAGES} messages"
        )


def _unsupported(status: RefusalStatus, field: str, supported: Collection[str]) -> MessageRefusal:
    return MessageRefusal(status, "UnsupportedParam", f"{field} must be one of {', '.join(supported) or 'none'}")
