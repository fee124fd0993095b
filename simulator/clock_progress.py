"""Shows how far the clock of a station has advanced, while a request to advance it waits for its response."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

_INTERVAL_S: Final = 1.0

ClockReader = Callable[[], float | None]
"""reads the monotonic clock of the station in seconds; None: it does not answer now"""


@contextmanager
def clock_progress(read_clock: ClockReader, advance_s: float, show: Callable[[str], None]) -> Generator[None]:
    """Call `show` each real second with the progress, as long as the block runs; at its end with an empty text."""
    begin_s = read_clock()
    if begin_s is None:
        yield
        return
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(_INTERVAL_S):
            if (now_s := read_clock()) is not None:
                show(f"{now_s - begin_s:,.0f} of {advance_s:,.0f} s")

    thread = threading.Thread(target=follow, name="clock progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        show("")
