"""The outermost tasks end completely."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from borne.tasks import end_task_once


async def test_a_task_comes_to_its_end_although_its_caller_is_cancelled_again_and_again() -> None:
    ended: list[str] = []
    go_on = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go_on.wait()
            ended.append("sockets closed")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    caller = asyncio.create_task(end_task_once(task))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == ["sockets closed"]
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_task_that_has_ended_is_ended_at_once() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end_task_once(task)
