"""Auxiliary tasks may fail all day: they start again, later each time, and hurt nobody."""

from __future__ import annotations

import asyncio
import logging

import pytest

from foundation.events import Event
from foundation.supervision import (
    AuxiliaryCalls,
    AuxiliaryTask,
    FollowUpTasks,
    keep_all_running,
    keep_running,
    keep_running_until,
    result_or_exception,
    run_to_end,
    run_together,
)
from metering.meter import MeterError
from tests import fakes
from tests.patience import until


class Failing:
    """Work that fails at once, or ends, or runs for a while first."""

    def __init__(self, error: Exception | None = None, *, runs_s: float = 0.0) -> None:
        self.clock = fakes.clock()
        self.error = error
        self.runs_s = runs_s
        self.started_at: list[float] = []

    async def work(self) -> None:
        """Do it."""
        self.started_at.append(self.clock.monotonic())
        if self.runs_s:
            await self.clock.sleep(self.runs_s)
        if self.error is not None:
            raise self.error

    async def watch(self, seconds: float) -> None:
        """Supervise it for so many seconds."""
        running = asyncio.create_task(keep_running("it", self.work, self.clock))
        await self.clock.advance(seconds)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


@pytest.mark.parametrize("error", [None, ValueError("unforeseen"), OSError("the wire"), MeterError("silent")])
async def test_what_fails_or_ends_is_started_again_after_growing_delays(error: Exception | None) -> None:
    failing = Failing(error)
    await failing.watch(229)
    assert failing.started_at == [0.0, 1.0, 3.0, 8.0, 18.0, 48.0, 108.0, 168.0, 228.0]


async def test_a_task_that_is_kept_until_an_error_ends_with_that_error_only() -> None:
    failing = Failing(OSError("the wire"))
    running = asyncio.create_task(keep_running_until(MeterError, "it", failing.work, failing.clock))
    await failing.clock.advance(4.0)
    assert failing.started_at == [0.0, 1.0, 3.0]
    failing.error = MeterError("silent")
    await failing.clock.advance(5.0)
    assert running.done()
    assert isinstance(running.exception(), MeterError)


async def test_what_ran_well_for_a_while_starts_again_at_once() -> None:
    failing = Failing(ValueError("unforeseen"), runs_s=300.0)
    await failing.watch(1000)
    assert failing.started_at == [0.0, 301.0, 602.0, 903.0]


async def test_the_first_failure_is_said_aloud_and_the_next_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await Failing(OSError("the wire")).watch(60)
    levels = [record.levelno for record in caplog.records if "the wire" in record.getMessage()]
    assert levels == [logging.WARNING] + [logging.DEBUG] * (len(levels) - 1)
    assert len(levels) > 3


@pytest.mark.parametrize(
    ("error", "traced"), [(ValueError("unforeseen"), True), (OSError("the wire"), False), (MeterError("silent"), False)]
)
async def test_only_what_nobody_foresaw_leaves_a_trace(
    error: Exception, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await Failing(error).watch(0.5)
    (record,) = caplog.records
    assert bool(record.exc_info) is traced


async def test_a_failure_takes_the_place_of_the_result() -> None:
    async def seven() -> int:
        return 7

    async def fail() -> int:
        raise ValueError("no")

    assert await result_or_exception(seven()) == 7
    assert isinstance(await result_or_exception(fail()), ValueError)


async def test_a_cancellation_is_not_contained() -> None:
    running = asyncio.create_task(result_or_exception(asyncio.Event().wait()))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_follow_ups_are_done_side_by_side_and_a_failing_one_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    follow_ups, completed, never = FollowUpTasks(), list[str](), asyncio.Event()

    async def wait() -> None:
        await never.wait()

    async def fail() -> None:
        raise ValueError("unforeseen")

    async def work() -> None:
        completed.append("worked")

    for name, follow_up in (("waits", wait), ("fails", fail), ("works", work)):
        follow_ups.submit(name, follow_up)
    running = asyncio.create_task(follow_ups.run())
    await fakes.clock().settle()
    assert completed == ["worked"]
    assert [record.getMessage() for record in caplog.records] == ["fails failed: unforeseen"]
    assert not running.done()
    running.cancel()
    await asyncio.wait({running})


async def test_more_follow_ups_than_can_be_remembered_are_refused_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    follow_ups, completed = FollowUpTasks(), list[int]()

    async def work() -> None:
        completed.append(1)

    for _ in range(250):
        follow_ups.submit("flood", work)
    assert len(caplog.records) == 50
    running = asyncio.create_task(follow_ups.run())
    await fakes.clock().settle()
    assert len(completed) == 200
    running.cancel()
    await asyncio.wait({running})


async def test_one_that_fails_is_started_again_beside_the_others() -> None:
    clock = fakes.clock()
    failing, steady = Failing(ValueError("unforeseen")), Failing(runs_s=10_000.0)
    failing.clock = steady.clock = clock
    tasks = [AuxiliaryTask("failing", failing.work), AuxiliaryTask("steady", steady.work)]
    running = asyncio.create_task(keep_all_running(tasks, clock))
    await clock.advance(9)
    assert (failing.started_at, steady.started_at) == ([0.0, 1.0, 3.0, 8.0], [0.0])
    running.cancel()
    await asyncio.wait({running})
    await clock.advance(1_000)
    assert running.cancelled()
    assert len(failing.started_at) == 4


async def test_one_that_cancels_itself_is_started_again() -> None:
    clock, starts = fakes.clock(), list[float]()

    async def give_up() -> None:
        starts.append(clock.monotonic())
        raise asyncio.CancelledError

    running = asyncio.create_task(keep_all_running([AuxiliaryTask("it", give_up)], clock))
    await clock.advance(4)
    assert starts == [0.0, 1.0, 3.0]
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("failing", ["first", "last"])
async def test_the_failure_of_one_of_several_ends_the_others(failing: str) -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(0)
            if name == failing:
                raise MeterError("silent")
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(ExceptionGroup) as failed:
        await run_together({name: work(name) for name in ("first", "middle", "last")})
    assert [type(error) for error in failed.value.exceptions] == [MeterError]
    assert sorted(ended) == ["first", "last", "middle"]


async def test_a_single_one_runs_in_the_task_of_its_caller() -> None:
    tasks: list[object] = []

    async def work() -> None:
        tasks.append(asyncio.current_task())
        raise MeterError("silent")

    with pytest.raises(MeterError):
        await run_together({"it": work()})
    assert tasks == [asyncio.current_task()]


async def test_whoever_is_cancelled_cancels_all_of_them() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    running = asyncio.create_task(run_together({str(number): work(number) for number in range(3)}))
    await until(lambda: len(begun) == 3)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert sorted(ended) == [0, 1, 2]


def fail(value: int) -> None:
    """A listener that fails with even values, each time at the same place."""
    if value % 2 == 0:
        raise LookupError(f"{value} of 7")


def test_an_error_of_an_auxiliary_listener_reaches_neither_the_publisher_nor_another_listener() -> None:
    event, auxiliary, received = Event[int](), AuxiliaryCalls(), list[int]()
    auxiliary.subscribe(event, fail)
    event.subscribe(received.append)
    auxiliary.subscribe(event, fail)
    for value in range(4):
        event.publish(value)
    assert received == [0, 1, 2, 3]
    assert auxiliary.error_count == 4, "two listeners, two values"


def test_an_auxiliary_listener_that_has_failed_gets_the_next_value_until_it_unsubscribes() -> None:
    event, auxiliary, received = Event[int](), AuxiliaryCalls(), list[int]()

    def listener(value: int) -> None:
        received.append(value)
        fail(value)

    unsubscribe = auxiliary.subscribe(event, listener)
    for value in (2, 3):
        event.publish(value)
    unsubscribe()
    event.publish(4)
    assert received == [2, 3]


def test_an_error_of_an_auxiliary_listener_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    event, auxiliary = Event[int](), AuxiliaryCalls()
    auxiliary.subscribe(event, fail)
    for _ in range(3):
        event.publish(2)
    event.publish(4)
    (first,) = (record for record in caplog.records if record.levelno >= logging.INFO)
    assert first.levelno == logging.ERROR
    assert "tests.foundation.test_supervision.fail: LookupError('2 of 7')" in first.getMessage()
    assert first.exc_info is not None
    assert auxiliary.error_count == 4


def test_each_place_of_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    event, auxiliary = Event[str](), AuxiliaryCalls()
    reads = {"left": lambda: 1 // 0, "right": lambda: [0][1]}

    def read(name: str) -> None:
        reads[name]()

    auxiliary.subscribe(event, read)
    for name in ("left", "right", "left", "middle"):
        event.publish(name)
    errors = [type(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert errors == [ZeroDivisionError, IndexError, KeyError]


def test_an_error_that_cannot_be_logged_is_contained_too() -> None:
    event, auxiliary = Event[None](), AuxiliaryCalls()

    class UnprintableError(Exception):
        def __repr__(self) -> str:
            raise ValueError("half a surrogate pair")

    def listener(_: None) -> None:
        raise UnprintableError

    auxiliary.subscribe(event, listener)
    event.publish(None)
    assert auxiliary.error_count == 1


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_ends_a_task_or_the_program_is_no_error_and_passes_through(end: type[BaseException]) -> None:
    event, auxiliary = Event[None](), AuxiliaryCalls()

    def leave(_: None) -> None:
        raise end

    auxiliary.subscribe(event, leave)
    with pytest.raises(end):
        event.publish(None)
    assert auxiliary.error_count == 0


def test_a_question_to_an_auxiliary_part_that_fails_has_the_other_answer() -> None:
    auxiliary = AuxiliaryCalls()
    assert auxiliary.ask(lambda: 7 // 2, default=0) == 3
    assert auxiliary.ask(lambda: 7 // 0, default=0) == 0
    assert auxiliary.error_count == 1


async def test_a_cleanup_runs_to_its_end_although_its_caller_is_cancelled_twice() -> None:
    began, may_end, steps = asyncio.Event(), asyncio.Event(), list[str]()

    async def clean_up() -> None:
        began.set()
        await may_end.wait()
        steps.append("cleaned up")

    async def call() -> None:
        await run_to_end(clean_up())
        steps.append("not reached")

    calling = asyncio.create_task(call())
    await began.wait()
    for _ in range(2):
        calling.cancel()
        await asyncio.sleep(0)
        assert not calling.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert steps == ["cleaned up"]


async def test_the_failure_of_a_cleanup_comes_before_the_cancellation_of_its_caller() -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def fail() -> int:
        began.set()
        await may_end.wait()
        raise ValueError("not clean")

    calling = asyncio.create_task(run_to_end(fail()))
    await began.wait()
    calling.cancel()
    may_end.set()
    with pytest.raises(ValueError, match="not clean"):
        await calling


async def test_work_that_nobody_cancels_returns_its_result() -> None:
    async def work() -> int:
        return 7

    assert await run_to_end(work()) == 7
