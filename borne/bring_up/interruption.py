"""Runs work that a signal ends in order: Ctrl-C, a stop by another program, or the loss of the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from borne.bring_up.background_lines import background_lines

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_STOPPING: Final = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""signals that would stop the process where it is (Ctrl-Z, or a terminal that it may not use): they end the work too"""


def run_until_signal(work: Callable[[], Awaitable[int]]) -> int:
    """Run work in an event loop; returns its exit code, 1 if a signal has ended it.

    The first signal cancels the work, whose cleanup then runs to its end: further signals do nothing. After that the
    lines that it had printed in the background are waited for.
    """
    received: list[signal.Signals] = []

    async def run() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            if not received:
                task.cancel()
            received.append(number)

        for number in (*_ENDING, *_STOPPING):
            loop.add_signal_handler(number, stop, number)
        return await work()

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if not received:
            raise
        say_if_possible(f"stopped by {received[0].name}")
        return 1
    finally:
        _wait_for_lines()


def _wait_for_lines() -> None:
    try:
        background_lines.wait()
    except KeyboardInterrupt:
        os._exit(1)  # the end of the interpreter would wait for the terminal too


def say_if_possible(text: str) -> None:
    """Write a line to stderr; nothing if the terminal is gone, since a cleanup must go on."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
