"""The reference of the command line: the --help text of each command."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator

from borne.cli import COMMANDS, JOURNAL_COMMANDS, main

_HEAD = """\
# Command line

`borne COMMAND --help` shows the same as this page, `borne --version` the version. Exit code 2 means that the
arguments or a file cannot be used; the reason is on standard error.

"""
_COLUMNS = "100"


def page() -> str:
    """Generate the page."""
    return "".join([_HEAD, *_sections("borne", COMMANDS)])


def _sections(program: str, commands: Iterable[str]) -> Iterator[str]:
    for name in commands:
        if name == "journal":
            yield from _sections("borne journal", JOURNAL_COMMANDS)
            continue
        yield _section(f"{program} {name}")
        if name == "fleet":
            yield _section(f"{program} {name} init")


def _section(command: str) -> str:
    return f"## {command}\n\n```text\n{_help(command.split()[1:])}```\n\n"


def _help(words: Iterable[str]) -> str:
    """The help text of a command, at a fixed width."""
    written, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    try:
        with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
            main([*words, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return written.getvalue()
