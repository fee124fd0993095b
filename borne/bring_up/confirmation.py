"""The confirmation of a hazardous output: its name, typed on a terminal."""

from __future__ import annotations

import sys
import termios

from borne.output import refuse, say


def require_typed_name(name: str, effect: str) -> None:
    """Ask on the terminal for the name of an output before it is switched; exit with 2 unless it is typed exactly.

    What was typed before the question does not count.
    """
    if not sys.stdin.isatty():
        refuse(f"{name}: needs a terminal, on which its name is typed to confirm it")
    say(effect)
    termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    say(f"Type {name} to confirm: ", end="")
    if sys.stdin.readline().strip() != name:
        refuse("not confirmed; nothing was switched")
