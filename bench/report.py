"""Writes measured rows: as JSON, and as the table in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.rows import Row, figure_text, floor_text
from foundation.frozen import Frozen, as_dict

PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
_BEGIN: Final = "<!-- The table below is written by `make bench ARGS=--docs`. -->\n"
_END: Final = "<!-- End of the table. -->\n"


class PageError(Exception):
    """The page has no marked place for the table, or the rows are not those of a full measurement."""


class Machine(Frozen):
    """Description of the machine that was measured, in words that name no particular one."""

    cpus: int
    """number of CPUs that the measurement may use"""
    architecture: str
    python: str
    """implementation and version"""

    @property
    def sentence(self) -> str:
        """The machine as a sentence."""
        plural = "" if self.cpus == 1 else "s"
        return f"{self.cpus} CPU{plural} ({self.architecture}), {self.python}."


def this_machine() -> Machine:
    """The machine that this program runs on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Machine(len(os.sched_getaffinity(0)), platform.machine(), python)


def as_json(machine: Machine, rows: Sequence[Row]) -> str:
    """The rows as JSON, for comparisons and for `read_json`; the verdicts are in it for other readers."""
    met = {row.name: row.met for row in rows}
    tree = {"machine": as_dict(machine), "rows": [as_dict(row) for row in rows], "met": met}
    return json.dumps(tree, ensure_ascii=False, indent=1) + "\n"


def read_json(text: str) -> tuple[Machine, list[Row]]:
    """Read machine and rows from the JSON of `as_json`.

    Raises:
        msgspec.DecodeError: the text is not such a file.
    """
    from msgspec.json import decode  # late: for this option only

    class Measured(Frozen):
        machine: Machine
        rows: list[Row]
        met: dict[str, bool | None]

    found = decode(text, type=Measured)
    return found.machine, found.rows


def table(machine: Machine, rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, after a sentence about the machine."""
    head = ("| figure | borne | floors (× what borne takes of it) | aim | |", "|---|---|---|---|---|")
    return "\n".join((f"Measured on {machine.sentence}", "", *head, *(_line(row) for row in rows), ""))


def with_table(page: str, machine: Machine, rows: Sequence[Row]) -> str:
    """A page whose table is replaced by one of these rows; everything else of it is unchanged.

    Raises:
        PageError: the page has no marked place, or a row was measured briefly.
    """
    brief = [row.name for row in rows if row.note]
    if brief:
        raise PageError(f"measured briefly: {', '.join(brief)}")
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise PageError("the page has no marked place for the table")
    return f"{before}{begin}\n{table(machine, rows)}\n{end}{after}"


def _line(row: Row) -> str:
    floors = "<br>".join(floor_text(row, floor) for floor in row.floors)
    figure = f"{figure_text(row.figure)} {row.unit}".rstrip()
    return f"| {row.title} | {figure} | {floors} | {row.aim_text} | {row.verdict} |"
