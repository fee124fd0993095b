"""`borne pki`: a public-key infrastructure for tests of ISO 15118 and of security profiles 2 and 3."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from borne.arguments import Action, add_host, port_number
from borne.output import refuse, say
from simulator.pki.contracts import CONTRACTS, PkiError
from simulator.pki.v2g_pki import PkiOptions, TestPki

_EMAID: Final = r"[A-Za-z0-9*-]{14,20}"
_NAME: Final = r"[a-z0-9][a-z0-9-]{0,39}"
_DEFAULTS: Final = PkiOptions()


def pki(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne pki FOLDER`: make a PKI in a folder; returns the exit code."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="Folder of the PKI, which has none yet.")
    parser.add_argument(
        "--ocsp-url",
        metavar="URL",
        default=_DEFAULTS.ocsp_url,
        help="Where `borne pki serve` will answer; it is written into the certificates. [default: %(default)s]",
    )
    parser.add_argument(
        "--csms-host", metavar="NAME", default=_DEFAULTS.csms_host, help="Host name of the CSMS. [default: %(default)s]"
    )
    parser.add_argument(
        "--station-serial",
        metavar="TEXT",
        default=_DEFAULTS.station_serial,
        help="Serial number of the station, for its client certificate. [default: %(default)s]",
    )
    given = parser.parse_args(arguments)
    if urlsplit(str(given.ocsp_url)).scheme not in {"http", "https"}:
        refuse("--ocsp-url: must be an http or https URL")
    options = PkiOptions(given.ocsp_url, given.csms_host, given.station_serial)
    try:
        TestPki.create(given.folder, options)
    except PkiError as error:
        refuse(str(error))
    for line in _SUMMARY.format(folder=given.folder, contracts=", ".join(CONTRACTS)).splitlines():
        say(line)
    return 0


def serve(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne pki serve FOLDER`: answer OCSP requests until Ctrl-C; returns the exit code."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="Folder of the PKI.")
    add_host(parser)
    parser.add_argument("--port", type=port_number, default=9320, help="TCP port. [default: %(default)s]")
    given = parser.parse_args(arguments)
    from simulator.pki.ocsp_server import serve_ocsp  # late: fastapi and uvicorn

    responder = _load(given.folder).responder()
    try:
        serve_ocsp(responder, given.host, given.port, say)
    except (OSError, SystemExit) as error:
        reason = error.strerror if isinstance(error, OSError) else "the address is in use, or not one of this machine"
        refuse(f"pki serve: cannot listen at {given.host}:{given.port}: {reason}")
    return 0


def contract(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne pki contract FOLDER NAME EMAID`: make a contract certificate; returns the exit code."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="Folder of the PKI.")
    parser.add_argument("name", metavar="NAME", help="Name of the contract: contracts/NAME.pem.")
    parser.add_argument("emaid", metavar="EMAID", help="Its eMAID, such as FRBRNC00000042X.")
    given = parser.parse_args(arguments)
    if re.fullmatch(_NAME, given.name) is None:
        refuse("NAME: must have 1 to 40 small letters, digits and hyphens")
    if re.fullmatch(_EMAID, given.emaid) is None:
        refuse("EMAID: must have 14 to 20 letters, digits, hyphens or asterisks")
    try:
        if (given.folder / "contracts" / f"{given.name}.pem").exists():
            refuse(f"NAME: there is a contract {given.name} already")
        _load(given.folder).add_contract(given.name, given.emaid)
    except OSError as error:
        refuse(f"{given.folder}: {error}")
    say(f"{given.folder / 'contracts' / given.name}.pem")
    return 0


def revoke(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne pki revoke FOLDER FILE`: revoke the first certificate of a PEM file; returns the exit code."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="Folder of the PKI.")
    parser.add_argument("file", metavar="FILE", type=Path, help="PEM file whose first certificate is revoked.")
    given = parser.parse_args(arguments)
    loaded = _load(given.folder)
    try:
        serial_number = loaded.revoke_file(given.file)
    except (OSError, PkiError) as error:
        refuse(f"{given.file}: {error}")
    say(f"revoked: {serial_number:x}")
    return 0


def _load(folder: Path) -> TestPki:
    try:
        return TestPki.load(folder)
    except PkiError as error:
        refuse(str(error))


_SUMMARY: Final = """\
{folder}: V2G root, CPO sub-CA 1 and 2, MO root and sub-CAs, CSMS root (keys/ has the private keys)
contracts: {contracts}
leaves: csms, station, secc
next: borne pki serve {folder}
      borne csms --pki {folder}"""

COMMANDS: Final[Mapping[str, Action]] = {
    "pki": pki,
    "pki serve": serve,
    "pki contract": contract,
    "pki revoke": revoke,
}
"""the command that makes a PKI, and what can be done with one"""
