"""Helpers to wait for and end the outermost tasks of the program."""

from __future__ import annotations

import asyncio
import contextlib


async def first_of(*events: asyncio.Event | asyncio.Task[None]) -> None:
    """Wait until the first of some events is set or tasks ends; cancels none of the given tasks.

    Raises:
        Exception: the task that ended has failed, with its failure.
    """
    waits = [one if isinstance(one, asyncio.Task) else asyncio.create_task(_happened(one)) for one in events]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            if wait not in events:
                wait.cancel()
    for one in done:
        one.result()


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


async def _happened(event: asyncio.Event) -> None:
    await event.wait()
