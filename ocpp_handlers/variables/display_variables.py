"""Variables of the displays and of the messages of the CSMS that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.events import Event
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from station.display.message_store import MAX_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foundation.supervision import AuxiliaryCalls
    from station.display.display_message import DisplayAddress
    from station.display.display_screens import DisplayScreens
    from station.display.message_store import DisplayMessages

_LONGEST_TEXT: Final = 2_500
"""characters of a value in reports (schema)"""


def display_variables(
    messages: DisplayMessages, screens: DisplayScreens, auxiliary: AuxiliaryCalls
) -> Iterator[Variable]:
    """Yield a component for each display (O01.FR.21), and the number of messages, whose maxLimit is the most."""
    for display in messages.capabilities.displays:
        place = Component(display.name, display.instance, display.evse_id, display.connector_id)
        yield read_only_variable(place, "Available", DataType.BOOLEAN, lambda: "true", constant=True)
        yield from _screen_variables(place, display, screens, auxiliary)
    yield read_only_variable(
        Component("DisplayMessageCtrlr"),
        "DisplayMessages",
        DataType.INTEGER,
        lambda: str(len(messages.all())),
        maximum=MAX_MESSAGES,
        changes=messages.changed,
    )


def _screen_variables(
    place: Component, display: DisplayAddress, screens: DisplayScreens, auxiliary: AuxiliaryCalls
) -> Iterator[Variable]:
    """Yield what a display shows and why, whether it works, and the size of its character display."""
    screen_changed: Event[None] = Event()
    auxiliary.subscribe(screens.changed, lambda address: screen_changed.publish(None) if address == display else None)
    yield read_only_variable(
        place,
        "Problem",
        DataType.BOOLEAN,
        lambda: "true" if screens.has_problem(display) else "false",
        changes=screens.problem_changed,
    )
    yield read_only_variable(
        place,
        "DataText",
        DataType.STRING,
        lambda: "\n".join(line.text for line in screens.current(display).lines)[:_LONGEST_TEXT],
        "Visible",
        changes=screen_changed,
    )
    yield read_only_variable(
        place,
        "State",
        DataType.STRING,
        lambda: next((line.reason.value for line in screens.current(display).lines), ""),
        changes=screen_changed,
    )
    if (size := screens.text_size(display)) is not None:
        for instance, number in (("HeightInChars", size.rows), ("WidthInChars", size.columns)):
            yield read_only_variable(
                place, "Count", DataType.INTEGER, lambda number=number: str(number), instance, constant=True
            )
        yield read_only_variable(place, "Color", DataType.STRING, lambda: "monochrome", constant=True)
