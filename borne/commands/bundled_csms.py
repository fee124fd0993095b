"""`borne csms`: the bundled CSMS."""

from __future__ import annotations

import gc
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, VerifyMode
from typing import Final

from borne.arguments import Action, add_host, port_number
from borne.output import refuse, say
from simulator.csms.bill_store import BillStoreError
from simulator.csms.csms_process import CsmsProcessOptions, run_csms
from simulator.csms.vehicle_answers import CertificatePki
from simulator.pki.contracts import PkiError

_MAX_WORKERS: Final = 64
_MAX_INTERVAL_S: Final = 86_400


def csms(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne csms`: serve the bundled CSMS and print its frames until Ctrl-C; returns the exit code."""
    _add_arguments(parser)
    given = parser.parse_args(arguments)
    options = CsmsProcessOptions(
        host=given.host,
        port=given.port,
        workers=given.workers,
        storage=given.storage,
        quiet=given.quiet,
        time_of_station=given.time_of_station,
        heartbeat_interval_s=given.heartbeat,
        pki=_load_pki(given.pki) if given.pki is not None else None,
        tls=_tls(given.certificate, given.key, given.client_ca),
        page_port=given.http_port,
        until_stdin_closes=given.until_stdin_closes,
    )
    if options.page_port is not None and options.workers > 1:
        refuse("--http-port: page and API need --workers 1, as each worker knows only its own stations")
    gc.enable()
    try:
        run_csms(options, say)
    except BillStoreError as error:
        refuse(f"--storage: {error}")
    except OSError as error:
        if options.storage is not None and error.filename is not None:
            refuse(f"--storage: {error.filename}: {error.strerror}")
        pages = f", or at the port {options.page_port} of --http-port" if options.page_port is not None else ""
        refuse(f"csms: cannot listen at {options.host}:{options.port}{pages}: {error.strerror}")
    return 0


def _add_arguments(parser: ArgumentParser) -> None:
    add_host(parser)
    parser.add_argument(
        "--port", type=port_number, default=9000, help="TCP port; 0: any free port. [default: %(default)s]"
    )
    parser.add_argument(
        "--http-port",
        metavar="PORT",
        type=port_number,
        help="TCP port of page and API, on this machine only; 0: any free port. Default: the one after --port.",
    )
    parser.add_argument(
        "--time-of-station", action="store_true", help="Send each station its own time, derived from its messages."
    )
    parser.add_argument(
        "--workers",
        type=_parse_workers,
        default=1,
        help="Processes that share the port, 1 to 64. [default: %(default)s]",
    )
    parser.add_argument(
        "--storage", metavar="FOLDER", type=Path, help="Keep the bills in this folder. Default: until it ends."
    )
    parser.add_argument(
        "--heartbeat",
        metavar="SECONDS",
        type=_parse_interval,
        default=20,
        help="Interval of the stations' heartbeats. [default: %(default)s]",
    )
    parser.add_argument(
        "--pki",
        metavar="FOLDER",
        type=Path,
        help="Sign certificates and check contracts with the PKI of this folder (`borne pki`).",
    )
    parser.add_argument(
        "--certificate", metavar="FILE", type=Path, help="PEM certificate chain; serve wss: instead of ws:."
    )
    parser.add_argument("--key", metavar="FILE", type=Path, help="PEM key of --certificate.")
    parser.add_argument(
        "--client-ca",
        metavar="FILE",
        type=Path,
        help="PEM roots of the certificates that stations must present (security profile 3).",
    )
    parser.add_argument("--quiet", action="store_true", help="Print no frames.")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="End when standard input closes, so not later than the program that started it with a pipe.",
    )


def _load_pki(folder: Path) -> CertificatePki:
    from simulator.pki.v2g_pki import TestPki  # late: cryptography

    try:
        return TestPki.load(folder)
    except PkiError as error:
        refuse(f"--pki: {error}")


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> SSLContext | None:
    """The TLS context of the server; None without a certificate."""
    if certificate is None or key is None:
        if certificate is not None or key is not None or client_ca is not None:
            refuse("--certificate and --key belong together, and --client-ca needs both")
        return None
    context = SSLContext(PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = VerifyMode.CERT_REQUIRED
    except OSError as error:
        refuse(f"--certificate, --key, --client-ca: cannot be read: {error}")
    return context


def _parse_workers(text: str) -> int:
    return _parse_number(text, _MAX_WORKERS)


def _parse_interval(text: str) -> int:
    return _parse_number(text, _MAX_INTERVAL_S)


def _parse_number(text: str, most: int) -> int:
    number = int(text)
    if not 1 <= number <= most:
        raise ArgumentTypeError(f"must be 1 to {most} (is {number})")
    return number


COMMANDS: Final[Mapping[str, Action]] = {"csms": csms}
