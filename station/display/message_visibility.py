"""Which messages of the CSMS a display shows now: a pure function of messages, time, and states of the EVSEs."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.core.model import ChargingState, ConnectorStatus
from station.display.display_message import DisplayMessage, MessagePriority, MessageState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from station.charging.evse import Evse
    from station.display.display_message import DisplayAddress


class EvseCondition(Frozen):
    """What decides which messages are shown for an EVSE: its state, and its transaction."""

    state: MessageState
    transaction_id: str | None = None
    """None: no transaction is open"""


class MessageVisibility(StrEnum):
    """Whether the display shows a message now, or why not."""

    SHOWN = "shown"
    """shown now, alone or in turn with others of its priority"""
    WAITING = "waiting"
    """its start time has not come"""
    OTHER_STATE = "other-state"
    """the station, or the EVSE of its transaction, is in another state"""
    COVERED = "covered"
    """a message of a higher priority is shown in front of it"""
    ENDED = "ended"
    """its end time has come, or its transaction has ended: it is being removed"""
    DISABLED = "disabled"
    """messages of the CSMS are disabled (DisplayMessageCtrlr.Enabled)"""


_RANK = list(MessagePriority)
"""the highest priority first"""
_ENERGY_TRANSFER = frozenset({ChargingState.CHARGING, ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE})
"""also while it is suspended: the charge of the driver is not over, and the EVSE is not idle"""


def condition_of(evse: Evse) -> EvseCondition:
    """The present state and transaction of an EVSE, as the messages distinguish them (MessageStateEnumType)."""
    transaction = evse.state.transaction
    transaction_id = transaction.id if transaction is not None else None
    match evse.connector_status:
        case ConnectorStatus.FAULTED:
            state = MessageState.FAULTED
        case ConnectorStatus.UNAVAILABLE:
            state = MessageState.UNAVAILABLE
        case _ if evse.state.charging_state in _ENERGY_TRANSFER:
            state = MessageState.CHARGING
        case _:
            state = MessageState.IDLE
    return EvseCondition(state, transaction_id)


def states_for_display(conditions: Collection[EvseCondition]) -> frozenset[MessageState]:
    """The states for which a display of these EVSEs shows messages: those of its EVSEs.

    Idle only if none of them charges, since the station as a whole is then not idle (MessageStateEnumType).
    """
    states = frozenset(condition.state for condition in conditions)
    return states - {MessageState.IDLE} if MessageState.CHARGING in states else states


def visibilities(
    messages: Iterable[DisplayMessage], now: datetime, conditions: Mapping[int, EvseCondition]
) -> dict[int, MessageVisibility]:
    """Decide for each message, by its id, whether its display shows it now.

    Of the messages on one display whose time and state have come, only those of the highest priority are shown; one
    with AlwaysFront is alone (O01.FR.12 to O01.FR.15, O02.FR.14 to O02.FR.17).

    Args:
        messages: all messages of the station, for any display.
        now: the present time.
        conditions: of all EVSEs, by number.
    """
    by_id = {message.id: (message, _visibility_alone(message, now, conditions)) for message in messages}
    in_force = [message for message, visibility in by_id.values() if visibility is MessageVisibility.SHOWN]
    front: dict[object, MessagePriority] = {}
    """the highest priority in force, by display"""
    for message in in_force:
        before = front.setdefault(message.place.key, message.priority)
        front[message.place.key] = min(before, message.priority, key=_RANK.index)
    covered = {message.id for message in in_force if message.priority is not front[message.place.key]}
    return {
        identity: MessageVisibility.COVERED if identity in covered else visibility
        for identity, (_, visibility) in by_id.items()
    }


def visible_messages(
    messages: Sequence[DisplayMessage],
    now: datetime,
    conditions: Mapping[int, EvseCondition],
    display: DisplayAddress,
) -> list[DisplayMessage]:
    """The messages that one display shows now, all of the same priority; it shows several in turn.

    Empty, or of priority NormalCycle: the station's own messages are in the same cycle. InFront: they are not shown.
    Arguments as `visibilities`.
    """
    visibility_by_id = visibilities(messages, now, conditions)
    return [
        message
        for message in messages
        if visibility_by_id[message.id] is MessageVisibility.SHOWN and message.place.same_as(display)
    ]


def choose_languages(messages: Sequence[DisplayMessage], preferred: Sequence[str]) -> list[DisplayMessage]:
    """Drop the translations of a message that are not in the language of the driver (O01.FR.08, .09).

    In OCPP 2.0.1 a message has one text. Translations are thus messages with different languages that agree in all
    but id and content: priority, state, times, transaction and display. Those of a language that has more of them than
    the chosen one are kept: some of them are no translations.

    Args:
        messages: the messages that a display shows.
        preferred: languages of the driver (RFC 5646), the preferred one first; empty: unknown, then all are kept.

    Returns:
        The messages in their order. Without one in a preferred language the English one is kept, else all are.
    """
    if not preferred:
        return list(messages)
    groups: dict[DisplayMessage, list[DisplayMessage]] = {}
    for message in messages:
        if message.content.language is not None:
            groups.setdefault(_without_text(message), []).append(message)
    dropped: set[int] = set()
    for group in groups.values():
        best = _best_translation(group, preferred)
        if best is not None:
            number = Counter(map(_primary, group))
            chosen = _primary(best)
            replaced = {language for language in number if language != chosen and number[language] <= number[chosen]}
            dropped |= {message.id for message in group if _primary(message) in replaced}
    return [message for message in messages if message.id not in dropped]


def _visibility_alone(
    message: DisplayMessage, now: datetime, conditions: Mapping[int, EvseCondition]
) -> MessageVisibility:
    """Whether a message would be shown if it were the only one."""
    if message.has_ended(now):
        return MessageVisibility.ENDED
    evse_id = message.place.evse_id
    relevant = [condition for number, condition in conditions.items() if evse_id in {None, number}]
    if message.transaction_id is not None:
        if all(condition.transaction_id != message.transaction_id for condition in conditions.values()):
            return MessageVisibility.ENDED
        relevant = [condition for condition in relevant if condition.transaction_id == message.transaction_id]
    if message.starts_at is not None and now < message.starts_at:  # O01.FR.06
        return MessageVisibility.WAITING
    states = states_for_display(relevant)
    return MessageVisibility.SHOWN if states and message.state in {None, *states} else MessageVisibility.OTHER_STATE


def _best_translation(group: Sequence[DisplayMessage], preferred: Sequence[str]) -> DisplayMessage | None:
    """The message in the first preferred language that the group has, else in English; exact tags before others."""
    for language in (*preferred, "en"):
        exact = [message for message in group if (message.content.language or "").casefold() == language.casefold()]
        close = [message for message in group if _primary(message) == language.split("-")[0].casefold()]
        if exact or close:
            return (exact or close)[0]
    return None


def _primary(message: DisplayMessage) -> str:
    """The primary subtag of its language, such as `en` of `en-US`."""
    return (message.content.language or "").split("-")[0].casefold()


def _without_text(message: DisplayMessage) -> DisplayMessage:
    return replace(message, id=0, content=replace(message.content, content="", format="", language=None))
