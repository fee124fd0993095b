"""Waits of a fleet: for a moment of simulated time, and for the first of several events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


async def wait_until(clock: Clock, moment_s: float, ended: asyncio.Event) -> None:
    """Wait until a moment of a clock (`Clock.monotonic`), or until `ended` is set; not at all if it has passed."""
    if (delay_s := moment_s - clock.monotonic()) <= 0.0 or ended.is_set():
        return
    time_reached = asyncio.Event()
    timer = clock.call_later(delay_s, time_reached.set)
    try:
        await wait_for_any(time_reached, ended)
    finally:
        timer.cancel()


async def wait_for_any(*events: asyncio.Event) -> None:
    """Wait until one of these events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
