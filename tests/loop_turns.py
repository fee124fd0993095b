"""How long the turns of the event loop take, in CPU time of its thread: a busy machine does not lengthen them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Generator


@contextlib.contextmanager
def measured_turns() -> Generator[list[float]]:
    """Collect the seconds of each turn of the running loop within the block, with the collector of garbage at rest.

    A collection of the many objects of a test process is not the station's.
    """
    turns: list[float] = []

    async def measure() -> None:
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - before_s)

    gc.disable()
    measuring = asyncio.ensure_future(measure())
    try:
        yield turns
    finally:
        measuring.cancel()
        gc.enable()
