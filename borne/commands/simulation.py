"""Commands for simulated hardware."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.arguments import Action, add_host, port_number
from borne.output import refuse, say
from simulator.api_client import SimulatorRequestError, listing, send_action
from simulator.register import RegisterError


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
        "--api",
        metavar="URL",
        default="http://127.0.0.1:8080",
        help="Address of the station's local API. [default: %(default)s]",
    )
    parser.add_argument("--method", help="HTTP method, for an action that has several, such as DELETE.")
    given = parser.parse_intermixed_args(arguments)
    if given.action is None:
        say(listing())
        return 0
    try:
        say(send_action(given.api, given.action, given.body, given.method))
    except SimulatorRequestError as error:
        refuse(str(error))
    return 0


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
