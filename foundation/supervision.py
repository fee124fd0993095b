"""Restarts auxiliary tasks that fail, and contains unexpected exceptions.

With the event loop the only module that catches every exception. Essential tasks do not run under it; where they call
auxiliary components, they do so through `AuxiliaryCalls`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from foundation.events import Subscription
from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from foundation.waiting import WaitingQueue

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.events import Event, Listener, Unsubscribe

T = TypeVar("T")
_log = logging.getLogger(__name__)

_RESTART_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_HEALTHY_AFTER_S = 300.0
"""a task that ran for at least this time restarts at the shortest delay"""
MAX_FOLLOW_UPS = 200
_MAX_CONCURRENT = 20

FollowUp = Callable[[], Awaitable[None]]


class AuxiliaryTask(Frozen):
    """A task that is restarted after a failure, without ending what runs beside it."""

    name: str
    """for the log"""
    run: Callable[[], Awaitable[None]]
    """the task; called again after a failure or its end"""


class _Restarts:
    """Restart delays of one task: they increase with each failure."""

    def __init__(self, task: AuxiliaryTask, clock: Clock, began_s: float | None = None) -> None:
        """`began_s`: when the task began (Clock.monotonic); None: now."""
        self.task = task
        self._clock = clock
        self._failures = 0
        self._began_s = clock.monotonic() if began_s is None else began_s

    def delay_after(self, error: Exception | None) -> float:
        """Log why the task has ended, and return the seconds after which to start it again."""
        if self._clock.monotonic() - self._began_s >= _HEALTHY_AFTER_S:
            self._failures = 0
        delay_s = _RESTART_DELAYS_S[min(self._failures, len(_RESTART_DELAYS_S) - 1)]
        self._failures += 1
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        known = error is None or isinstance(error, OSError | ExpectedError)
        trace = None if known else error
        _log.log(level, "%s: %s; restart in %g s", self.task.name, error or "ended", delay_s, exc_info=trace)
        return delay_s

    async def run_again(self, delay_s: float) -> Exception | None:
        """Wait, then run the task once more; returns its failure."""
        await self._clock.sleep(delay_s)
        self._began_s = self._clock.monotonic()
        return await _failure_of(self.task.run)


async def keep_all_running(tasks: Iterable[AuxiliaryTask], clock: Clock) -> None:
    """Run auxiliary tasks until cancelled; restart each one that fails or ends, after increasing delays.

    One supervisor for all: a station has dozens of them, and each supervisor of its own would be a second task.
    """
    async with asyncio.TaskGroup() as group:
        running = {group.create_task(_failure_of(task.run), name=task.name): _Restarts(task, clock) for task in tasks}
        while running:
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            while ended:  # nothing of them may stay: their failures hold the objects of the tasks that have ended
                restarts, delay_s = _end_task(ended.pop(), running)
                running[group.create_task(restarts.run_again(delay_s), name=restarts.task.name)] = restarts


def _end_task(
    ended: asyncio.Task[Exception | None], running: dict[asyncio.Task[Exception | None], _Restarts]
) -> tuple[_Restarts, float]:
    """Remove an ended task from `running`, and log its failure; returns after how many seconds it starts again."""
    restarts = running.pop(ended)
    return restarts, restarts.delay_after(None if ended.cancelled() else ended.result())


async def keep_running(name: str, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run one auxiliary task until cancelled; restart it when it fails or ends, after increasing delays."""
    await keep_all_running([AuxiliaryTask(name, work)], clock)


async def keep_running_until(
    ending: type[Exception] | tuple[()], name: str, work: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """Run one auxiliary task in the calling task until it returns; restart it when it fails, as `keep_running` does.

    An `ending` exception is raised instead. `()`: there is none.
    """
    began_s = clock.monotonic()
    try:  # not by `_failure_of`: a second coroutine for each of these tasks, which each station has a dozen of
        await work()
    except ending:
        raise
    except Exception as error:
        failure: Exception | None = error
    else:
        return
    restarts = _Restarts(AuxiliaryTask(name, work), clock, began_s)
    while failure is not None and not isinstance(failure, ending):
        failure = await restarts.run_again(restarts.delay_after(failure))
    if failure is not None:
        raise failure


async def run_together(works: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run coroutines beside each other, as a `TaskGroup` does: the failure of one ends the others. Names are for logs.

    The last one runs in the calling task, the others each in a task of its own: where most stations have one EVSE, that
    halves the number of tasks. A single coroutine raises its failure itself, several raise an ExceptionGroup.
    """
    *others, (_, last) = works.items()
    if not others:
        await last
        return
    async with asyncio.TaskGroup() as group:
        while others:  # nothing of them may stay here: this lasts as long as they do
            name, work = others.pop(0)
            group.create_task(work, name=name)
        del works
        await last


def raise_lost_cancellation() -> None:
    """Raise a cancellation of the calling task that was lost; without it a loop would go on and never end.

    Two things of asyncio lose one: a TaskGroup before Python 3.13 when one of its tasks fails at the same moment, and
    wait_for() before Python 3.12 when what it waits for completes at the same moment. For loops that await either one,
    their own or that of a library.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def result_or_exception(awaitable: Awaitable[T]) -> T | Exception:
    """Await something; return its result or, instead of raising it, the exception (but no cancellation)."""
    try:
        return await awaitable
    except Exception as error:
        return error


async def run_to_end(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end, even if the calling task is cancelled meanwhile; that is raised afterwards.

    For a cleanup that must not be left half done: in a `TaskGroup`, a cancellation would reach it.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    result = task.result()
    if cancellation is not None:
        raise cancellation
    return result


def contained_call(call: Callable[[], T]) -> T | Exception:
    """Call a plain function; return its result or, instead of raising it, the exception."""
    try:
        return call()
    except Exception as error:
        return error


class AuxiliaryCalls:
    """Calls auxiliary components for other tasks, as listeners of events and for answers, and contains their errors.

    An error of such a component is not raised into the task that published or asked, which may be an essential one.
    It is counted, and logged with its traceback the first time that it occurs at its place in the code. Only an
    `Exception` is an error: a cancellation, and what ends the program, is raised. One object for each station.
    """

    def __init__(self) -> None:
        self.error_count = 0
        """number of contained errors since the start of the process"""
        self._logged_errors: set[tuple[str, str, str]] = set()
        """the errors that were logged: what was called, type of the error, place in the code"""

    def subscribe(self, event: Event[T], listener: Listener[T]) -> Unsubscribe:
        """Subscribe a listener of an auxiliary component, until the returned function is called.

        It stays subscribed after an error: what one value made fail may succeed with the next one.
        """
        return event.add_subscription(ContainedSubscription(listener, self))

    def contained(self, listener: Listener[T]) -> Listener[T]:
        """Return a listener that calls this one and contains its errors, for a caller that is not an `Event`."""
        return ContainedSubscription(listener, self).call

    def ask(self, question: Callable[[], T], *, default: T) -> T:
        """Return the answer of an auxiliary component, or `default` if it fails."""
        try:
            return question()
        except Exception as error:
            self.note(question, error)
            return default

    def note(self, called: Callable[..., object], error: Exception) -> None:
        """Count an error of an auxiliary component, and log it unless the same one was logged before."""
        self.error_count += 1
        contained_call(functools.partial(self._log, called, error))  # an error that cannot be formatted raises there

    def _log(self, called: Callable[..., object], error: Exception) -> None:
        name = _name_of(called)
        known = (name, type(error).__qualname__, place_of(error))
        if known in self._logged_errors:
            _log.debug("contained an error in %s again: %r", name, error)
        else:
            self._logged_errors.add(known)
            _log.error("contained an error in %s: %r", name, error, exc_info=error)


class ContainedSubscription(Subscription[T]):
    """A subscription of an auxiliary component, whose errors are contained (see `AuxiliaryCalls`)."""

    __slots__ = ("calls",)

    def __init__(self, listener: Listener[T], calls: AuxiliaryCalls) -> None:
        super().__init__(listener)
        self.calls = calls

    def call(self, value: T) -> None:
        """Call the listener with a value, unless the subscription has ended; raises nothing."""
        if (listener := self.listener) is None:
            return
        try:
            listener(value)
        except Exception as error:
            self.calls.note(listener, error)


def _name_of(called: Callable[..., object]) -> str:
    """The name of a function in the code, for the log."""
    function: object = called.func if isinstance(called, functools.partial) else called
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"


def place_of(error: BaseException) -> str:
    """Where an error was raised, such as `energy.controller._floor, line 120`; empty if it was not."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    frame = trace.tb_frame
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}, line {trace.tb_lineno}"


async def _failure_of(work: Callable[[], Awaitable[None]]) -> Exception | None:
    try:  # not by `result_or_exception`: a second coroutine for each auxiliary task
        await work()
    except Exception as error:
        return error
    return None


class FollowUpTasks:
    """A bounded queue of actions that run later, in the background: such as what follows a response to the CSMS.

    At most 20 run at a time. A failure is logged and affects no other action.
    """

    def __init__(self) -> None:
        self._waiting: WaitingQueue[tuple[str, FollowUp]] = WaitingQueue(MAX_FOLLOW_UPS)
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)

    def submit(self, name: str, follow_up: FollowUp) -> bool:
        """Queue an action for `run` and return at once; `name` is for the log.

        If the queue is full, the action is dropped with an error in the log. Returns whether it was queued.
        """
        try:
            self._waiting.put_nowait((name, follow_up))
        except asyncio.QueueFull:
            _log.error("%s is skipped: too many actions are queued", name)
            return False
        return True

    async def run(self) -> None:
        """Run the queued actions, each in a task of its own, until cancelled: the one task that serves the queue."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._slots.acquire()
                name, follow_up = await self._waiting.get()
                group.create_task(self._run_follow_up(name, follow_up), name=name)

    async def _run_follow_up(self, name: str, follow_up: FollowUp) -> None:
        try:
            error = await _failure_of(follow_up)
        finally:
            self._slots.release()
        if error is not None:
            known = isinstance(error, ExpectedError)
            _log.warning("%s failed: %s", name, error, exc_info=None if known else error)
