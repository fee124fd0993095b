"""Commands that load an installation file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from borne import start
from borne.arguments import SERVICE_FILE, Action, positive_seconds
from borne.commands.installed_argument import load_or_refuse
from borne.output import refuse, say
from borne.stored_rows import StorageUnreadableError, describe_unreadable_rows
from borne.support.installed_station import installed_environment
from station.configuration.installation_file import Configuration
from station.configuration.missing_packages import missing_package_errors
from station.interfaces.mdns import is_loopback_host
from station.maintenance.commissioning.label import Label, label_svg, page_address


def run(_: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne run`: the station, until it is stopped; borne/start.py parses its arguments."""
    start.run(arguments)
    return 0


def check(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne check`: validate an installation file; with --storage read every row of its storage, with --here
    ask every device.

    Returns 0, or 1 if a row cannot be read or a device does not answer; exits with 2 if file or storage are rejected.
    """
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help=f"Default with --here: {SERVICE_FILE}.",
    )
    parser.add_argument(
        "--storage", action="store_true", help="Check the stored records instead, and list each unreadable row."
    )
    parser.add_argument(
        "--new",
        action="store_true",
        help="With --storage: only rows that the station does not list itself, as before an upgrade.",
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="Open every device, and say what it answers; sets no output.",
    )
    parser.add_argument("--json", action="store_true", help="With --here: print the answers as JSON.")
    parser.add_argument(
        "--within",
        metavar="SECONDS",
        type=positive_seconds,
        default=30.0,
        help="With --here: longest wait for each device. [default: %(default)g]",
    )
    given = parser.parse_args(arguments)
    if given.file is None and not given.here:
        parser.error("the following arguments are required: FILE")
    if given.json and not given.here:
        parser.error("--json needs --here")
    if given.new and not given.storage:
        parser.error("--new needs --storage")
    file: Path = given.file if given.file is not None else SERVICE_FILE
    configuration = load_or_refuse(file)
    if given.storage:
        return _check_storage(Path(configuration.station.storage), only_new=given.new)
    if given.here:
        from borne.commands.device_check import check_here  # late: the drivers of devices

        return check_here(configuration, file, given.within, as_json=given.json)
    start.require_packages(missing_package_errors(configuration), file)
    if configuration.variable:
        from borne.variable_tables_check import describe_refused_variables  # late: all parts of a station

        if refused := describe_refused_variables(configuration, file, installed_environment(file)):
            refuse("\n".join(refused))
    say(f"{file}: ok: {_summary(configuration)}")
    for note in _commissioning_notes(configuration):
        say(f"note: {note}")
    return 0


def _commissioning_notes(configuration: Configuration) -> Iterator[str]:
    """What an installer lacks to commission the station, although the installation file is valid."""
    if configuration.station.commissioning != "required":
        return
    if is_loopback_host(configuration.http.host):
        yield (
            f'http.host is "{configuration.http.host}": nobody in the network reaches the page, on which an'
            ' installer has to commission this station; "0.0.0.0" is for all networks'
        )
    if configuration.http.installer_code is None:
        yield "http.installer_code is not set: only on this machine can the station be commissioned"


def _check_storage(storage: Path, *, only_new: bool) -> int:
    """List unreadable rows; returns the exit code: 0 without any, 1 with some, 2 if the storage cannot be opened."""
    try:
        found = describe_unreadable_rows(storage, only_new=only_new)
    except StorageUnreadableError as error:
        refuse(str(error))
    for sentence in found:
        say(sentence)
    if found:
        return 1
    say(f"{storage}: ok: every row can be read{' that the station has been able to read' if only_new else ''}")
    return 0


def health(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne health`: ask the local API of the station of an installation file, on this machine, if it responds.

    Returns 0, or 1 if it does not; exits with 2 if the file is rejected.
    """
    from borne.health_check import check_health  # late: http.client, which the other commands do not need

    parser.add_argument("file", metavar="FILE", type=Path, help="The installation file of the station.")
    given = parser.parse_args(arguments)
    file: Path = given.file
    failure = check_health(load_or_refuse(file).http)
    if failure is not None:
        sys.stderr.write(f"{failure}\n")
        return 1
    say("ok")
    return 0


def label(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne label`: print the identification label of a station as SVG; returns the exit code."""
    parser.add_argument("config", metavar="FILE", type=Path, help="The installation file.")
    parser.add_argument("--code", action="store_true", help="Include the installer's code (http.installer_code).")
    given = parser.parse_intermixed_args(arguments)
    config: Path = given.config
    configuration = load_or_refuse(config)
    station, code = configuration.station, configuration.http.installer_code
    if given.code and code is None:
        refuse(f"{config}: http.installer_code: is missing")
    printed_code = code.get_secret_value() if given.code and code is not None else None
    say(label_svg(Label(station.identity, station.serial_number, page_address(configuration), printed_code)))
    return 0


def _summary(configuration: Configuration) -> str:
    evses = [
        f"{evse.phases} phase{'s' if evse.phases > 1 else ''}, {evse.max_current_a:g} A" for evse in configuration.evse
    ]
    count = f"{len(evses)} EVSE{'s' if len(evses) > 1 else ''} ({'; '.join(evses)})"
    csms = "stand-alone" if configuration.csms is None else f"CSMS {configuration.csms.url}"
    return f"{configuration.station.identity}, {count}, {csms}"


COMMANDS: Final[Mapping[str, Action]] = {
    "run": run,
    "check": check,
    "health": health,
    "label": label,
}
