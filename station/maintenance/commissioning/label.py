"""The identification label of a station: a QR code for its page, and the same data as text."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from foundation.frozen import Frozen
from station.core.qr_code import qr_code

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

_WIDTH_MM: Final = 80
_HEIGHT_MM: Final = 36
_CODE_MM: Final = 30.0
_TEXT_MM: Final = 41.0
"""width beside the code for a line of text"""
_LONGEST: Final = 28
"""characters per line; longer texts are wrapped, since smaller letters would not be readable"""
_MARK: Final = re.compile(r"(?=/)|[ .:-]")
_CAPITAL: Final = 0.72
"""width of a capital letter relative to its height"""


class Label(Frozen):
    """What is printed on the station's identification label."""

    identity: str
    serial_number: str | None
    address: str
    """address of the page in the local network"""
    code: str | None = None
    """one-time code with which an installer sets a password"""

    @property
    def link(self) -> str:
        """The URL in the QR code, without the one-time code: URLs stay in histories and logs."""
        fields = {"identity": self.identity, "serial": self.serial_number}
        return f"{self.address}?{urlencode({name: value for name, value in fields.items() if value is not None})}"


def page_address(configuration: Configuration) -> str:
    """The URL of the station's commissioning page in the local network, by its multicast DNS name."""
    return f"{configuration.local_url}/commissioning"


def label_svg(label: Label) -> str:
    """Draw the label (80 × 36 mm) as the text of an SVG image."""
    matrix = [bytes(row) for row in qr_code(label.link).matrix]
    side = _CODE_MM / len(matrix)
    dark = "".join(
        f"M{3 + x * side:.3f} {3 + y * side:.3f}h{side:.3f}v{side:.3f}h-{side:.3f}z"
        for y, row in enumerate(matrix)
        for x, module in enumerate(row)
        if module
    )
    lines = [("", label.identity), ("serial", label.serial_number), ("", label.address), ("code", label.code)]
    text_lines = [f"{name} {value}".strip() for name, value in lines if value is not None]
    texts = [(part, max(map(len, parts))) for parts in map(_wrapped_lines, text_lines) for part in parts]
    spacing_mm = min(7.0, 25.0 / max(1, len(texts) - 1))
    rows = "".join(
        f'<text x="37" y="{8 + number * spacing_mm:.2f}" font-size="{min(3.4, _TEXT_MM / (_CAPITAL * longest)):.2f}">'
        f"{escape(text)}</text>"
        for number, (text, longest) in enumerate(texts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_MM}mm" height="{_HEIGHT_MM}mm" '
        f'viewBox="0 0 {_WIDTH_MM} {_HEIGHT_MM}" font-family="sans-serif">'
        f'<rect width="{_WIDTH_MM}" height="{_HEIGHT_MM}" fill="#fff"/><path d="{dark}"/>{rows}</svg>'
    )


def _wrapped_lines(text: str) -> list[str]:
    """Wrap a text into as few lines as possible, preferably before a slash or after a punctuation mark."""
    parts: list[str] = []
    for lines_left in range(math.ceil(len(text) / _LONGEST), 1, -1):
        shortest = max(1, len(text) - (lines_left - 1) * _LONGEST)
        breaks = [match.end() for match in _MARK.finditer(text, 0, _LONGEST + 1) if shortest <= match.end() <= _LONGEST]
        end = max(breaks, default=math.ceil(len(text) / lines_left))
        parts.append(text[:end])
        text = text[end:]
    return [*parts, text]
