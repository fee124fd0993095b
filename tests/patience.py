"""The time that tests wait for real processes, threads, sockets and the disk, and how they wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 120.0
"""real seconds after which a test fails; a passing one needs a fraction, even on a busy machine"""
_POLL_INTERVAL_S: Final = 0.005


async def until(
    condition: Callable[[], object], *, meanwhile: Callable[[], object] | None = None, within_s: float = PATIENCE_S
) -> None:
    """Wait in real time until a condition is true that nothing announces, as those of another process or thread.

    Condition and `meanwhile`, which runs before each further look, may be coroutine functions.

    Raises:
        TimeoutError: it is not true within the time.
    """
    async with asyncio.timeout(within_s):
        while not await _result(condition):
            if meanwhile is not None:
                await _result(meanwhile)
            await asyncio.sleep(_POLL_INTERVAL_S)


async def _result(call: Callable[[], object]) -> object:
    result = call()
    return await result if inspect.isawaitable(result) else result


def wait_until(condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait as `until` does, in a test that is no coroutine.

    Raises:
        TimeoutError: it is not true within the time.
    """
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline_s:
            raise TimeoutError
        time.sleep(_POLL_INTERVAL_S)
