"""Something that happens now and then wakes those who wait, and nobody else."""

from __future__ import annotations

import asyncio

from metering.pulse import Pulse
from tests import fakes
from tests.patience import PATIENCE_S


async def test_a_pulse_wakes_everybody_who_waits_and_nobody_who_comes_later() -> None:
    pulse = Pulse()
    waiting = [asyncio.create_task(pulse.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    pulse.fire()
    await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
    late = asyncio.create_task(pulse.wait())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not late.done()
    pulse.fire()
    await asyncio.wait_for(late, PATIENCE_S)


async def test_a_pulse_that_nobody_waits_for_is_gone() -> None:
    pulse = Pulse()
    pulse.fire()
    clock = fakes.clock()
    waiting = asyncio.create_task(pulse.wait_at_most(clock, 10.0))
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is False


async def test_it_says_whether_the_pulse_came_before_the_time_was_up() -> None:
    pulse, clock = Pulse(), fakes.clock()
    waiting = asyncio.create_task(pulse.wait_at_most(clock, 10.0))
    await clock.advance(5.0)
    pulse.fire()
    await clock.settle()
    assert waiting.done()
    assert await waiting is True


async def test_one_who_stopped_waiting_disturbs_nobody() -> None:
    pulse = Pulse()
    gone, there = asyncio.create_task(pulse.wait()), asyncio.create_task(pulse.wait())
    await asyncio.sleep(0)
    gone.cancel()
    pulse.fire()
    await asyncio.wait_for(there, PATIENCE_S)
    await asyncio.wait({gone}, timeout=PATIENCE_S)
    assert gone.cancelled()


async def test_a_pulse_and_the_end_of_the_time_at_once_are_one_answer() -> None:
    pulse, clock = Pulse(), fakes.clock()
    clock.call_later(10.0, pulse.fire)
    waiting = asyncio.create_task(pulse.wait_at_most(clock, 10.0))
    await clock.advance(10.0)
    assert await waiting is True
