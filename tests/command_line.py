"""Runs the command line in the process of the test."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

from borne import cli


@dataclass(frozen=True, slots=True)
class Outcome:
    """The output and exit code of a command."""

    exit_code: int
    stdout: str
    stderr: str


def invoke(arguments: Sequence[str]) -> Outcome:
    """Run `borne` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Outcome(code, out.getvalue(), err.getvalue())
