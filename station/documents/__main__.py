"""`python -m station.documents`: draw what is ordered on standard input, to standard output (process.py)."""

from __future__ import annotations

import contextlib
import pickle
import resource
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from station.documents.orders import DocumentOrder

_MOST_BYTES: Final = 512 * 1024 * 1024
"""of its address space: twice what the report of a month with a thousand charges takes"""
_MOST_CPU_S: Final = 60
_LAST_TO_SURVIVE: Final = "1000"
"""where memory is short the document goes first, and not the station"""


def main() -> None:
    """Draw one document."""
    _bound()
    sys.excepthook = _complain
    order = cast("DocumentOrder", pickle.load(sys.stdin.buffer))  # from the station's own process
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library prints is no part of the document
    output.write(order.draw())
    output.flush()


def _bound() -> None:
    """Bound this process: it must not harm the station beside it."""
    for kind, most in (
        (resource.RLIMIT_AS, _MOST_BYTES),
        (resource.RLIMIT_CPU, _MOST_CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # an old service manager forbids it: the time is bounded anyway
            _, highest = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if highest == resource.RLIM_INFINITY else min(most, highest), highest))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_LAST_TO_SURVIVE, encoding="ascii")


def _complain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say where it failed and with what kind of error; what the error says may name a card."""
    del error
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    sys.stderr.write(f"{kind.__name__} at {' < '.join(reversed(places))}\n")


if __name__ == "__main__":
    main()
