"""The fenced blocks and commands of the README and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from foundation.frozen import Frozen
from tests.project import ROOT

_MARK: Final = re.compile(r"\s*<!-- not run: (?P<reason>\S.*\S) -->")
"""the line before a block that no test runs; browsers show nothing of it"""
_FENCE: Final = re.compile(r"(?P<indent>\s*)(?P<fence>`{3,}|~{3,})(?P<language>\w*)\s*")
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")


class Block(Frozen):
    """One fenced block of a page."""

    page: str
    """the path of the page, relative to the repository"""
    line: int
    """number of the line with its opening fence"""
    language: str
    """the word after the fence; empty: none"""
    text: str
    """the content without the indentation of the fence"""
    reason: str | None
    """why no test runs it; None: one does"""

    @property
    def place(self) -> str:
        """Page and line, for the message of a test."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """The README and every page of the documentation, relative to the repository."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(str(file.relative_to(ROOT)) for file in files)


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return list(blocks_of(page, (ROOT / page).read_text(encoding="utf-8")))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a text."""
    before, lines = "", iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if (opening := _FENCE.fullmatch(line)) is None:
            before = line or before
            continue
        content: list[str] = []
        for _, inner in lines:
            if inner.strip() == opening["fence"]:
                break
            content.append(inner.removeprefix(opening["indent"]))
        mark = _MARK.fullmatch(before)
        yield Block(page, number, opening["language"], "\n".join(content), mark["reason"] if mark is not None else None)
        before = ""


def code_spans(page: str) -> list[str]:
    """The texts in single backticks of a page, outside its blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    outside = re.sub(r"(?ms)^\s*(`{3,}|~{3,}).*?^\s*\1\s*$", "", text)
    return [" ".join(span.split()) for span in _SPAN.findall(outside)]
