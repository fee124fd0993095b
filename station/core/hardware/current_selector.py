"""The rotary current selector on the back plate, by which the installer sets the rating of the wiring."""

from __future__ import annotations

from typing import Final

POSITIONS: Final = ("32", "25", "20", "16", "12", "8", "X", "Y", "Z")
"""as printed; X, Y and Z are reserved"""
FALLBACK_A: Final = 8.0
"""the limit for a reserved or unreadable position"""


def selected_a(position: str | None) -> float:
    """The limit of the station that a selector position sets, amperes per phase, for all EVSEs together.

    A reserved or unreadable (None) position sets `FALLBACK_A`.
    """
    return float(position) if position in POSITIONS and position.isdigit() else FALLBACK_A
