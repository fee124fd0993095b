"""Waits for a moment of simulated time, which end early when a fleet is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


async def wait_until(clock: Clock, moment_s: float, ended: asyncio.Event) -> None:
    """Wait until a moment of a clock (`Clock.monotonic`), or until `ended` is set; not at all if it has passed."""
    if (delay_s := moment_s - clock.monotonic()) <= 0.0 or ended.is_set():
        return
    due = asyncio.Event()
    timer = clock.call_later(delay_s, due.set)
    waits = [asyncio.ensure_future(due.wait()), asyncio.ensure_future(ended.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        for wait in waits:
            wait.cancel()
