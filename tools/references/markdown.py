"""Markdown helpers for the references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, followed by a blank line; empty without rows."""
    lines = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, "", ""])


def _cell(text: str) -> str:
    """Text for one cell: on one line, with `|` escaped outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)


def sentence(text: str) -> str:
    """A docstring as sentences: each paragraph with a capital letter and a full stop.

    A word before a colon, such as a choice that is explained, stays as it is written.
    """
    return " ".join(_paragraph(paragraph) for paragraph in text.split("\n\n") if paragraph.strip())


def _paragraph(text: str) -> str:
    flat = " ".join(text.split())
    if choice := re.match(r"([\w-]+)(?=: )", flat):
        flat = f"`{choice[1]}`{flat[choice.end() :]}"
    start = flat[0].upper() + flat[1:] if re.match(r"[a-z][a-z-]*[ ,.;:]", f"{flat} ") else flat
    return start if start[-1] in ".:;!?" else f"{start}."
