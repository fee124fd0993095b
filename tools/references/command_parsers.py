"""The arguments of each command of the command line, read from the parsers that the commands make themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO
from unittest.mock import patch

from borne.cli import ACTIONS, COMMANDS, GROUPS, main


@dataclass(frozen=True)
class Argument:
    """An option or a positional argument of a command."""

    options: tuple[str, ...]
    """its names, such as --config; empty for a positional argument"""
    value: str
    """the name of its value in help texts; empty for a switch"""
    choices: tuple[str, ...]
    """the permitted values; empty: any"""
    help: str
    """what it means; may be empty"""


@dataclass(frozen=True)
class Command:
    """A command of the command line."""

    words: tuple[str, ...]
    """its name, such as ("journal", "verify")"""
    summary: str
    usage: str
    """without the word "usage", on one line"""
    arguments: list[Argument] = field(default_factory=list[Argument])

    @property
    def name(self) -> str:
        """The words, with spaces between them."""
        return " ".join(self.words)


def command_words() -> Iterator[tuple[str, ...]]:
    """The words of each command, in the order of the help texts."""
    for name in COMMANDS:
        if name not in GROUPS:
            yield (name,)
        yield from ((name, inner) for inner in _INNER.get(name, ()))


_INNER = {
    **{name: tuple(group) for name, group in GROUPS.items()},
    **{name: tuple(actions) for name, actions in ACTIONS.items()},
    "fleet": ("init",),
}


def commands() -> list[Command]:
    """All commands with their arguments."""
    return [_command(words) for words in command_words()]


def _command(words: tuple[str, ...]) -> Command:
    """Ask a command for its help, and read the arguments instead of printing them."""
    found: list[Command] = []

    def read(parser: argparse.ArgumentParser, _: TextIO | None = None) -> None:
        command = Command(words, parser.description or "", " ".join(parser.format_usage().split()[1:]))

        class Collector(argparse.HelpFormatter):
            """Collects the arguments that the parser would format."""

            def add_argument(self, action: argparse.Action) -> None:
                """Called for each argument, group by group."""
                command.arguments.append(_argument(action, parser.prog))

        parser.formatter_class = Collector
        parser.format_help()
        found.append(command)

    with patch.object(argparse.ArgumentParser, "print_help", read):
        try:
            main([*words, "--help"])
        except SystemExit:
            (command,) = found
            return command
    raise AssertionError(f"{words}: --help does not exit")


def _argument(action: argparse.Action, program: str) -> Argument:
    takes_value = action.nargs != 0
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(map(str, action.choices or ()))
    value = "|".join(choices) if choices and action.metavar is None else metavar
    text = (action.help or "") % {**vars(action), "prog": program}
    return Argument(tuple(action.option_strings), value if takes_value else "", choices, text)
