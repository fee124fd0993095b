"""Messages for the displays, for the cases of block O: made, sent, asked for, and looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload

MESSAGE_ID = 71
"""<Generated displayMessageId>"""
SECOND_ID = 72
"""<Configured displayMessage2Id>"""
CONTENT = "Welcome to this charging station"
"""<Configured message>"""
SECOND_CONTENT = f"{CONTENT} 2"
MAIN_DISPLAY: Payload = {"name": "Display"}
"""<Configured display component variable>"""
OFFSET_S = 60.0
"""<Configured Start Date Time Offset>, and that of the end"""

PRIORITIES = pytest.mark.parametrize("priority", ["AlwaysFront", "InFront", "NormalCycle"])
"""<Configured priority>: a station that supports all passes with each"""


def message(
    identity: int = MESSAGE_ID, *, content: str = CONTENT, format: str = "UTF8", display: bool = True, **more: Any
) -> Payload:
    """A MessageInfoType; `more` are further fields of it; without `priority`, NormalCycle."""
    wire: Payload = {"id": identity, "priority": "NormalCycle", "message": {"format": format, "content": content}}
    return wire | ({"display": MAIN_DISPLAY} if display else {}) | more


async def send_display_message(bench: Bench, wire: Payload) -> str:
    """SetDisplayMessage; the status of the response."""
    return (await bench.call("SetDisplayMessage", {"message": wire}))["status"]


async def set_display_message(bench: Bench, wire: Payload | None = None) -> Payload:
    """Memory state SetDisplayMessage (errata 6.2.111); returns the message."""
    wire = wire if wire is not None else message()
    assert await send_display_message(bench, wire) == "Accepted", wire
    return wire


async def request_messages(bench: Bench, request_id: int = 1, **criteria: Any) -> str:
    """GetDisplayMessages; the status of the response."""
    return (await bench.call("GetDisplayMessages", {"requestId": request_id, **criteria}))["status"]


async def reported_messages(bench: Bench, request_id: int = 1, **criteria: Any) -> list[Payload]:
    """GetDisplayMessages, which must be Accepted; all messages of the NotifyDisplayMessages that follow."""
    assert await request_messages(bench, request_id, **criteria) == "Accepted", criteria
    found: list[Payload] = []
    while True:
        part = await bench.expect("NotifyDisplayMessages")
        assert part["requestId"] == request_id, part
        found += part["messageInfo"]
        if not part.get("tbc", False):
            return found


async def reported_message(bench: Bench, identity: int = MESSAGE_ID, request_id: int = 1) -> Payload:
    """Request the report of one message id; the message."""
    (message,) = await reported_messages(bench, request_id, id=[identity])
    assert message["id"] == identity, message
    return message


async def clear_all_messages(bench: Bench) -> None:
    """Let the station have no message, whatever the cases before have left there."""
    if await request_messages(bench) == "Unknown":
        return
    for wire in (await bench.expect("NotifyDisplayMessages"))["messageInfo"]:
        await bench.call("ClearDisplayMessage", {"id": wire["id"]})


def equal_messages(found: Iterable[Payload], sent: Iterable[Payload]) -> bool:
    """Whether these are the same messages, in whatever order."""

    def by_id(messages: Iterable[Payload]) -> list[Payload]:
        return sorted(messages, key=lambda message: message["id"])

    return by_id(found) == by_id(sent)


# What the driver sees: Part 6 leaves it to an eye before the display.


async def messages_on_display(bench: Bench) -> list[int]:
    """The ids of the messages that are shown now, alone or in turn, by the local API.

    A screen that is shown now has no others; and if its display shows only this one, all of them.
    """
    await bench.settle()
    listed = (await bench.station.get("/api/messages"))["messages"]
    displayed = [message["id"] for message in listed if message["visibility"] == "shown"]
    for display in await bench.station.get("/api/display"):
        of_display = {
            message["id"]
            for message in listed
            if message["id"] in displayed and message["display"]["evse"] == display["evse"]
        }
        on_screen = _messages_on_screen(display)
        assert on_screen <= of_display, display
        if display["screen"]["pages"] == 1:
            assert on_screen == of_display, display
    return displayed


async def displayed_message_ids(bench: Bench) -> set[int]:
    """The ids of the messages that the display of the station shows within a minute."""
    found: set[int] = set()
    for _ in range(60):
        found |= _messages_on_screen((await bench.station.get("/api/display"))[0])
        await bench.advance(1.0)
    return found


async def is_displayed(bench: Bench, identity: int = MESSAGE_ID) -> bool:
    """Whether a message is shown now, alone or in turn with others."""
    return identity in await messages_on_display(bench)


def _messages_on_screen(display: Payload) -> set[int]:
    return {line["message_id"] for line in display["screen"]["lines"] if line["message_id"] is not None}
