"""A virtual clock that runs at a set rate or is advanced at once, with all timers in their order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import math
from collections.abc import Callable, Generator
from datetime import datetime, timedelta

from foundation.clock import Clock, machine_time
from foundation.event_loop import StationLoop
from foundation.frozen import Frozen
from foundation.waiting import Flag

_LOOP_TURNS = 100
"""turns that are enough for another class of event loop to become idle"""
_RATES_OF_REAL_TIME = (0.0, 1.0)
"""rates at which the clock stays synchronizable: one that stood still can be corrected when it runs again"""


class _Deadline:
    """A callback that is due at a virtual time."""

    __slots__ = ("_timer", "_with_timer", "callback", "context", "due_s")

    def __init__(self, due_s: float, callback: Callable[[], object], with_timer: set[_Deadline]) -> None:
        """`with_timer`: the deadlines of the clock for which the event loop has a timer."""
        self.due_s = due_s
        self.callback: Callable[[], object] | None = callback
        self.context = contextvars.copy_context()
        self._with_timer = with_timer
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        self.callback = None
        self.stop_timer()

    def start_timer(self, wait_s: float) -> None:
        """Call back by a timer of the event loop, after so many real seconds."""
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.fire, context=self.context)
        self._with_timer.add(self)

    def stop_timer(self) -> None:
        """Cancel the timer of the event loop, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._with_timer.discard(self)

    def fire(self) -> None:
        """Call back, unless cancelled."""
        self._timer = None
        self._with_timer.discard(self)
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class _Flow(Frozen):
    """The run of time from a moment on, at a constant rate."""

    elapsed_s: float
    """virtual time at that moment"""
    real_s: Callable[[], float]
    since_s: float
    """real time at that moment"""
    rate: float


class VirtualClock(Clock):
    """A clock of virtual time. At `rate` 1 it runs like real time, at 0 it stands still until `advance` is called.

    In real time each deadline has a timer of the event loop, which costs least. At another rate they are in a queue,
    and one timer wakes the clock for the next of them.

    `start`: its wall time at the beginning; None: that of the machine. `rate`: virtual seconds per real second.
    `synchronized`: a CSMS may set the clock at any rate, also after it was advanced.
    """

    def __init__(self, *, start: datetime | None = None, rate: float = 0.0, synchronized: bool = False) -> None:
        super().__init__()
        self._epoch = start if start is not None else machine_time()
        self._elapsed_s = 0.0
        self._present_flow: _Flow | None = None
        self._requested_rate = rate
        self._synchronized = synchronized
        self._left_real_time = rate not in _RATES_OF_REAL_TIME
        self._hold_count = 0
        self._released = Flag()
        self._deadlines: list[tuple[float, int, _Deadline]] = []
        self._with_timer: set[_Deadline] = set()
        self._sequence_numbers = itertools.count()
        self._wake_timer: asyncio.TimerHandle | None = None
        self._wake_s = math.inf
        """virtual time of `_wake_timer`; infinite without one"""
        self._advance_lock = asyncio.Lock()

    @property
    def rate(self) -> float:
        """Virtual seconds per real second, as last set; a present `outside_wait` does not change it."""
        return self._requested_rate

    @property
    def outruns_real_time(self) -> bool:
        """Whether virtual time passes faster than real time now: while it is advanced, and at a rate above 1."""
        return self._advance_lock.locked() or self._requested_rate > 1.0

    @property
    def synchronizable(self) -> bool:
        """Whether a CSMS may set this clock: if `synchronized`, or if it has always run in real time.

        A clock that has left real time would be set back by every correction.
        """
        return self._synchronized or (self._requested_rate == 1.0 and not self._left_real_time)

    def now(self) -> datetime:
        """The virtual wall time, in UTC."""
        return self._epoch + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Virtual seconds since the clock was created; may be called from any thread."""
        flowing = self._present_flow  # read once: threads call this too, to check certificates and write logs
        if flowing is None:
            return self._elapsed_s
        return flowing.elapsed_s + (flowing.real_s() - flowing.since_s) * flowing.rate

    def _move_wall_time(self, correction: timedelta) -> None:
        self._epoch += correction

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> _Deadline:
        """Call `callback` once, `delay_s` virtual seconds from now; starts a clock with a rate that has not run yet."""
        if self._present_flow is None and self._requested_rate > 0.0 and self._is_free:
            self._start_flow()  # the first user of a running clock starts it: there was no event loop before
        wait_s = max(0.0, delay_s)
        deadline = _Deadline(self.monotonic() + wait_s, callback, self._with_timer)
        if self._present_flow is not None and self._present_flow.rate == 1.0:
            deadline.start_timer(wait_s)
            return deadline
        self._enqueue(deadline)
        if deadline.due_s < self._wake_s:
            self._schedule()
        return deadline

    def _enqueue(self, deadline: _Deadline) -> None:
        heapq.heappush(self._deadlines, (deadline.due_s, next(self._sequence_numbers), deadline))

    def set_rate(self, rate: float) -> None:
        """Set the rate, in virtual seconds per real second, from now on; returns at once. 0 stops the clock.

        Raises:
            ValueError: the rate is negative.
        """
        if rate < 0.0:
            raise ValueError("rate: must not be negative")
        self._stop_flow()
        self._requested_rate = rate
        self._left_real_time |= rate not in _RATES_OF_REAL_TIME
        self._start_flow()

    async def advance(self, seconds: float) -> None:
        """Advance time by `seconds` at once, calling each timer at its time; returns when their effects have settled.

        Afterwards the clock continues at its rate.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0.0:
            raise ValueError("advance_s: must not be negative")
        self._left_real_time |= seconds > 0.0
        async with self._advance_lock:
            self._stop_flow()
            target_s = self._elapsed_s + seconds
            await self.settle()
            while (due_s := self._next_due()) is not None and due_s <= target_s:
                self._elapsed_s = max(self._elapsed_s, due_s)
                self._fire_due()
                await self.settle()
            self._elapsed_s = target_s
        self._start_flow()

    @contextlib.contextmanager
    def outside_wait(self, patience_s: float = 5.0) -> Generator[None]:
        """Stop the clock, unless its rate is 1, while the `with` block waits for real hardware, a disk or a peer.

        After `patience_s` real seconds it runs again, even within the block.
        """
        self._hold()
        release = _CallOnce(self._release)
        timer = asyncio.get_running_loop().call_later(patience_s, release)
        try:
            yield
        finally:
            timer.cancel()
            release()

    @property
    def _is_free(self) -> bool:
        """Whether time may run: not while advancing or during an `outside_wait`, unless the rate is 1."""
        return not self._advance_lock.locked() and (not self._hold_count or self._requested_rate == 1.0)

    def _hold(self) -> None:
        self._hold_count += 1
        if not self._is_free:
            self._stop_flow()
        self._released.clear()

    def _release(self) -> None:
        self._hold_count -= 1
        if self._hold_count == 0:
            self._released.set()
            self._start_flow()

    def _stop_flow(self) -> None:
        self._elapsed_s = self.monotonic()
        self._present_flow = None
        self._cancel_wake()
        for deadline in sorted(self._with_timer, key=lambda entry: entry.due_s):
            deadline.stop_timer()
            self._enqueue(deadline)

    def _cancel_wake(self) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._wake_timer, self._wake_s = None, math.inf

    def _start_flow(self) -> None:
        if self._requested_rate > 0.0 and self._is_free and self._present_flow is None:
            real_s = asyncio.get_running_loop().time
            self._present_flow = _Flow(self._elapsed_s, real_s, real_s(), self._requested_rate)
            if self._requested_rate == 1.0:
                self._start_timers()
            else:
                self._schedule()

    def _start_timers(self) -> None:
        """Take all deadlines out of the queue, each with a timer of the event loop."""
        queue, self._deadlines = sorted(self._deadlines, key=lambda entry: entry[:2]), []
        for due_s, _, deadline in queue:
            if deadline.callback is not None:
                deadline.start_timer(max(0.0, due_s - self._elapsed_s))

    def _schedule(self) -> None:
        self._cancel_wake()
        due_s = self._next_due()
        if self._present_flow is not None and due_s is not None:
            wait_s = max(0.0, (due_s - self.monotonic()) / self._present_flow.rate)
            self._wake_timer, self._wake_s = asyncio.get_running_loop().call_later(wait_s, self._tick), due_s

    def _tick(self) -> None:
        # Tasks that are woken here usually wait again at once: so the next timer is set after them, once.
        self._wake_timer, self._wake_s = None, -math.inf
        try:
            self._fire_due()
        finally:
            asyncio.get_running_loop().call_soon(self._schedule)

    def _next_due(self) -> float | None:
        """The time of the next timer that is not cancelled."""
        while self._deadlines and self._deadlines[0][2].callback is None:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _fire_due(self) -> None:
        now_s = self.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, _, deadline = heapq.heappop(self._deadlines)
            deadline.context.run(deadline.fire)  # as an event loop does: the caller may have another context

    async def settle(self) -> None:
        """Wait until no task can continue without time passing, and no `outside_wait` is under way."""
        loop = asyncio.get_running_loop()
        while True:
            await (loop.wait_until_idle() if isinstance(loop, StationLoop) else _take_turns())
            if not self._hold_count:
                return
            await self._released.wait()


async def _take_turns() -> None:
    """Yield to a loop without `idle` often enough for all ready tasks to run."""
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)


class _CallOnce:
    """A callback that runs at the first call only."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
