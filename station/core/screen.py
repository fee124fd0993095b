"""What a display shows at one moment, and the contract of the drivers that show it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from typing_extensions import TypedDict

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen


class LineRole(StrEnum):
    """What a line of a screen is, so that a driver can choose its size."""

    HEADING = "heading"
    TEXT = "text"
    FIGURE = "figure"
    """a measured or calculated value with its name"""
    NOTE = "note"
    """less important than the others"""


class LineReason(StrEnum):
    """The rule that put a line on the screen."""

    ALWAYS_FRONT = "always-front"
    """a message of the CSMS with this priority; it is shown alone"""
    IN_FRONT = "in-front"
    """a message of the CSMS with this priority"""
    NORMAL_CYCLE = "normal-cycle"
    """a message of the CSMS with this priority"""
    CARD = "card"
    """the answer to a presented card"""
    STATE = "state"
    """the state of an EVSE, and what its driver can do"""
    RESERVATION = "reservation"
    ENERGY = "energy"
    """energy, power and time of the transaction"""
    COST = "cost"
    TARIFF = "tariff"
    SESSION_PAGE = "session-page"
    """the QR code of the page on which the driver follows the charge"""


class CharacterSet(StrEnum):
    """The two character ROMs of the HD44780 (its data sheet, table 4)."""

    A00 = "A00"
    """Japanese ROM: ASCII and some letters with diaeresis"""
    A02 = "A02"
    """European ROM: ASCII and the letters of ISO 8859-1"""


class TextSize(Frozen):
    """The size of a character display."""

    columns: int
    rows: int
    characters: CharacterSet = CharacterSet.A00


class TextSpan(Frozen):
    """A piece of a line in one style."""

    text: str
    bold: bool = False
    italic: bool = False


Spans = tuple[TextSpan, ...]
"""a line of text, in pieces of one style each"""


class ScreenLine(Frozen):
    """A line of text on a screen: its pieces, and why it is there."""

    spans: Spans
    role: LineRole
    reason: LineReason
    message_id: int | None = None
    """the message of the CSMS that the line belongs to; None: a text of the station"""
    evse_id: int | None = None
    """the EVSE that the line is about; None: none in particular"""
    personal: bool = False
    """meant for one driver: shown on the display in front of them, not to visitors of the page elsewhere"""
    state_spans: Spans | None = None
    """the spans for users who may see the state only, without figures of the charge; None: the line has no figures"""

    @property
    def text(self) -> str:
        """The text of the line without styles."""
        return "".join(span.text for span in self.spans)


class Screen(Frozen):
    """What one display shows at one moment."""

    lines: tuple[ScreenLine, ...] = ()
    language: str = "en"
    """RFC 5646"""
    qr_text: str | None = None
    """a URI to show as a QR code; text displays show it as text in `lines`"""
    page: int = 1
    """the position of this screen in the cycle, from 1"""
    pages: int = 1
    """how many screens alternate now"""


class DisplayError(ExpectedError):
    """A display could not be written. A later attempt may succeed."""


class DisplayOutput(Protocol):
    """A driver of a display."""

    async def show(self, screen: Screen) -> None:
        """Show a screen in place of the last one; it stays until the next call. Returns once it is shown.

        Raises:
            DisplayError: the display cannot be written.
        """
        ...

    async def close(self) -> None:
        """Clear the display at the end of the program, and release it; failures are ignored."""
        ...


class SpanShown(TypedDict):
    """A piece of a line of a screen as JSON."""

    text: str
    """this piece of the text of the line"""
    bold: bool
    """whether it is emphasised by bold type"""
    italic: bool
    """whether it is emphasised by italic type"""


class LineShown(TypedDict):
    """A line of a screen as JSON: its pieces, and why it is there."""

    text: str
    """the text of the whole line, without styles"""
    spans: list[SpanShown]
    """the same text in pieces, each with its style"""
    role: LineRole
    """what the line is, so that a display can choose its size"""
    reason: LineReason
    """the rule that put the line there"""
    message_id: int | None
    """the message of the CSMS; null: a text of the station"""
    evse: int | None
    """the EVSE that the line is about; null: the whole station"""


class ScreenShown(TypedDict):
    """A screen as JSON, in the API, on MQTT and in the file for other programs."""

    lines: list[LineShown]
    """the lines of the screen, from top to bottom"""
    language: str
    """language of the lines (RFC 5646)"""
    qr_text: str | None
    """a URI to show as a QR code; never to be opened"""
    page: int
    """which of the alternating screens this is, from 1"""
    pages: int
    """how many screens alternate now; 1: the screen stays"""


def screen_to_json(screen: Screen) -> ScreenShown:
    """Convert a screen to JSON."""
    return {
        "lines": [_line_to_json(line) for line in screen.lines],
        "language": screen.language,
        "qr_text": screen.qr_text,
        "page": screen.page,
        "pages": screen.pages,
    }


def _line_to_json(line: ScreenLine) -> LineShown:
    return {
        "text": line.text,
        "spans": [{"text": span.text, "bold": span.bold, "italic": span.italic} for span in line.spans],
        "role": line.role,
        "reason": line.reason,
        "message_id": line.message_id,
        "evse": line.evse_id,
    }
