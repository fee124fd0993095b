"""Route for the messages that the CSMS has set for the displays."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import TypedDict

from station.display.display_message import DisplayMessage, MessagePriority, MessageState
from station.display.message_store import MAX_MESSAGES, DisplayMessages
from station.display.message_visibility import MessageVisibility
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role

router = api_router("display messages")


class MessageDisplayShown(TypedDict):
    """The display that a message is for: the component of the device model."""

    name: str
    """name of the component"""
    instance: str | None
    """instance of the component; null: it has none"""
    evse: int | None
    """the EVSE of the display; null: a display of the whole station"""
    connector: int | None
    """the connector of the display; null: of no single connector"""


class DisplayMessageShown(TypedDict):
    """A message of the CSMS for a display, in GET /api/messages."""

    id: int
    """the number that the CSMS gave this message"""
    visibility: MessageVisibility
    """whether it is shown on its display now, or why not"""
    priority: MessagePriority
    """MessagePriorityEnumType: how it is shown among other messages"""
    state: MessageState | None
    """the state in which it is shown; null: in any state"""
    starts_at: str | None
    """not shown before this time (ISO 8601, UTC); null: from the beginning"""
    ends_at: str | None
    """not shown from this time on (ISO 8601, UTC); null: without end"""
    transaction_id: str | None
    """shown only during this transaction; null: independent of transactions"""
    display: MessageDisplayShown
    """the display that the message is for"""
    format: str
    """MessageFormatEnumType of `content`: ASCII, UTF8, HTML or URI"""
    language: str | None
    """language of `content` (RFC 5646); null: not specified"""
    content: str
    """the message itself, in the form that `format` says"""


class DisplayMessageList(TypedDict):
    """Response of GET /api/messages: the messages, and how many the station can store."""

    maximum: int
    """number of messages that the station can store"""
    messages: list[DisplayMessageShown]
    """all messages that are stored, by their id"""


@router.get("/api/messages", dependencies=[require_role(Role.OWNER)], summary="Read the messages of the CSMS")
async def read_display_messages(messages: Annotated[DisplayMessages, part(DisplayMessages)]) -> DisplayMessageList:
    """Returns all messages that the CSMS has set for the displays, by id, and whether each is shown now."""
    visibility_by_id = messages.visibilities()
    return {
        "maximum": MAX_MESSAGES,
        "messages": [_message_to_json(message, visibility_by_id[message.id]) for message in messages.all()],
    }


def _message_to_json(message: DisplayMessage, visibility: MessageVisibility) -> DisplayMessageShown:
    place = message.place
    return {
        "id": message.id,
        "visibility": visibility,
        "priority": message.priority,
        "state": message.state,
        "starts_at": message.starts_at.isoformat() if message.starts_at is not None else None,
        "ends_at": message.ends_at.isoformat() if message.ends_at is not None else None,
        "transaction_id": message.transaction_id,
        "display": {
            "name": place.name,
            "instance": place.instance,
            "evse": place.evse_id,
            "connector": place.connector_id,
        },
        "format": message.content.format,
        "language": message.content.language,
        "content": message.content.content,
    }
