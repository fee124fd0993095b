"""Messages for the displays: the station's ↔ MessageInfoType. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ocpp_handlers.translate.translate import message_content_from_wire, parse_date_time, parse_integer
from ocpp_handlers.wire import timestamps
from ocpp_handlers.wire.session import PayloadError
from station.display.display_message import DisplayAddress, DisplayMessage, MessagePriority, MessageState

if TYPE_CHECKING:
    from datetime import datetime

    from ocpp_handlers.wire import messages as m
    from station.core.model import MessageContent


def display_message_from_wire(wire: m.MessageInfoType) -> DisplayMessage:
    """Translate a MessageInfoType; whether the station can show it is not checked.

    Raises:
        PayloadError: the id is negative, a number is beyond 32 bits, or a date and time is malformed.
    """
    identity = parse_integer(wire["id"], "message.id")
    if identity < 0:
        raise PayloadError("PropertyConstraintViolation", "message.id must not be negative")
    state, display = wire.get("state"), wire.get("display")
    return DisplayMessage(
        identity,
        MessagePriority(wire["priority"]),
        message_content_from_wire(wire["message"]),
        MessageState(state) if state is not None else None,
        _optional_date_time(wire.get("startDateTime"), "message.startDateTime"),
        _optional_date_time(wire.get("endDateTime"), "message.endDateTime"),
        wire.get("transactionId"),
        _display_from_wire(display) if display is not None else None,
    )


def display_message_to_wire(message: DisplayMessage) -> m.MessageInfoType:
    """Translate a message to MessageInfoType, with the fields that the CSMS gave."""
    wire: m.MessageInfoType = {
        "id": message.id,
        "priority": message.priority.value,
        "message": _content_to_wire(message.content),
    }
    if message.state is not None:
        wire["state"] = message.state.value
    if message.starts_at is not None:
        wire["startDateTime"] = timestamps.encode(message.starts_at)
    if message.ends_at is not None:
        wire["endDateTime"] = timestamps.encode(message.ends_at)
    if message.transaction_id is not None:
        wire["transactionId"] = message.transaction_id
    if message.display is not None:
        wire["display"] = _display_to_wire(message.display)
    return wire


def _optional_date_time(text: str | None, field: str) -> datetime | None:
    return parse_date_time(text, field) if text is not None else None


def _content_to_wire(content: MessageContent) -> m.MessageContentType:
    wire: m.MessageContentType = {
        "format": cast("m.MessageFormatEnumType", content.format),
        "content": content.content,
    }
    if content.language is not None:
        wire["language"] = content.language
    return wire


def _display_from_wire(wire: m.ComponentType) -> DisplayAddress:
    evse = wire.get("evse")
    if evse is None:
        return DisplayAddress(wire["name"], wire.get("instance"))
    connector_id = evse.get("connectorId")
    return DisplayAddress(
        wire["name"],
        wire.get("instance"),
        parse_integer(evse["id"], "message.display.evse.id"),
        parse_integer(connector_id, "message.display.evse.connectorId") if connector_id is not None else None,
    )


def _display_to_wire(display: DisplayAddress) -> m.ComponentType:
    wire: m.ComponentType = {"name": display.name}
    if display.instance is not None:
        wire["instance"] = display.instance
    if display.evse_id is not None:
        wire["evse"] = {"id": display.evse_id}
        if display.connector_id is not None:
            wire["evse"]["connectorId"] = display.connector_id
    return wire
