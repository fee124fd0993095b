"""The completion of `borne` for bash: commands, options and file names, from the parsers of the commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from borne.cli import COMMANDS
from tools.references.command_parsers import Command, commands

_HEAD: Final = """\
# Completion of borne for bash.
_borne() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "%(commands)s --help --version" -- "$current")
        return
    fi
    case "$command ${COMP_WORDS[2]}" in
%(inner)s
    esac
    case "$command $previous" in
%(values)s
    esac
    case "$command" in
%(options)s
    esac
    case "$current" in
        -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; compgen -f -- "$current") ;;
    esac
}
complete -o filenames -F _borne borne
"""


def script() -> str:
    """Generate the script."""
    found = commands()
    inner = {command.words[0] for command in found if len(command.words) > 1}
    parts: Mapping[str, str] = {
        "commands": " ".join(COMMANDS),
        "inner": _cases(
            (f'"{command.name}"', f'command="{command.name}"') for command in found if len(command.words) > 1
        ),
        "values": _cases(pair for command in found for pair in _values(command)),
        "options": _cases((f'"{name}"', f'words="{words}"') for name, words in _words(found, inner)),
    }
    return _HEAD % parts


def _cases(pairs: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"        {pattern}) {statement} ;;" for pattern, statement in pairs)


def _values(command: Command) -> Iterator[tuple[str, str]]:
    """The permitted values of an option, after the option."""
    for argument in command.arguments:
        if argument.options and argument.choices:
            patterns = "|".join(f'"{command.name} {name}"' for name in argument.options)
            choices = " ".join(argument.choices)
            yield patterns, f'mapfile -t COMPREPLY < <(compgen -W "{choices}" -- "$current"); return'


def _words(found: list[Command], inner: set[str]) -> Iterator[tuple[str, str]]:
    """The options and permitted words of each command; those of a group also have the commands in it."""
    own = {group: [*_inner(found, group)] for group in inner}
    for command in found:
        options = [name for argument in command.arguments for name in argument.options]
        choices = [word for argument in command.arguments if not argument.options for word in argument.choices]
        own[command.name] = [*options, *choices, *own.get(command.name, ())]
    for name, words in own.items():
        yield name, " ".join(words)


def _inner(found: list[Command], group: str) -> Iterator[str]:
    return (command.words[1] for command in found if command.words[0] == group and len(command.words) > 1)
