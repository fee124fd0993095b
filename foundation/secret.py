"""A text that must not be shown: a password, a code or a key."""

from __future__ import annotations

from typing import Final

MASK: Final = "**********"


class Secret:
    """A secret text. Its `str` and `repr` are masked, so that neither a log line nor an error message contains it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return MASK if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"
