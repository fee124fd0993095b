"""`borne secc-check`: plays a station against an SECC in a process of its own; `borne secc-check --schema`."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Final

from borne.arguments import Action
from borne.output import refuse, say
from foundation.clock import SystemClock
from simulator.secc_check import SeccCheck
from station.devices.secc.secc_protocol import protocol_schema


def check(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne secc-check`; returns the exit code: 1 if the SECC breaks the protocol, or no vehicle came."""
    parser.add_argument(
        "socket", metavar="SOCKET", nargs="?", help="Path of the Unix socket on which the SECC listens."
    )
    parser.add_argument("--evse", metavar="N", type=int, default=1, help="Number of the EVSE. [default: %(default)s]")
    parser.add_argument(
        "--within",
        metavar="SECONDS",
        type=float,
        default=120.0,
        help="How long to wait for the session of a vehicle. [default: %(default)s]",
    )
    parser.add_argument("--schema", action="store_true", help="Print the JSON Schema of the protocol, and end.")
    given = parser.parse_args(arguments)
    if given.schema:
        say(json.dumps(protocol_schema(), indent=2, sort_keys=True))
        return 0
    if given.socket is None:
        refuse("SOCKET: is missing")
    if not given.within > 0.0:
        refuse("--within: must be more than 0")
    findings = asyncio.run(SeccCheck(given.socket, given.evse, SystemClock(), say).run(given.within))
    for finding in findings:
        say(f"{finding.subject}: {finding.problem or 'ok'}")
    return 1 if any(finding.problem for finding in findings) else 0


COMMANDS: Final[Mapping[str, Action]] = {"secc-check": check}
