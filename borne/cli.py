"""The command line: each command is a function of its arguments; its docstring is its help text.

It uses argparse, which loads in 1 ms instead of 55 ms (typer); on a small controller the difference is many times that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from borne import start

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

Command: TypeAlias = Callable[[Sequence[str]], int]
"""takes the arguments after its name, and returns the exit code"""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; returns the exit code, 2 for invalid arguments.

    Raises:
        SystemExit: with the exit code, if a command ends early.
    """
    try:
        return _dispatch("borne", "Software of an AC charging station.", COMMANDS, arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Aborted!\n")
        return 1
    except BrokenPipeError:  # the reader has closed the pipe; keeps Python from flushing the rest at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run(arguments: Sequence[str]) -> int:
    """Run the station until it is stopped."""
    start.run(arguments)
    return 0


def check(arguments: Sequence[str]) -> int:
    """Check an installation file, with the BORNE_ environment variables applied."""
    parser = _parser("check", check)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--storage", action="store_true", help="Check the stored records instead, and list each unreadable row."
    )
    given = parser.parse_args(arguments)
    file: Path = given.file
    configuration = start.loaded(file)
    if given.storage:
        return _check_storage(Path(configuration.station.storage))
    _say(f"{file}: ok: {_summary(configuration)}")
    return 0


def _check_storage(storage: Path) -> int:
    """List unreadable rows; returns the exit code: 0 without any, 1 with some, 2 if the storage cannot be opened."""
    from borne.stored_rows import StorageUnreadableError, describe_unreadable_rows

    try:
        found = describe_unreadable_rows(storage)
    except StorageUnreadableError as error:
        start.refuse(str(error))
    for sentence in found:
        _say(sentence)
    if found:
        return 1
    _say(f"{storage}: ok: every row can be read")
    return 0


def init(arguments: Sequence[str]) -> int:
    """Write an example installation file."""
    from station.configuration.example import EXAMPLE

    parser = _parser("init", init)
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="Default: standard output.")
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    given = parser.parse_intermixed_args(arguments)
    file: Path | None = given.file
    if file is None:
        _say(EXAMPLE, end="")
        return 0
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as target:
            target.write(EXAMPLE)
    except FileExistsError:
        start.refuse(f"{file}: already exists; use --force to overwrite it")
    except OSError as error:
        start.refuse(f"{file}: cannot be written: {error.strerror}")
    return 0


def label(arguments: Sequence[str]) -> int:
    """Draw the identification label of a station as SVG in millimetres."""
    from station.maintenance.commissioning.label import Label, label_svg, page_address

    parser = _parser("label", label)
    parser.add_argument("config", metavar="FILE", type=Path, help="The installation file.")
    parser.add_argument("--code", action="store_true", help="Include the installer's code (http.installer_code).")
    given = parser.parse_intermixed_args(arguments)
    config: Path = given.config
    configuration = start.loaded(config)
    who, code = configuration.station, configuration.http.installer_code
    if given.code and code is None:
        start.refuse(f"{config}: http.installer_code: is missing")
    shown = code.get_secret_value() if given.code and code is not None else None
    _say(label_svg(Label(who.identity, who.serial_number, page_address(configuration), shown)))
    return 0


def sim(arguments: Sequence[str]) -> int:
    """Control the simulated hardware of a running station: `borne sim evses/1/plug`."""
    from simulator.api_client import SimulatorRequestError, listing, send_action

    parser = _parser("sim", sim)
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        help="An action, or any path that begins with /api/. Without it, list all actions.",
    )
    parser.add_argument("body", metavar="JSON", nargs="?", help="Body of the request.")
    parser.add_argument(
        "--api",
        metavar="URL",
        default="http://127.0.0.1:8080",
        help="Address of the station's local API. [default: %(default)s]",
    )
    parser.add_argument("--method", help="HTTP method, for an action that has several, such as DELETE.")
    given = parser.parse_intermixed_args(arguments)
    if given.action is None:
        _say(listing())
        return 0
    try:
        _say(send_action(given.api, given.action, given.body, given.method))
    except SimulatorRequestError as error:
        start.refuse(str(error))
    return 0


def meter(arguments: Sequence[str]) -> int:
    """Serve a simulated billing meter over Modbus TCP."""
    from simulator import meter_process
    from simulator.register import RegisterError

    parser = _parser("meter", meter)
    parser.add_argument(
        "--circuit",
        metavar="URL",
        required=True,
        help="Source of the currents: …/api/sim/evses/1/circuit of a station.",
    )
    parser.add_argument(
        "--model", default="eastron-sdm630", help="Meter model whose registers are served. [default: %(default)s]"
    )
    _add_host(parser)
    parser.add_argument("--port", type=start.port, default=5020, help="TCP port, up to 65535. [default: %(default)s]")
    parser.add_argument(
        "--register",
        metavar="FILE",
        type=Path,
        default=Path("meter.register"),
        help="File that stores the counted energy. [default: %(default)s]",
    )
    given = parser.parse_args(arguments)
    if given.model not in meter_process.MODELS:
        start.refuse(f"--model: must be one of {', '.join(meter_process.MODELS)} (is {given.model})")
    try:
        meter_process.run(
            given.model,
            host=given.host,
            port=given.port,
            circuit_url=given.circuit,
            register_file=given.register,
        )
    except RegisterError as error:
        start.refuse(f"--register: {error}")
    return 0


def csms(arguments: Sequence[str]) -> int:
    """Run the bundled CSMS, which accepts every station, and print the OCPP frames."""
    from borne.demo import run as demo

    parser = _parser("csms", csms)
    _add_host(parser)
    parser.add_argument(
        "--port", type=start.port, default=9000, help="TCP port; 0: any free port. [default: %(default)s]"
    )
    parser.add_argument(
        "--time-of-station", action="store_true", help="Send each station its own time, derived from its messages."
    )
    given = parser.parse_args(arguments)
    try:
        demo.serve_csms(given.host, given.port, _say, time_of_station=given.time_of_station)
    except demo.StartError as error:
        start.refuse(str(error))
    return 0


def demonstrate(arguments: Sequence[str]) -> int:
    """Show a station, a CSMS, a house and a car on one screen, until Ctrl-C."""
    from borne.demo import run as demo

    parser = _parser("demo", demonstrate)
    parser.add_argument(
        "--once", action="store_true", help="Play one charge, then compare all figures; exit 0 if they agree, else 1."
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="Virtual seconds per second, 0.1 to 20. [default: %(default)s]"
    )
    parser.add_argument(
        "--http-port", type=start.port, default=0, help="TCP port; 0: any free port. [default: %(default)s]"
    )
    given = parser.parse_args(arguments)
    try:
        good = demo.run(demo.DemoOptions(once=given.once, speed=given.speed, http_port=given.http_port))
    except demo.StartError as error:
        start.refuse(str(error))
    return 0 if good else 1


def decode(arguments: Sequence[str]) -> int:
    """Decode a recording of a meter to JSON lines; exit 1 if nothing in it is valid."""
    import json

    from borne import decode as decoding

    parser = _parser("decode", decode)
    parser.add_argument("kind", metavar="linky|p1|modbus")
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="Recorded byte stream; for Modbus, registers or frames as JSON."
    )
    parser.add_argument("--key", metavar="HEX", help="Key of encrypted telegrams of a P1 port.")
    parser.add_argument(
        "--authentication-key",
        metavar="HEX",
        help="Authentication key of encrypted telegrams, if not that of Luxembourg.",
    )
    parser.add_argument("--model", metavar="NAME", help="Model of the recorded Modbus meter.")
    given = parser.parse_intermixed_args(arguments)
    request = decoding.DecodeRequest(given.kind, given.file, given.key, given.authentication_key, given.model)
    try:
        found = decoding.decode_recording(request)
    except decoding.UsageError as error:
        start.refuse(str(error))
    for line in found.lines:
        _say(json.dumps(line))
    if found.problem is not None:
        sys.stderr.write(f"{request.file}: {found.problem}\n")
        return 1
    return 0


def verify(arguments: Sequence[str]) -> int:
    """Verify signed readings: exit 0 if every signature is valid, 1 if not, 2 if FILE cannot be read."""
    import json

    from borne import verify as verifying

    parser = _parser("verify", verify)
    parser.add_argument("file", metavar="FILE", type=Path, help="OCMF records, or an XML container of OCMF records.")
    parser.add_argument("--key", metavar="K", help="Public key, or its file, instead of the one in or next to FILE.")
    parser.add_argument("--json", action="store_true", help="Print JSON: an object, or a list of several.")
    given = parser.parse_intermixed_args(arguments)
    try:
        checked = verifying.check_records(given.file, given.key)
    except verifying.RecordsUnreadableError as error:
        start.refuse(str(error))
    if given.json:
        shown = [verifying.record_to_json(one) for one in checked]
        _say(json.dumps(shown if len(shown) > 1 else shown[0], indent=1))
    else:
        for line in verifying.records_to_text(checked):
            _say(line)
    return 0 if all(one.signature_check.valid for one in checked) else 1


def journal(arguments: Sequence[str]) -> int:
    """Verify or export the register journal."""
    return _dispatch("borne journal", str(journal.__doc__), JOURNAL_COMMANDS, arguments)


def verify_journal(arguments: Sequence[str]) -> int:
    """Verify the whole register journal: exit 0 if it is intact, 1 if not, 2 if it cannot be read."""
    from borne import journal_file

    try:
        proof = journal_file.check_journal_file(_journal_place("journal verify", verify_journal, arguments))
    except journal_file.JournalUnreadableError as error:
        start.refuse(str(error))
    for line in proof.lines:
        _say(line)
    return 0 if proof.intact else 1


def export_journal(arguments: Sequence[str]) -> int:
    """Print the entries of the register journal as JSON lines."""
    from borne import journal_file

    try:
        for line in journal_file.export_entries(_journal_place("journal export", export_journal, arguments)):
            _say(line)
    except journal_file.JournalUnreadableError as error:
        start.refuse(str(error))
    return 0


def version(arguments: Sequence[str]) -> int:
    """Print the version."""
    from station.core.version import package_version

    _parser("version", version).parse_args(arguments)
    _say(f"borne {package_version()}")
    return 0


COMMANDS: Final[Mapping[str, Command]] = {
    "run": run,
    "check": check,
    "init": init,
    "label": label,
    "sim": sim,
    "meter": meter,
    "csms": csms,
    "demo": demonstrate,
    "decode": decode,
    "verify": verify,
    "version": version,
    "journal": journal,
}
JOURNAL_COMMANDS: Final[Mapping[str, Command]] = {"verify": verify_journal, "export": export_journal}


def _dispatch(program: str, summary: str, commands: Mapping[str, Command], arguments: Sequence[str]) -> int:
    """Run the command that the first argument names."""
    name = arguments[0] if arguments else None
    if name is not None and name in commands:
        return commands[name](arguments[1:])
    if name == "--version" and commands is COMMANDS:
        return version(())
    lines = "".join(f"  {one:<8} {command.__doc__}\n" for one, command in commands.items())
    usage = f"usage: {program} COMMAND [ARGUMENTS]\n"
    if name is None or name in {"-h", "--help"}:
        options = "\noptions:\n  --version  Print the version.\n" if commands is COMMANDS else ""
        _say(f"{usage}\n{summary}\n\ncommands:\n{lines}{options}", end="")
        return 0 if name else 2
    kind = "option" if name.startswith("-") else "command"
    return start.refuse(f"{usage}{program}: error: No such {kind} '{name}'.")


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(f"borne {name}", description=command.__doc__, allow_abbrev=False)


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="Address to listen at. [default: %(default)s]")


def _journal_place(name: str, command: Command, arguments: Sequence[str]) -> Path:
    parser = _parser(name, command)
    parser.add_argument("place", metavar="PLACE", type=Path, help="The station's storage folder, or the journal file.")
    place: Path = parser.parse_args(arguments).place
    return place


def _speed(text: str) -> float:
    speed = float(text)
    if not 0.1 <= speed <= 20.0:
        raise argparse.ArgumentTypeError(f"must be 0.1 to 20 (is {speed:g})")
    return speed


def _say(text: str, *, end: str = "\n") -> None:
    """Write to standard output and flush, so that a pipe receives it at once."""
    sys.stdout.write(f"{text}{end}")
    sys.stdout.flush()


def _summary(configuration: Configuration) -> str:
    evses = [
        f"{evse.phases} phase{'s' if evse.phases > 1 else ''}, {evse.max_current_a:g} A" for evse in configuration.evse
    ]
    count = f"{len(evses)} EVSE{'s' if len(evses) > 1 else ''} ({'; '.join(evses)})"
    csms = "stand-alone" if configuration.csms is None else f"CSMS {configuration.csms.url}"
    return f"{configuration.station.identity}, {count}, {csms}"
