"""The command line: the names of the commands with their help texts; borne/commands has the commands themselves.

It uses argparse, which loads in 1 ms instead of 55 ms (typer); on a small controller the difference is many times that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from borne.commands import package

if TYPE_CHECKING:
    from borne.arguments import Action


def main(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name, without the program's own name; returns the exit code.

    2 for invalid arguments, 1 if interrupted.

    Raises:
        SystemExit: with the exit code, if a command ends early.
    """
    try:
        return _run_command_line("borne", "Software of an AC charging station.", COMMANDS, arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Aborted!\n")
        return 1
    except BrokenPipeError:  # the reader has closed the pipe; keeps Python from flushing the rest at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@dataclass(slots=True)
class CommandEntry:
    """One command of the command line: its help text, and how to load it."""

    summary: str
    """its help text"""
    actions: Callable[[], Mapping[str, Action]]
    """loads the group of commands that it belongs to; returns them by name"""


def _installation_commands() -> Mapping[str, Action]:
    from borne.commands import installation  # late: only the group that is called

    return installation.COMMANDS


def _initial_file_commands() -> Mapping[str, Action]:
    from borne.commands import initial_file  # late: only the group that is called

    return initial_file.COMMANDS


def _package_commands() -> Mapping[str, Action]:
    return package.COMMANDS


def _simulation_commands() -> Mapping[str, Action]:
    from borne.commands import simulation  # late: only the group that is called

    return simulation.COMMANDS


def _meter_actions() -> Mapping[str, Action]:
    from borne.commands import meter_probe  # late: only the group that is called

    return meter_probe.ACTIONS


def _board_commands() -> Mapping[str, Action]:
    from borne.commands import board  # late: only the group that is called

    return board.COMMANDS


def _demonstration_commands() -> Mapping[str, Action]:
    from borne.commands import demonstration  # late: only the group that is called

    return demonstration.COMMANDS


def _fleet_commands() -> Mapping[str, Action]:
    from borne.commands import fleet  # late: only the group that is called

    return fleet.COMMANDS


def _scenario_commands() -> Mapping[str, Action]:
    from borne.commands import scenario  # late: only the group that is called

    return scenario.COMMANDS


def _csms_commands() -> Mapping[str, Action]:
    from borne.commands import bundled_csms  # late: only the group that is called

    return bundled_csms.COMMANDS


def _pki_commands() -> Mapping[str, Action]:
    from borne.commands import pki  # late: only the group that is called

    return pki.COMMANDS


def _secc_commands() -> Mapping[str, Action]:
    from borne.commands import secc  # late: only the group that is called

    return secc.COMMANDS


def _backup_commands() -> Mapping[str, Action]:
    from borne.commands import backup  # late: only the group that is called

    return backup.COMMANDS


def _support_commands() -> Mapping[str, Action]:
    from borne.commands import support  # late: only the group that is called

    return support.COMMANDS


def _record_commands() -> Mapping[str, Action]:
    from borne.commands import records  # late: only the group that is called

    return records.COMMANDS


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "run": CommandEntry("Run the station until it is stopped.", _installation_commands),
    "check": CommandEntry(
        "Check an installation file, with the BORNE_ environment variables applied.", _installation_commands
    ),
    "init": CommandEntry(
        "Write an installation file: an example, or one for the parts that options or answers name.",
        _initial_file_commands,
    ),
    "health": CommandEntry(
        "Ask a running station on this machine whether it responds: exit 0 if it does, 1 if not.",
        _installation_commands,
    ),
    "label": CommandEntry(
        "Draw the identification label of a station as SVG in millimetres.",
        _installation_commands,
    ),
    "sim": CommandEntry(
        "Control the simulated hardware of a running station: `borne sim evses/1/plug`.", _simulation_commands
    ),
    "board": CommandEntry(
        "Bring up a board, with the station stopped: lines, inputs, outputs, pilot, lock, light, readers.",
        _board_commands,
    ),
    "meter": CommandEntry(
        "Serve a simulated billing meter over Modbus TCP; `borne meter probe` finds a real one.", _simulation_commands
    ),
    "csms": CommandEntry("Run the bundled CSMS, which accepts every station, and print the frames.", _csms_commands),
    "pki": CommandEntry(
        "Make certificates for tests of ISO 15118 and TLS; `borne pki serve` answers for them.", _pki_commands
    ),
    "secc-check": CommandEntry(
        "Play a station against an SECC on a Unix socket, and say what it breaks of the protocol.", _secc_commands
    ),
    "demo": CommandEntry(
        "Show a station, a CSMS, a house and a car on one screen, until Ctrl-C.", _demonstration_commands
    ),
    "fleet": CommandEntry(
        "Run the plan of a fleet, many simulated stations at one CSMS; `borne fleet init` writes one.", _fleet_commands
    ),
    "scenario": CommandEntry(
        "Play scenarios, steps and expectations for one station at a CSMS, with a verdict.", _scenario_commands
    ),
    "decode": CommandEntry(
        "Decode a recording of a meter to JSON lines; exit 1 if nothing in it is valid.", _record_commands
    ),
    "verify": CommandEntry(
        "Verify signed readings: exit 0 if every signature is valid, 1 if not, 2 if FILE cannot be read.",
        _record_commands,
    ),
    "version": CommandEntry("Print the version.", _package_commands),
    "status": CommandEntry("Show the state of the station on this machine, on one screen.", _support_commands),
    "logs": CommandEntry("Show the log of the station on this machine, or follow it.", _support_commands),
    "backup": CommandEntry("Write an encrypted backup of the station, also while it runs.", _backup_commands),
    "restore": CommandEntry("Restore the stopped station from a backup: all of it or nothing.", _backup_commands),
    "journal": CommandEntry("Verify or export the register journal.", _record_commands),
}
"""the commands of `borne`, by name, in the order of its help"""
BOARD_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "lines": CommandEntry("List the lines of the board with their names and directions.", _board_commands),
    "watch": CommandEntry("Show the inputs of the board live; no output is set.", _board_commands),
    "set": CommandEntry("Set an output active for some seconds, after its name was typed.", _board_commands),
    "pilot": CommandEntry("Set the control pilot for some seconds, and read its voltage back.", _board_commands),
    "lock": CommandEntry("Lock the connector and unlock it again: exit 0 if its contact follows.", _board_commands),
    "light": CommandEntry("Show the colours of the status light on its LEDs.", _board_commands),
    "reader": CommandEntry("Print the UID of each card that is presented.", _board_commands),
    "meter": CommandEntry("Read each meter once.", _board_commands),
    "report": CommandEntry(
        "Write a report for the support: devices and configuration, without secrets.", _board_commands
    ),
}
"""the commands of `borne board`"""
JOURNAL_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "verify": CommandEntry(
        "Verify the whole register journal: exit 0 if it is intact, 1 if not, 2 if it cannot be read.", _record_commands
    ),
    "export": CommandEntry("Print the entries of the register journal as JSON lines.", _record_commands),
}
"""the commands of `borne journal`"""
SCENARIO_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "run": CommandEntry("Play scenarios: exit 0 if each passed, 1 if not, 2 if one is invalid.", _scenario_commands),
    "check": CommandEntry("Check scenario files: each error with file, line and key.", _scenario_commands),
    "init": CommandEntry("Write an example of a scenario.", _scenario_commands),
    "list": CommandEntry("List the shipped scenarios.", _scenario_commands),
}
"""the commands of `borne scenario`"""
GROUPS: Final[Mapping[str, Mapping[str, CommandEntry]]] = {
    "board": BOARD_COMMANDS,
    "journal": JOURNAL_COMMANDS,
    "scenario": SCENARIO_COMMANDS,
}
"""the commands that only have commands of their own, with these"""
PKI_ACTIONS: Final[Mapping[str, CommandEntry]] = {
    "serve": CommandEntry("Answer OCSP requests for the certificates of a test PKI, until Ctrl-C.", _pki_commands),
    "contract": CommandEntry("Make a contract certificate of a test PKI.", _pki_commands),
    "revoke": CommandEntry("Revoke a certificate of a test PKI.", _pki_commands),
}
"""the actions of `borne pki`; without one it makes a PKI"""
METER_ACTIONS: Final[Mapping[str, CommandEntry]] = {
    "probe": CommandEntry(
        "Find the meters on a Modbus line or host: model, unit, line settings, and the lines to paste.", _meter_actions
    ),
}
"""the actions of `borne meter`; without one it serves a simulated meter"""
FLEET_INIT: Final = CommandEntry("Write an example plan of a fleet, and a template of its stations.", _fleet_commands)
"""`borne fleet init`"""


def _run_command_line(
    program: str, summary: str, commands: Mapping[str, CommandEntry], arguments: Sequence[str]
) -> int:
    """Run the command that the first argument names."""
    name = arguments[0] if arguments else None
    if commands is COMMANDS:
        if name == "--version":
            return _run_entry("borne", "version", COMMANDS["version"], ())
        if name in GROUPS:
            return _run_command_line(f"borne {name}", COMMANDS[name].summary, GROUPS[name], arguments[1:])
        if name == "pki" and arguments[1:2] and arguments[1] in PKI_ACTIONS:
            return _run_entry("borne pki", arguments[1], PKI_ACTIONS[arguments[1]], arguments[2:])
        if name == "meter" and arguments[1:2] and arguments[1] in METER_ACTIONS:
            return _run_entry("borne meter", arguments[1], METER_ACTIONS[arguments[1]], arguments[2:])
        if name == "fleet" and arguments[1:2] == ["init"]:
            return _run_entry("borne fleet", "init", FLEET_INIT, arguments[2:])
        if name == "fleet" and arguments[1:2] == ["run"]:
            return _run_entry("borne", "fleet", COMMANDS["fleet"], arguments[2:])
    if name is not None and name in commands:
        return _run_entry(program, name, commands[name], arguments[1:])
    lines = "".join(f"  {entry_name:<10} {command.summary}\n" for entry_name, command in commands.items())
    usage = f"usage: {program} COMMAND [ARGUMENTS]\n"
    if name is None or name in {"-h", "--help"}:
        options = "\noptions:\n  --version  Print the version.\n" if commands is COMMANDS else ""
        sys.stdout.write(f"{usage}\n{summary}\n\ncommands:\n{lines}{options}")
        sys.stdout.flush()
        return 0 if name else 2
    kind = "option" if name.startswith("-") else "command"
    sys.stderr.write(f"{usage}{program}: error: No such {kind} '{name}'.\n")
    return 2


def _run_entry(program: str, name: str, command: CommandEntry, arguments: Sequence[str]) -> int:
    words = f"{program} {name}"
    parser = argparse.ArgumentParser(words, description=command.summary, allow_abbrev=False)
    return command.actions()[words.removeprefix("borne ")](parser, arguments)
