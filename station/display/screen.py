"""What a display shows: a pure function of messages, states of the EVSEs, language of the driver, time, and prices.

The order of precedence: a message with AlwaysFront, alone (O01.FR.15); the answer to a card that was just presented;
messages with InFront, in turn (O01.FR.13, O01.FR.14); the normal cycle: the station's own texts and the messages with
NormalCycle (O01.FR.12). Each line says which rule put it there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from station.core.screen import LineReason, LineRole, Screen, ScreenLine, TextSpan
from station.display.display_message import MessagePriority
from station.display.markup import message_lines
from station.display.message_visibility import EvseCondition, choose_languages, visible_messages
from station.display.own_screens import card_screens, evse_screens
from station.display.text_layout import fold, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.core.screen import TextSize
    from station.display.display_message import DisplayMessage
    from station.display.screen_inputs import DisplayProfile, ScreenInputs

_CACHED_MESSAGES: Final = 512
"""messages whose screens are cached: all of a station, on several displays"""
_MESSAGES_IN_A_ROW: Final = 4
"""screens of messages in the normal cycle before the station's own follow again, which a driver waits for"""
_REASONS: Final = {
    MessagePriority.ALWAYS_FRONT: LineReason.ALWAYS_FRONT,
    MessagePriority.IN_FRONT: LineReason.IN_FRONT,
    MessagePriority.NORMAL_CYCLE: LineReason.NORMAL_CYCLE,
}


def screen(display: DisplayProfile, inputs: ScreenInputs) -> Screen:
    """What a display shows at this moment."""
    return current_screen(screen_cycle(display, inputs), display.rotation_s, inputs.cycle_s)


def current_screen(cycle: Sequence[Screen], rotation_s: float, cycle_s: float) -> Screen:
    """The screen of a cycle that is shown `cycle_s` seconds after its begin; each is shown for `rotation_s`."""
    position = int(cycle_s // rotation_s) % len(cycle)
    return replace(cycle[position], page=position + 1, pages=len(cycle))


def screen_cycle(display: DisplayProfile, inputs: ScreenInputs) -> tuple[Screen, ...]:
    """All screens that a display shows in turn now, in order; at least one."""
    return tuple(_screens(display, inputs)) or (Screen(language=display.languages[0]),)


def cycle_identity(cycle: Sequence[Screen]) -> object:
    """The identity of a cycle of screens, without their figures: equal if it consists of the same screens as before."""
    return [
        (screen.language, [(line.reason, line.message_id, line.evse_id) for line in screen.lines]) for screen in cycle
    ]


def _screens(display: DisplayProfile, inputs: ScreenInputs) -> Sequence[Screen]:
    messages = _messages(display, inputs)
    priority = messages[0].priority if messages else MessagePriority.NORMAL_CYCLE
    if priority is MessagePriority.ALWAYS_FRONT:
        return _message_screens(messages[-1], display)
    if cards := card_screens(display, inputs):
        return _fitted(cards, display)
    of_csms = [screen for message in messages for screen in _message_screens(message, display)]
    if priority is MessagePriority.IN_FRONT:
        return of_csms
    return _normal_cycle(_fitted(evse_screens(display, inputs), display), of_csms)


def _normal_cycle(own: Sequence[Screen], of_csms: Sequence[Screen]) -> Sequence[Screen]:
    """The station's own screens and those of messages in turn, the own ones again after every few messages."""
    starts = range(0, max(1, len(of_csms)), _MESSAGES_IN_A_ROW)
    return [screen for start in starts for screen in (*own, *of_csms[start : start + _MESSAGES_IN_A_ROW])]


def _messages(display: DisplayProfile, inputs: ScreenInputs) -> Sequence[DisplayMessage]:
    """The messages that the display shows now, all of one priority, in the languages of the drivers (O01.FR.08).

    Each driver sees those for them, in their language; where the driver at an EVSE is not known, all are shown.
    """
    conditions = {evse.evse_id: EvseCondition(evse.message_state, evse.transaction_id) for evse in inputs.evses}
    visible = visible_messages(inputs.messages, inputs.now, conditions, display.address)
    chosen = {
        message.id
        for evse in inputs.evses
        for message in choose_languages(
            [message for message in visible if message.transaction_id in {None, evse.transaction_id}], evse.languages
        )
    }
    return [message for message in visible if message.id in chosen]


@lru_cache(maxsize=_CACHED_MESSAGES)
def _message_screens(message: DisplayMessage, display: DisplayProfile) -> Sequence[Screen]:
    """The screens of a message of the CSMS; one of a transaction is meant for its driver only.

    They are cached: to parse 100 messages in HTML takes some 50 ms, and a display chooses its screens often.
    """
    content = message.content
    lines = tuple(
        ScreenLine(
            spans,
            LineRole.TEXT,
            _REASONS[message.priority],
            message_id=message.id,
            personal=message.transaction_id is not None,
        )
        for spans in message_lines(content)
    )
    language = content.language or display.languages[0]
    unbroken = Screen(lines, language, content.content.strip() if content.format == "URI" else None)
    return _fitted([unbroken], display)


def _fitted(screens: Sequence[Screen], display: DisplayProfile) -> Sequence[Screen]:
    """Break screens into pages that fit the display; unchanged if it fits any text."""
    if display.size is None:
        return screens
    return [page for screen in screens for page in _text_pages(screen, display.size)]


def _text_pages(screen: Screen, size: TextSize) -> Sequence[Screen]:
    """Break a screen into pages for a character display: wrapped rows, as many as it has; at least one page."""
    rows = [
        replace(line, spans=(TextSpan(row),))
        for line in screen.lines
        if line.reason is not LineReason.SESSION_PAGE
        for row in wrap(fold(line.text, size.characters), size.columns)
    ]
    pages = [tuple(rows[first : first + size.rows]) for first in range(0, len(rows), size.rows)]
    return [Screen(page, screen.language) for page in pages] or [Screen(language=screen.language)]


def without_charge_lines(screen: Screen) -> Screen:
    """A screen for those who may see the state of an EVSE only: without power, energy, time and cost of a charge."""
    return replace(
        screen,
        lines=tuple(
            line if line.state_spans is None else replace(line, spans=line.state_spans, state_spans=None)
            for line in screen.lines
            if line.reason not in {LineReason.ENERGY, LineReason.COST}
        ),
    )


def without_personal_lines(screen: Screen) -> Screen:
    """A screen for visitors of the page, who may be far from the display: without the lines for one driver."""
    lines = tuple(line for line in screen.lines if not line.personal)
    return screen if len(lines) == len(screen.lines) else replace(screen, lines=lines, qr_text=None)
