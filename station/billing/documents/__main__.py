"""`python -m station.billing.documents`: document order on standard input, PDF on standard output."""

from __future__ import annotations

import contextlib
import pickle
import resource
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.billing.documents.orders import DocumentOrder

_MAX_BYTES: Final = 512 * 1024 * 1024
"""limit of the address space: twice what the report of a month with a thousand charges takes"""
_MAX_CPU_S: Final = 60
_OOM_SCORE_ADJ: Final = "1000"
"""the highest: if memory is short, the kernel kills this process and not the station"""


def main() -> None:
    """Draw the document order on standard input, and write the PDF to standard output; limits memory and time first."""
    _limit_resources()
    sys.excepthook = _print_failure
    order: DocumentOrder = pickle.load(sys.stdin.buffer)  # from the station's own process
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # output of a library must not enter the document
    output.write(order.draw())
    output.flush()


def _limit_resources() -> None:
    """Limit memory, time and files of this process: it must not harm the station beside it."""
    for kind, most in (
        (resource.RLIMIT_AS, _MAX_BYTES),
        (resource.RLIMIT_CPU, _MAX_CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(
            OSError, ValueError
        ):  # forbidden by an old service manager; the caller's deadline still holds
            _, highest = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if highest == resource.RLIM_INFINITY else min(most, highest), highest))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ, encoding="ascii")


def _print_failure(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
    """Print where it failed and the class of the error, not its message, which may contain a card number."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    sys.stderr.write(f"{kind.__name__} at {' < '.join(reversed(places))}\n")


if __name__ == "__main__":
    main()
