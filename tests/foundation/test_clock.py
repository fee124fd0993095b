"""Time: the machine's, and the virtual one that advances on request, with every deadline in its order."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.clock import Clock, SystemClock, has_real_time_clock
from simulator.clock import VirtualClock
from tests.patience import PATIENCE_S

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DAY_S = 86_400
SOME_SECONDS = st.floats(0, 40).map(lambda seconds: ("advance", seconds))
MOMENT = timedelta(seconds=5)


def clock_at_noon() -> VirtualClock:
    """A virtual clock at noon."""
    return VirtualClock(start=NOON)


@pytest.fixture(params=["system", "virtual"])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Every clock that there is, running."""
    return SystemClock() if request.param == "system" else VirtualClock(rate=1.0)


# What holds for every clock


async def test_the_wall_time_is_aware_and_in_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_correction_moves_the_wall_time_and_not_the_elapsed_time(clock: Clock) -> None:
    before, before_s = clock.now(), clock.monotonic()
    clock.adjust(timedelta(days=-400))
    clock.adjust(timedelta(days=1))
    assert clock.now() - before == pytest.approx(timedelta(days=-399), abs=timedelta(seconds=PATIENCE_S))
    assert 0.0 <= clock.monotonic() - before_s < PATIENCE_S


async def test_a_sleep_lasts_as_long_as_requested(clock: Clock) -> None:
    began_s = time.monotonic()
    await clock.sleep(0.05)
    assert 0.045 <= time.monotonic() - began_s < PATIENCE_S


async def test_a_call_that_is_cancelled_does_not_happen(clock: Clock) -> None:
    called: list[str] = []
    clock.call_later(0.001, lambda: called.append("cancelled")).cancel()
    clock.call_later(0.002, lambda: called.append("kept"))
    await clock.sleep(0.01)
    assert called == ["kept"]


async def test_a_delay_that_is_over_is_due_at_once(clock: Clock) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await clock.sleep(-3600)
        await clock.sleep(0)


async def test_what_takes_too_long_is_ended_and_what_does_not_is_not(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.01):
            await asyncio.Event().wait()
    async with clock.timeout(60):
        await asyncio.sleep(0)


# The machine's time


def test_a_clock_that_was_set_is_not_set_again_when_the_machines_clock_is() -> None:
    """The machine boots three days late, the CSMS tells the time, and then a time service tells it to the machine."""
    late = timedelta(days=-3)
    clock = SystemClock(lambda: datetime.now(UTC) + late)
    clock.adjust(timedelta(days=3))
    late = timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < MOMENT


def test_a_clock_knows_how_far_the_machines_own_has_left_it() -> None:
    ahead = timedelta(0)
    clock = SystemClock(lambda: datetime.now(UTC) + ahead)
    assert abs(clock.behind_machine()) < MOMENT
    ahead = timedelta(days=3)
    assert abs(clock.behind_machine() - ahead) < MOMENT
    clock.adjust(clock.behind_machine())
    assert abs(clock.behind_machine()) < MOMENT
    assert clock_at_noon().behind_machine() == timedelta(0)


# Virtual time


async def test_it_stands_still_until_it_is_advanced() -> None:
    clock = clock_at_noon()
    assert (clock.now(), clock.monotonic(), clock.rate) == (NOON, 0.0, 0.0)
    sleeping = asyncio.create_task(clock.sleep(1e-6))
    await clock.settle()
    assert not sleeping.done()
    await clock.advance(1e-6)
    assert sleeping.done()


async def test_it_advances_exactly_as_far_as_requested() -> None:
    clock = clock_at_noon()
    await clock.advance(1.5)
    await clock.advance(0.0)
    await clock.advance(DAY_S)
    assert clock.monotonic() == DAY_S + 1.5
    assert clock.now() == NOON + timedelta(days=1, seconds=1.5)
    with pytest.raises(ValueError, match="advance_s: must not be negative"):
        await clock.advance(-1.0)
    with pytest.raises(ValueError, match="negative"):
        clock.set_rate(-1.0)


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 40), max_size=5))
def test_deadlines_happen_in_their_order_each_at_its_moment_and_once(delays: list[float], steps: list[float]) -> None:
    async def run() -> None:
        clock = clock_at_noon()
        happened: list[tuple[float, int]] = []

        def note(index: int) -> None:
            happened.append((clock.monotonic(), index))

        for index, delay_s in enumerate(delays):
            clock.call_later(delay_s, lambda index=index: note(index))
        for step_s in [0.0, *steps]:
            await clock.advance(step_s)
        passed_s = clock.monotonic()
        assert happened == sorted((delay_s, index) for index, delay_s in enumerate(delays) if delay_s <= passed_s)
        await clock.advance(101)
        assert happened == sorted((delay_s, index) for index, delay_s in enumerate(delays))

    asyncio.run(run())


@given(
    st.lists(st.tuples(st.floats(1, 100), st.booleans()), max_size=20),
    st.lists(st.one_of(st.sampled_from([0.0, 1.0, 2.0]).map(lambda rate: ("rate", rate)), SOME_SECONDS), max_size=8),
)
def test_deadlines_keep_their_moments_through_changes_of_the_rate(
    deadlines: list[tuple[float, bool]], steps: list[tuple[str, float]]
) -> None:
    """In real time each has a timer of the event loop, otherwise they are in a queue; a cancelled one never happens."""

    async def run() -> None:
        clock = VirtualClock(start=NOON, rate=1.0)
        happened: list[tuple[float, int]] = []
        handles = [
            clock.call_later(delay_s, lambda index=index: happened.append((clock.monotonic(), index)))
            for index, (delay_s, _) in enumerate(deadlines)
        ]
        cancelled: set[int] = set()
        for number, (kind, value) in enumerate([*steps, ("advance", 101.0)]):
            if number == len(steps) // 2:
                cancelled = {index for index, (_, keep_timer) in enumerate(deadlines) if not keep_timer}
                cancelled -= {index for _, index in happened}
                for index in cancelled:
                    handles[index].cancel()
            if kind == "rate":
                clock.set_rate(value)
            else:
                await clock.advance(value)
        assert sorted(index for _, index in happened) == sorted(set(range(len(deadlines))) - cancelled)
        assert [moment for moment, _ in happened] == sorted(moment for moment, _ in happened)
        assert all(moment >= deadlines[index][0] for moment, index in happened)

    asyncio.run(run())


async def test_what_a_deadline_causes_happens_within_the_same_advance() -> None:
    clock = clock_at_noon()
    times: list[datetime] = []

    async def work() -> None:
        for _ in range(5):
            await clock.sleep(1.0)
            for _ in range(10):  # a few turns of the loop belong to the same moment
                await asyncio.sleep(0)
            times.append(clock.now())

    working = asyncio.create_task(work())
    await clock.advance(3.5)
    assert times == [NOON + timedelta(seconds=second) for second in (1, 2, 3)]
    await clock.advance(1.5)
    assert len(times) == 5
    await working


async def test_two_that_advance_at_once_take_turns() -> None:
    clock = clock_at_noon()
    await asyncio.gather(clock.advance(1.0), clock.advance(2.0), clock.advance(3.0))
    assert clock.monotonic() == 6.0


async def test_time_that_is_held_by_a_wire_waits_for_it() -> None:
    clock = clock_at_noon()
    requested, answered = asyncio.Event(), asyncio.Event()
    requested_at_s: list[float] = []

    async def send_request() -> None:
        await clock.sleep(1.0)
        with clock.outside_wait():
            requested.set()
            await answered.wait()
        requested_at_s.append(clock.monotonic())

    asking = asyncio.create_task(send_request())
    advancing = asyncio.create_task(clock.advance(10.0))
    await requested.wait()
    for _ in range(200):
        await asyncio.sleep(0)
    assert clock.monotonic() == 1.0
    assert not advancing.done()
    answered.set()
    await advancing
    await asking
    assert requested_at_s == [1.0]
    assert clock.monotonic() == 10.0


async def test_a_wire_that_never_answers_holds_time_for_its_patience_only() -> None:
    clock = clock_at_noon()

    async def send_request() -> None:
        with clock.outside_wait(patience_s=0.02):
            await asyncio.Event().wait()

    asking = asyncio.create_task(send_request())
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await clock.advance(10.0)
    assert clock.monotonic() == 10.0
    asking.cancel()


async def test_holds_inside_holds_end_with_the_last() -> None:
    clock = VirtualClock(start=NOON, rate=1000.0)
    await clock.sleep(0.0)
    with clock.outside_wait():
        with clock.outside_wait():
            pass
        held_s = clock.monotonic()
        for _ in range(20):
            await asyncio.sleep(0)
        assert clock.monotonic() == held_s
    await clock.sleep(1.0)
    assert clock.monotonic() >= held_s + 1.0


async def test_at_a_rate_it_runs_by_itself_that_much_faster() -> None:
    clock = VirtualClock(start=NOON, rate=0.0)
    clock.set_rate(3600.0)
    assert clock.rate == 3600.0
    began_s = time.monotonic()
    await clock.sleep(180.0)
    assert 0.04 <= time.monotonic() - began_s < PATIENCE_S
    clock.set_rate(0.0)
    stopped_s = clock.monotonic()
    for _ in range(50):
        await asyncio.sleep(0)
    assert clock.monotonic() == stopped_s >= 180.0


async def test_a_running_clock_gives_the_time_to_threads_too() -> None:
    """Certificates are checked in a thread, and log lines are stamped in any."""
    clock = VirtualClock(start=NOON, rate=1.0)
    await clock.sleep(0.0)
    before = clock.now()
    assert before <= await asyncio.to_thread(clock.now) <= clock.now()


async def test_an_advance_of_a_running_clock_adds_to_it() -> None:
    clock = VirtualClock(start=NOON, rate=1.0)
    sleeping = asyncio.create_task(clock.sleep(3600.0))
    await asyncio.sleep(0)
    await clock.advance(3600.0)
    assert sleeping.done()
    assert 3600.0 <= clock.monotonic() < 3600.0 + PATIENCE_S
    await clock.sleep(0.01)


async def test_a_day_of_deadlines_takes_a_few_seconds() -> None:
    """An advance must be cheap: this is one task that wakes every second of a day."""
    clock = clock_at_noon()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(1.0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    began_s = time.process_time()  # what other programs do meanwhile does not count
    await clock.advance(DAY_S)
    assert ticks == DAY_S
    assert time.process_time() - began_s < 30.0
    ticking.cancel()


def test_a_machine_keeps_the_time_without_power_when_it_has_a_clock_for_that(tmp_path: Path) -> None:
    assert not has_real_time_clock(tmp_path / "none")
    (tmp_path / "rtc0").mkdir()
    assert has_real_time_clock(tmp_path)
    assert VirtualClock().runs_without_power, "it has a time of its own"
    assert not SystemClock(runs_without_power=lambda: False).runs_without_power


async def test_a_simulated_clock_is_set_from_outside_only_while_it_keeps_the_pace_of_real_time() -> None:
    assert SystemClock().synchronizable
    clock = VirtualClock(rate=1.0)
    assert clock.synchronizable
    await clock.advance(0.0)
    assert clock.synchronizable, "nothing has passed"
    clock.set_rate(0.0)
    assert not clock.synchronizable
    clock.set_rate(1.0)
    assert clock.synchronizable, "it stood still, and goes on"
    await clock.advance(1.0)
    assert not clock.synchronizable


async def test_simulated_time_that_ran_at_another_rate_is_not_set_from_outside_again_unless_that_is_wanted() -> None:
    clock = VirtualClock(rate=60.0)
    clock.set_rate(1.0)
    assert not clock.synchronizable
    synchronized = VirtualClock(rate=60.0, synchronized=True)
    await synchronized.advance(5.0)
    assert synchronized.synchronizable
