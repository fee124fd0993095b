"""The parser of the arguments of `borne run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from borne.arguments import port_number
from borne.run_arguments import RunArguments


def parse_run_arguments(arguments: Sequence[str]) -> RunArguments:
    """Parse the words after `run`; exits with 2 if they are rejected, or with 0 after --help."""
    parser = argparse.ArgumentParser("borne run", description="Run the station until it is stopped.")
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="The installation file.")
    parser.add_argument(
        "--http-port",
        metavar="PORT",
        type=port_number,
        help="TCP port instead of http.port, up to 65535; 0: any free port.",
    )
    parser.add_argument("--ready-file", metavar="PATH", type=Path, help="File to write once the station is running.")
    given = parser.parse_args(arguments)
    return RunArguments(given.config, given.http_port, given.ready_file)
