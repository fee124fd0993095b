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
    instance: str | None
    evse: int | None
    connector: int | None


class DisplayMessageShown(TypedDict):
    """A message of the CSMS for a display, in GET /api/messages."""

    id: int
    visibility: MessageVisibility
    """whether it is shown on its display now, or why not"""
    priority: MessagePriority
    state: MessageState | None
    """the state in which it is shown; null: in any state"""
    starts_at: str | None
    ends_at: str | None
    transaction_id: str | None
    """shown only during this transaction; null: independent of transactions"""
    display: MessageDisplayShown
    format: str
    """ASCII, UTF8, HTML or URI"""
    language: str | None
    """RFC 5646; null: not specified"""
    content: str


class DisplayMessageList(TypedDict):
    """Response of GET /api/messages: the messages, and how many the station can store."""

    maximum: int
    messages: list[DisplayMessageShown]


@router.get("/api/messages", dependencies=[require_role(Role.OWNER)], summary="Read the messages of the CSMS")
async def read_display_messages(messages: Annotated[DisplayMessages, part(DisplayMessages)]) -> DisplayMessageList:
    """Returns all messages that the CSMS has set for the displays, by id, and whether each is shown now."""
    seen = messages.visibilities()
    return {"maximum": MAX_MESSAGES, "messages": [_shown(one, seen[one.id]) for one in messages.all()]}


def _shown(message: DisplayMessage, visibility: MessageVisibility) -> DisplayMessageShown:
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
