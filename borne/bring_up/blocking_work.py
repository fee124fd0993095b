"""Runs blocking work that may never return, such as opening a broken device; the program can end meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from foundation.supervision import contained_call

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread of its own and return its result; a cancelled caller does not wait for it.

    Raises:
        Exception: as the work.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def set_result(result: T | Exception) -> None:
        if done.done():
            return
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    def run() -> None:
        result = contained_call(work)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(set_result, result)

    threading.Thread(target=run, name="bring-up", daemon=True).start()
    return await done
