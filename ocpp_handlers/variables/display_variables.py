"""Variables of the displays and of the messages of the CSMS that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ocpp_handlers.variables.device_model import Component, DataType, Variable, read_only_variable
from station.display.message_store import MAX_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from station.display.message_store import DisplayMessages


def display_variables(messages: DisplayMessages) -> Iterator[Variable]:
    """Yield a component for each display (O01.FR.21), and the number of messages, whose maxLimit is the most."""
    for display in messages.capabilities.displays:
        place = Component(display.name, display.instance, display.evse_id, display.connector_id)
        yield read_only_variable(place, "Available", DataType.BOOLEAN, lambda: "true", constant=True)
    number = read_only_variable(
        Component("DisplayMessageCtrlr"),
        "DisplayMessages",
        DataType.INTEGER,
        lambda: str(len(messages.all())),
        maximum=MAX_MESSAGES,
    )
    yield replace(number, changes=messages.changed)
