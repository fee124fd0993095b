"""A recorded household load: a CSV file with the amperes of L1, L2 and L3, second by second."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from metering.reading import Phases

_MAX_SECONDS = 31 * 86_400
_MAX_A = 1000.0


class TraceError(ValueError):
    """The file of a recorded household load cannot be read, or a line is invalid; the message names file and line."""


def read_trace(path: Path) -> list[Phases[float]]:
    """Read a recorded household load: currents of L1, L2 and L3 in A, one entry per second. Blocks on the disk.

    The CSV file has a header, then the three currents in the last columns of each line.

    Raises:
        TraceError: the file is not a valid recording.
    """
    trace: list[Phases[float]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            next(lines, None)
            for row in lines:
                trace.append(_parse_currents(row, f"{path.name}, line {lines.line_num}"))
                if len(trace) > _MAX_SECONDS:
                    raise TraceError(f"{path.name}: longer than {_MAX_SECONDS} seconds")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise TraceError(f"{path.name}: {why}") from error
    if not trace:
        raise TraceError(f"{path.name}: the trace has no rows below the header")
    return trace


def _parse_currents(row: list[str], where: str) -> Phases[float]:
    try:
        l1, l2, l3 = (float(cell) for cell in row[-3:])
    except ValueError as error:
        raise TraceError(f"{where}: three currents are required: {error}") from None
    if not all(math.isfinite(current_a) and abs(current_a) <= _MAX_A for current_a in (l1, l2, l3)):
        raise TraceError(f"{where}: a current exceeds {_MAX_A:g} A")
    return Phases(l1, l2, l3)
