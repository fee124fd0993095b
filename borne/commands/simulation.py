"""Commands for simulated hardware."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.arguments import Action, add_host, port_number
from borne.output import refuse, say
from simulator.api_client import (
    TOKEN_VARIABLE,
    ApiConnection,
    SimulatorRequestError,
    listing,
    send_action,
    with_contract,
)
from simulator.pki.contracts import PkiError, read_contract
from simulator.register import RegisterError

_LONGEST_TIMEOUT_S: Final = 10 * 86_400.0


def sim(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne sim`: send an action to a running simulated station and print its response, or list the actions."""
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        help="An action, or any path that begins with /api/. Without it, list all actions.",
    )
    parser.add_argument("body", metavar="JSON", nargs="?", help="Body of the request.")
    parser.add_argument(
        "--url",
        "--api",
        dest="url",
        metavar="URL",
        default=ApiConnection().url,
        help="Address of the station's local API. [default: %(default)s]",
    )
    parser.add_argument(
        "--token",
        help=f"Access token to sign in with; on the station's own machine none is needed. [default: {TOKEN_VARIABLE}]",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_parse_timeout,
        help="Longest wait for the response. [default: 30; no limit while the clock is advanced]",
    )
    parser.add_argument(
        "--contract",
        metavar="FILE",
        type=Path,
        help="Contract of the vehicle to plug in: a PEM file of `borne pki`.",
    )
    parser.add_argument("--method", help="HTTP method, for an action that has several, such as DELETE.")
    given = parser.parse_intermixed_args(arguments)
    if given.action is None:
        say(listing())
        return 0
    api = ApiConnection(
        given.url,
        given.token or os.environ.get(TOKEN_VARIABLE) or None,
        given.timeout,
        _show_progress if sys.stderr.isatty() else None,
    )
    try:
        body = given.body if given.contract is None else with_contract(given.body, read_contract(given.contract))
        say(send_action(api, given.action, body, given.method))
    except PkiError as error:
        refuse(f"--contract: {error}")
    except SimulatorRequestError as error:
        refuse(str(error))
    return 0


def _show_progress(text: str) -> None:
    """Write over the last line of the terminal."""
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


def _parse_timeout(text: str) -> float:
    seconds = float(text)
    if not 0.0 < seconds <= _LONGEST_TIMEOUT_S:
        raise ArgumentTypeError(f"must be greater than 0, and at most {_LONGEST_TIMEOUT_S:g} (is {text})")
    return seconds


def meter(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne meter`: serve a simulated billing meter over Modbus TCP until Ctrl-C; returns the exit code."""
    from simulator import meter_process  # late: pymodbus, which `sim` does not need

    parser.add_argument(
        "--circuit",
        metavar="URL",
        required=True,
        help="Source of the currents: …/api/sim/evses/1/circuit of a station.",
    )
    parser.add_argument(
        "--model", default="eastron-sdm630", help="Meter model whose registers are served. [default: %(default)s]"
    )
    add_host(parser)
    parser.add_argument("--port", type=port_number, default=5020, help="TCP port, up to 65535. [default: %(default)s]")
    parser.add_argument(
        "--register",
        metavar="FILE",
        type=Path,
        default=Path("meter.register"),
        help="File that stores the counted energy. [default: %(default)s]",
    )
    given = parser.parse_args(arguments)
    if given.model not in meter_process.MODELS:
        refuse(f"--model: must be one of {', '.join(meter_process.MODELS)} (is {given.model})")
    try:
        meter_process.run(
            given.model,
            host=given.host,
            port=given.port,
            circuit_url=given.circuit,
            register_file=given.register,
        )
    except RegisterError as error:
        refuse(f"--register: {error}")
    except OSError as error:
        refuse(f"cannot listen at {given.host}:{given.port}: {error.strerror}")
    return 0


COMMANDS: Final[Mapping[str, Action]] = {"sim": sim, "meter": meter}
