"""A counted signal wakes those who wait, and nobody misses one that was fired while they looked at something else."""

from __future__ import annotations

import asyncio

from foundation.change_signal import ChangeSignal
from tests import fakes
from tests.patience import PATIENCE_S


async def test_a_pulse_wakes_everybody_who_waits_and_nobody_who_has_seen_it() -> None:
    pulse = ChangeSignal()
    waiting = [asyncio.create_task(pulse.wait(pulse.count)) for _ in range(3)]
    await asyncio.sleep(0)
    pulse.notify()
    await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
    late_waiter = asyncio.create_task(pulse.wait(pulse.count))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not late_waiter.done()
    pulse.notify()
    await asyncio.wait_for(late_waiter, PATIENCE_S)


async def test_a_pulse_between_the_look_and_the_wait_is_not_lost() -> None:
    pulse, clock = ChangeSignal(), fakes.clock()
    count_before = pulse.count
    pulse.notify()
    await asyncio.wait_for(pulse.wait(count_before), PATIENCE_S)
    assert await asyncio.wait_for(pulse.wait_for(count_before, clock, 10.0), PATIENCE_S) is True


async def test_a_waiter_that_is_always_behind_leaves_the_others_their_turn() -> None:
    pulse = ChangeSignal()
    count_before = pulse.count
    pulse.notify()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(100):
        await pulse.wait(count_before)
    task.cancel()
    assert turns >= 99


async def test_a_pulse_that_was_seen_does_not_end_a_wait() -> None:
    pulse, clock = ChangeSignal(), fakes.clock()
    pulse.notify()
    waiting = asyncio.create_task(pulse.wait_for(pulse.count, clock, 10.0))
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is False


async def test_it_says_whether_the_pulse_came_before_the_time_was_up() -> None:
    pulse, clock = ChangeSignal(), fakes.clock()
    waiting = asyncio.create_task(pulse.wait_for(pulse.count, clock, 10.0))
    await clock.advance(5.0)
    pulse.notify()
    await clock.settle()
    assert waiting.done()
    assert await waiting is True


async def test_one_who_stopped_waiting_disturbs_nobody() -> None:
    pulse = ChangeSignal()
    cancelled, waiting = (asyncio.create_task(pulse.wait(pulse.count)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    pulse.notify()
    await asyncio.wait_for(waiting, PATIENCE_S)
    await asyncio.wait({cancelled}, timeout=PATIENCE_S)
    assert cancelled.cancelled()


async def test_a_pulse_and_the_end_of_the_time_at_once_are_one_answer() -> None:
    pulse, clock = ChangeSignal(), fakes.clock()
    clock.call_later(10.0, pulse.notify)
    waiting = asyncio.create_task(pulse.wait_for(pulse.count, clock, 10.0))
    await clock.advance(10.0)
    assert await waiting is True
