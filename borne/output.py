"""The output of the commands of the command line."""

from __future__ import annotations

import sys
from typing import NoReturn


def refuse(sentence: str) -> NoReturn:
    """Write a sentence to stderr, and exit with 2: the arguments or files of a command are rejected."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(2)


def say(text: str, *, end: str = "\n") -> None:
    """Write text and `end` to standard output and flush, so that a pipe receives it at once."""
    sys.stdout.write(f"{text}{end}")
    sys.stdout.flush()
