"""Flags and queues that tasks wait for."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import pytest

from foundation.waiting import Flag, WaitingQueue


async def begun(*waits: asyncio.Task[Literal[True]] | asyncio.Task[int]) -> None:
    """Let tasks run until they wait."""
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)


async def test_a_flag_wakes_all_tasks_that_wait_and_lets_later_ones_pass() -> None:
    flag = Flag()
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(flag.wait()) for _ in range(3)]
        await begun(*waits)
        flag.set()
    assert flag.is_set()
    assert await flag.wait()


async def test_a_flag_that_is_cleared_before_the_tasks_run_has_woken_them() -> None:
    flag = Flag()
    async with asyncio.timeout(1.0), asyncio.TaskGroup() as group:
        await begun(group.create_task(flag.wait()))
        flag.set()
        flag.clear()
    assert not flag.is_set()


async def test_a_cleared_flag_is_waited_for() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    async with asyncio.TaskGroup() as group:
        await begun(group.create_task(flag.wait()))
        flag.set()


async def test_a_task_that_is_cancelled_while_it_waits_does_not_hinder_the_others() -> None:
    flag = Flag()
    async with asyncio.timeout(1.0), asyncio.TaskGroup() as group:
        cancelled, remaining = group.create_task(flag.wait()), group.create_task(flag.wait())
        await begun(cancelled, remaining)
        cancelled.cancel()
        flag.set()
        assert await remaining


async def test_a_queue_yields_its_items_in_order_and_waits_for_the_next() -> None:
    queue: WaitingQueue[int] = WaitingQueue()
    queue.put_nowait(1)
    queue.put_nowait(2)
    assert [await queue.get(), await queue.get()] == [1, 2]
    async with asyncio.TaskGroup() as group:
        next_item = group.create_task(queue.get())
        await begun(next_item)
        queue.put_nowait(3)
    assert next_item.result() == 3
    assert len(queue) == 0


async def test_each_item_goes_to_one_of_several_tasks() -> None:
    queue: WaitingQueue[int] = WaitingQueue()
    async with asyncio.timeout(1.0), asyncio.TaskGroup() as group:
        waits = [group.create_task(queue.get()) for _ in range(2)]
        await begun(*waits)
        queue.put_nowait(1)
        await asyncio.sleep(0)
        queue.put_nowait(2)
    assert sorted(wait.result() for wait in waits) == [1, 2]


async def test_a_task_that_is_cancelled_takes_no_item() -> None:
    queue: WaitingQueue[int] = WaitingQueue()
    async with asyncio.TaskGroup() as group:
        wait = group.create_task(queue.get())
        await begun(wait)
        wait.cancel()
        queue.put_nowait(1)
    assert await queue.get() == 1


@pytest.mark.parametrize("seed", range(20))
async def test_no_item_is_lost_or_left_while_a_task_waits_whoever_is_cancelled(seed: int) -> None:
    chance, queue, received = random.Random(seed), WaitingQueue[int](), list[int]()

    async def take() -> None:
        while True:
            received.append(await queue.get())
            if chance.random() < 0.5:
                await asyncio.sleep(0)

    consumers, given = [asyncio.create_task(take()) for _ in range(4)], 0
    for _ in range(300):
        match chance.randrange(4):
            case 0:
                await asyncio.sleep(0)
            case 1:
                chance.choice(consumers).cancel()
                consumers.append(asyncio.create_task(take()))
            case _:
                queue.put_nowait(given)
                given += 1
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(queue) == 0
    assert sorted(received) == list(range(given))
    for each in consumers:
        each.cancel()
    await asyncio.wait(consumers)


def test_a_full_queue_refuses_an_item_until_it_is_cleared() -> None:
    queue: WaitingQueue[int] = WaitingQueue(2)
    queue.put_nowait(1)
    queue.put_nowait(2)
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(3)
    assert len(queue) == 2
    queue.clear()
    queue.put_nowait(3)
    assert len(queue) == 1
