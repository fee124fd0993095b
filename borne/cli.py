"""The command line: the names of the commands with their help texts; borne/commands has the commands themselves.

It uses argparse, which loads in 1 ms instead of 55 ms (typer); on a small controller the difference is many times that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

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
    module: str
    """the module of borne/commands with the group of commands that it belongs to"""

    def load(self, name: str) -> Action:
        """Load its group, and no other one; returns the command of this name."""
        commands: Mapping[str, Action] = import_module(f"borne.commands.{self.module}").COMMANDS
        return commands[name]


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "run": CommandEntry("Run the station until it is stopped.", "installation"),
    "check": CommandEntry("Check an installation file, with the BORNE_ environment variables applied.", "installation"),
    "init": CommandEntry(
        "Write an installation file: an example, or one for the parts that options or answers name.",
        "initial_file",
    ),
    "health": CommandEntry(
        "Ask a running station on this machine whether it responds: exit 0 if it does, 1 if not.",
        "installation",
    ),
    "label": CommandEntry(
        "Draw the identification label of a station as SVG in millimetres.",
        "installation",
    ),
    "sim": CommandEntry("Control the simulated hardware of a running station: `borne sim evses/1/plug`.", "simulation"),
    "board": CommandEntry(
        "Bring up a board, with the station stopped: lines, inputs, outputs, pilot, lock, light, readers.",
        "board",
    ),
    "meter": CommandEntry(
        "Serve a simulated billing meter over Modbus TCP; `borne meter probe` finds a real one.", "simulation"
    ),
    "csms": CommandEntry(
        "Run the bundled CSMS, which accepts every station; `borne csms call` lets it send a request.", "bundled_csms"
    ),
    "pki": CommandEntry("Make certificates for tests of ISO 15118 and TLS; `borne pki serve` answers for them.", "pki"),
    "secc-check": CommandEntry(
        "Play a station against an SECC on a Unix socket, and say what it breaks of the protocol.", "secc"
    ),
    "demo": CommandEntry("Show a station, a CSMS, a house and a car on one screen, until Ctrl-C.", "demonstration"),
    "fleet": CommandEntry(
        "Run the plan of a fleet, many simulated stations at one CSMS; `borne fleet init` writes one.", "fleet"
    ),
    "life": CommandEntry("Play days of a station with everything that can go wrong, and check it throughout.", "life"),
    "scenario": CommandEntry(
        "Play scenarios, steps and expectations for one station at a CSMS, with a verdict.", "scenario"
    ),
    "decode": CommandEntry("Decode a recording of a meter to JSON lines; exit 1 if nothing in it is valid.", "records"),
    "verify": CommandEntry(
        "Verify signed readings: exit 0 if every signature is valid, 1 if not, 2 if FILE cannot be read.",
        "records",
    ),
    "version": CommandEntry("Print the version.", "package"),
    "status": CommandEntry("Show the state of the station on this machine, on one screen.", "support"),
    "logs": CommandEntry("Show the log of the station on this machine, or follow it.", "support"),
    "backup": CommandEntry("Write an encrypted backup of the station, also while it runs.", "backup"),
    "restore": CommandEntry("Restore the stopped station from a backup: all of it or nothing.", "backup"),
    "journal": CommandEntry("Verify or export the register journal.", "records"),
}
"""the commands of `borne`, by name, in the order of its help"""
BOARD_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "lines": CommandEntry("List the lines of the board with their names and directions.", "board"),
    "watch": CommandEntry("Show the inputs of the board live; no output is set.", "board"),
    "set": CommandEntry("Set an output active for some seconds, after its name was typed.", "board"),
    "pilot": CommandEntry("Set the control pilot for some seconds, and read its voltage back.", "board"),
    "lock": CommandEntry("Lock the connector and unlock it again: exit 0 if its contact follows.", "board"),
    "light": CommandEntry("Show the colours of the status light on its LEDs.", "board"),
    "reader": CommandEntry("Print the UID of each card that is presented.", "board"),
    "meter": CommandEntry("Read each meter once.", "board"),
    "report": CommandEntry("Write a report for the support: devices and configuration, without secrets.", "board"),
}
"""the commands of `borne board`"""
JOURNAL_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "verify": CommandEntry(
        "Verify the whole register journal: exit 0 if it is intact, 1 if not, 2 if it cannot be read.", "records"
    ),
    "export": CommandEntry("Print the entries of the register journal as JSON lines.", "records"),
}
"""the commands of `borne journal`"""
SCENARIO_COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "run": CommandEntry("Play scenarios: exit 0 if each passed, 1 if not, 2 if one is invalid.", "scenario"),
    "check": CommandEntry("Check scenario files: each error with file, line and key.", "scenario"),
    "init": CommandEntry("Write an example of a scenario.", "scenario"),
    "list": CommandEntry("List the shipped scenarios.", "scenario"),
    "record": CommandEntry("Write what is done with a running station as a scenario that can be played.", "scenario"),
}
"""the commands of `borne scenario`"""
GROUPS: Final[Mapping[str, Mapping[str, CommandEntry]]] = {
    "board": BOARD_COMMANDS,
    "journal": JOURNAL_COMMANDS,
    "scenario": SCENARIO_COMMANDS,
}
"""the commands that only have commands of their own, with these"""
PKI_ACTIONS: Final[Mapping[str, CommandEntry]] = {
    "serve": CommandEntry("Answer OCSP requests for the certificates of a test PKI, until Ctrl-C.", "pki"),
    "contract": CommandEntry("Make a contract certificate of a test PKI.", "pki"),
    "revoke": CommandEntry("Revoke a certificate of a test PKI.", "pki"),
}
"""the actions of `borne pki`; without one it makes a PKI"""
CSMS_ACTIONS: Final[Mapping[str, CommandEntry]] = {
    "call": CommandEntry(
        "Let a running `borne csms` send a request to a station: exit 1 for a CALLERROR.", "csms_call"
    ),
}
"""the actions of `borne csms`; without one it serves the CSMS"""
METER_ACTIONS: Final[Mapping[str, CommandEntry]] = {
    "probe": CommandEntry(
        "Find the meters on a Modbus line or host: model, unit, line settings, and the lines to paste.", "meter_probe"
    ),
}
"""the actions of `borne meter`; without one it serves a simulated meter"""
ACTIONS: Final[Mapping[str, Mapping[str, CommandEntry]]] = {
    "csms": CSMS_ACTIONS,
    "meter": METER_ACTIONS,
    "pki": PKI_ACTIONS,
}
"""the commands that also have actions, with these"""
FLEET_INIT: Final = CommandEntry("Write an example plan of a fleet, and a template of its stations.", "fleet")
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
        if name in ACTIONS and arguments[1:2] and (action := ACTIONS[name].get(arguments[1])) is not None:
            return _run_entry(f"borne {name}", arguments[1], action, arguments[2:])
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
    return command.load(words.removeprefix("borne "))(parser, arguments)
