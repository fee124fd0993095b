"""The reference of the command line: the --help text of each command."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable

from borne.cli import main
from tools.references.command_parsers import command_words

_HEAD = """\
# Command line

`borne COMMAND --help` shows the same as this page, `borne --version` the version. Exit code 2 means that the
arguments or a file cannot be used; the reason is on standard error.

"""
_COLUMNS = "100"


def page() -> str:
    """Generate the page."""
    return "".join([_HEAD, *(_section(" ".join(("borne", *words))) for words in command_words())])


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
