"""`borne demo`: a station at work."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Final

from borne.arguments import Action, port_number
from borne.demo import run as demo
from borne.output import refuse


def demonstrate(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne demo`; returns the exit code: 0 if everything went as expected, else 1."""
    parser.add_argument(
        "--once", action="store_true", help="Play one charge, then compare all figures; exit 0 if they agree, else 1."
    )
    parser.add_argument(
        "--speed", type=_parse_speed, default=1.0, help="Virtual seconds per second, 0.1 to 20. [default: %(default)s]"
    )
    parser.add_argument(
        "--http-port", type=port_number, default=0, help="TCP port; 0: any free port. [default: %(default)s]"
    )
    parser.add_argument(
        "--plug-and-charge",
        action="store_true",
        help="Play a charge of a vehicle that is authorized by its contract (ISO 15118), then end.",
    )
    given = parser.parse_args(arguments)
    once, contract = given.once or given.plug_and_charge, given.plug_and_charge
    options = demo.DemoOptions(once=once, speed=given.speed, http_port=given.http_port, plug_and_charge=contract)
    try:
        good = demo.run(options)
    except demo.StartError as error:
        refuse(str(error))
    return 0 if good else 1


def _parse_speed(text: str) -> float:
    speed = float(text)
    if not 0.1 <= speed <= 20.0:
        raise ArgumentTypeError(f"must be 0.1 to 20 (is {speed:g})")
    return speed


COMMANDS: Final[Mapping[str, Action]] = {"demo": demonstrate}
