"""The arguments of `borne run`, read without argparse as long as they are written in the usual way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen

_LARGEST_PORT: Final = 65535
_PORT_DIGITS: Final = 5


class RunArguments(Frozen):
    """The arguments of `borne run`."""

    config: Path
    """the installation file"""
    http_port: int | None = None
    """TCP port instead of that of the installation file; 0: any free port"""
    ready_file: Path | None = None
    """file to write once the station is running"""


def plain_arguments(arguments: Sequence[str]) -> RunArguments | None:
    """Read arguments that are options, each with its value as the next word; None for any others."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    file, port, ready_file = options.get("--config"), options.get("--http-port"), options.get("--ready-file")
    known = {"--config", "--http-port", "--ready-file"} >= options.keys() and len(arguments) == 2 * len(options)
    if not known or not file or any(not value or value.startswith("-") for value in options.values()):
        return None
    if port is not None and not _is_port(port):
        return None
    return RunArguments(Path(file), int(port) if port is not None else None, Path(ready_file) if ready_file else None)


def _is_port(text: str) -> bool:
    return len(text) <= _PORT_DIGITS and text.isascii() and text.isdecimal() and int(text) <= _LARGEST_PORT
