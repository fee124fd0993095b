"""The manual pages borne(1) and borne-station.toml(5), from the parsers of the commands and the tables of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from tools.references.command_parsers import Argument, Command, commands
from tools.references.environment import OF_THE_SYSTEM
from tools.references.installation_file import Section, place_of, rows_of, sections, summary_of

_FILES: Final = {
    "/etc/borne/station.toml": "The installation file of the service; see borne-station.toml(5).",
    "/etc/borne/environment": "Environment variables of the service: secrets such as BORNE_CSMS_PASSWORD.",
    "/var/lib/borne": "The records of the station, which are billing data.",
}
_EXIT: Final = {
    "0": "Success.",
    "1": "The command has found what it looks for: an invalid signature, an unreadable record, a silent device, a"
    " missed threshold, a station that needs attention.",
    "2": "The arguments or a file are rejected; the reason is on standard error.",
    "3": "borne status: the station does not run.",
    "4": "borne status: the station runs, but its API does not answer, or requires a token.",
}


def command_page(version: str, date: str) -> str:
    """Generate borne(1), in roff; `date` as in ISO 8601."""
    parts = [
        _title("BORNE", 1, version, date),
        _section("NAME", "borne \\- software of an AC charging station\n"),
        _section("SYNOPSIS", ".B borne\n.I COMMAND\n.RI [ ARGUMENTS ]\n"),
        _section("DESCRIPTION", f"{_DESCRIPTION}\n"),
        _section("COMMANDS", "".join(map(_command, commands()))),
        _section("EXIT STATUS", "".join(_entry(_bold(code), text) for code, text in _EXIT.items())),
        _section("ENVIRONMENT", _environment()),
        _section("FILES", "".join(_entry(_bold(file), text) for file, text in _FILES.items())),
        _section("SEE ALSO", ".BR borne-station.toml (5),\n.BR systemd (1)\n"),
    ]
    return "".join(parts)


_DESCRIPTION: Final = """\
A charging station for electric vehicles: it speaks OCPP with a charging station management system, meters energy, and
shares the current of the house between vehicles and everything else.
The service
.B borne.service
runs
.BR "borne run" ."""


def installation_page(version: str, date: str) -> str:
    """Generate borne-station.toml(5), in roff; `date` as in ISO 8601."""
    parts = [
        _title("BORNE-STATION.TOML", 5, version, date),
        _section("NAME", "borne-station.toml \\- installation file of a charging station\n"),
        _section("DESCRIPTION", f"{_INSTALLATION}\n"),
        *(_section(_heading(section), _keys(section)) for section in sections()),
        _section("SEE ALSO", ".BR borne (1)\n"),
    ]
    return "".join(parts)


_INSTALLATION: Final = """\
The installation file, in TOML, contains the settings that the installer makes before the first start.
.B borne init
writes an example with every key,
.B borne check
.I FILE
lists every mistake with file, line and key.
.PP
Units are part of the key: _a amperes, _w watts, _s seconds, _wh watt-hours.
Every key can also be given by an environment variable, which takes precedence: csms.url is BORNE_CSMS_URL,
evse[0].max_current_a is BORNE_EVSE_0_MAX_CURRENT_A.
.PP
Each section below is one kind of table, with its place in the file. A table in double brackets is written once for each
entry of a list."""


def _title(name: str, number: int, version: str, date: str) -> str:
    return f'.TH {name} {number} "{date}" "borne {version}" "Charging station"\n'


def _section(name: str, content: str) -> str:
    return f".SH {_quoted(name)}\n{content}"


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'


def _command(command: Command) -> str:
    arguments = (_entry(_syntax(argument), _sentence(argument)) for argument in command.arguments)
    return f".SS {_quoted(f'borne {command.name}')}\n{_line(command.summary)}{''.join(arguments)}"


def _syntax(argument: Argument) -> str:
    """The names of an argument in bold, its value in italics."""
    value = f"\\fI{_escaped(argument.value)}\\fR" if argument.value else ""
    names = ", ".join(map(_bold, argument.options))
    return " ".join(part for part in (names, value) if part)


def _sentence(argument: Argument) -> str:
    return f"{argument.help[:1].upper()}{argument.help[1:]}"


def _environment() -> str:
    keys = _entry(_bold("BORNE_…"), "Keys of the installation file; see borne-station.toml(5).")
    return keys + "".join(_entry(_bold(name), meaning) for name, meaning in OF_THE_SYSTEM.items())


def _heading(section: Section) -> str:
    """The place of a table, and the key that selects it."""
    first, *_ = section.places
    if not first:
        return "Tables"
    return f"{place_of(first)} where {section.choice}" if section.choice else place_of(first)


def _keys(section: Section) -> str:
    first, *others = section.places
    also = f".PP\nAlso {_escaped(', '.join(map(place_of, others)))}.\n" if first and others else ""
    rows = (
        _entry(f"{_plain(key)} = {_plain(value)}", " ".join((_without_markdown(meaning), _default(default))))
        for key, value, default, meaning in rows_of(section)
    )
    return f"{_line(_without_markdown(summary_of(section.model)))}{also}{''.join(rows)}"


def _default(cell: str) -> str:
    """A sentence about the default of a key; empty if it has none."""
    if cell in {"–", "its defaults"}:
        return ""
    return "Required." if cell == "**required**" else f"Default: {_without_markdown(cell)}."


def _plain(markdown: str) -> str:
    return _escaped(_without_markdown(markdown))


def _without_markdown(text: str) -> str:
    """A cell of the reference without links, code marks and escapes."""
    text = re.sub(r"\[(?:`([^`]*)`|([^\]]*))\]\(#?[^)]*\)", r"\1\2", text).replace("**", "").replace("`", "")
    return re.sub(r"\\([|<>])", r"\1", text)


def _entry(term: str, text: str) -> str:
    return f".TP\n{term}\n{_line(text)}"


def _bold(text: str) -> str:
    return f"\\fB{_escaped(text)}\\fR"


def _line(text: str) -> str:
    """A paragraph on a line of its own, which is no request of roff."""
    return f"{_escaped(text)}\n" if text else ""


def _escaped(text: str) -> str:
    text = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{text}" if text.startswith((".", "'")) else text


MANUAL_PAGES: Final[Mapping[str, Callable[[str, str], str]]] = {
    "borne.1": command_page,
    "borne-station.toml.5": installation_page,
}
"""the manual pages by their file names, each from version and date"""
