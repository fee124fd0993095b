"""The rotary current selector on the back plate, by which the installer tells what the wiring carries."""

from __future__ import annotations

from typing import Final

POSITIONS: Final = ("32", "25", "20", "16", "12", "8", "X", "Y", "Z")
"""as printed; X, Y and Z are reserved"""
LEAST_A: Final = 8.0
"""what a position allows that cannot be read"""


def selected_a(position: str | None) -> float:
    """Amperes per phase that a position allows; one that is reserved or cannot be read allows the least."""
    return float(position) if position in POSITIONS and position.isdigit() else LEAST_A
