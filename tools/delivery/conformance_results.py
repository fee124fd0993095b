"""Compares the report of a conformance run with the published one (`python -m tools.delivery.conformance_results`)."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_TIME: Final = re.compile(r"\| \d+\.\d s \|$")
"""the last cell of a case: how long it took"""


def different_results(published: str, report: str) -> list[str]:
    """The lines in which two reports differ, as `diff -u` shows them; how long a case took is not compared."""
    before, after = ([_TIME.sub("|", line) for line in text.splitlines()] for text in (published, report))
    heading = 2
    return list(difflib.unified_diff(before, after, n=0, lineterm=""))[heading:]


def main(arguments: Sequence[str]) -> int:
    """Print how a report differs from the published one; returns the exit code, 0 if it does not."""
    parser = argparse.ArgumentParser(description="Compare the results of a conformance run with the published ones.")
    parser.add_argument("published", type=Path, metavar="PUBLISHED", help="docs/conformance.md")
    parser.add_argument("report", type=Path, metavar="REPORT", help="written by `make conformance-report REPORT=…`")
    given = parser.parse_args(arguments)
    published, report = (file.read_text(encoding="utf-8") for file in (given.published, given.report))
    different = different_results(published, report)
    sys.stdout.write("".join(f"{line}\n" for line in different))
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
