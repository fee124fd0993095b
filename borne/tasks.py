"""Helpers to wait for and end the outermost tasks of the program."""

from __future__ import annotations

import asyncio
import contextlib


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; a failure of the task is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def end_task_once(task: asyncio.Task[None]) -> None:
    """Cancel a task exactly once and wait for its end, however often the caller is cancelled meanwhile.

    A second cancellation would interrupt what the task does at its end. A failure of the task is not raised; a
    cancellation of the caller is, at the end.
    """
    task.cancel()
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
