"""Clocks. The only module that may read the operating system's time: everything else receives a `Clock`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from foundation.bounds import DURATION_S
from foundation.events import Event

_SETTLING_TURNS: Final = 40
"""turns of the event loop, enough for a chain of tasks that wake each other to finish"""


class TimerHandle(Protocol):
    """A callback scheduled with `Clock.call_later`, with which it can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call; does nothing if it has already run."""
        ...


class Clock(ABC):
    """Source of wall time, elapsed time and timers: real (`SystemClock`), or virtual in the simulator.

    Everything that waits in this project waits on one of these, so that virtual time can run at another rate.
    """

    def __init__(self) -> None:
        self.adjusted: Event[timedelta] = Event()
        """published after `adjust` has moved the wall time; carries the correction"""

    @abstractmethod
    def now(self) -> datetime:
        """The wall time, aware, in UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back, whatever happens to the wall time."""

    @abstractmethod
    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """Call back once `delay_s` seconds from now (at once when negative)."""

    def adjust(self, correction: timedelta) -> None:
        """Move the wall time by `correction`; elapsed time and pending timers do not move."""
        self._move_wall_time(correction)
        self.adjusted.publish(correction)

    @abstractmethod
    def _move_wall_time(self, correction: timedelta) -> None: ...

    def behind_machine(self) -> timedelta:
        """The machine's own time less that of this clock; zero for a virtual clock, unrelated to the machine's."""
        return timedelta(0)

    @property
    def synchronizable(self) -> bool:
        """Whether a CSMS or a time service may set this clock; a virtual one out of real time may exclude it."""
        return True

    @property
    def runs_without_power(self) -> bool:
        """Whether this clock keeps running while the power is off; True unless a subclass depends on the machine's."""
        return True

    @property
    def outruns_real_time(self) -> bool:
        """Whether time passes faster than real time now, so that a real line could not follow; False in real time."""
        return False

    @contextlib.contextmanager
    def outside_wait(self, patience_s: float = 5.0) -> Generator[None]:  # noqa: ARG002 - a virtual clock uses it
        """Mark a wait for the outside world (a disk, a bus, a peer).

        No effect in real time. A virtual clock stands still meanwhile, for at most `patience_s` real seconds,
        so that simulated time does not run away from real devices.
        """
        yield

    @property
    def rate(self) -> float:
        """Seconds of this clock per real second: 1 in real time; 0 if a virtual clock stands still."""
        return 1.0

    async def settle(self) -> None:
        """Let the tasks that are ready now run to their next wait for time or for the outside world."""
        for _ in range(_SETTLING_TURNS):
            await asyncio.sleep(0)

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds of this clock."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        handle = self.call_later(delay_s, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            handle.cancel()

    @contextlib.asynccontextmanager
    async def timeout(self, delay_s: float) -> AsyncGenerator[None]:
        """Context that raises TimeoutError out of its block when that takes longer than `delay_s` seconds."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            handle = self.call_later(delay_s, lambda: limit.reschedule(loop.time()))
            try:
                yield
            finally:
                handle.cancel()


def machine_time() -> datetime:
    """The current time of the machine's own clock, which the operating system may set at any time."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that asks the machine


def has_real_time_clock(devices: Path = Path("/sys/class/rtc")) -> bool:
    """Return whether the machine has a real-time clock that keeps running without power."""
    return any(devices.glob("rtc*"))


class SystemClock(Clock):
    """A clock read from the machine once, at start, and advanced by elapsed time: only `adjust` changes it.

    It does not follow when the machine's clock is set: a correction that the CSMS has made would be made twice. It
    never sets the machine's clock.
    """

    def __init__(
        self,
        machine: Callable[[], datetime] = machine_time,
        runs_without_power: Callable[[], bool] = has_real_time_clock,
    ) -> None:
        super().__init__()
        self._machine = machine
        self._runs_without_power = runs_without_power
        self._machine_time_at_zero = machine() - timedelta(seconds=self.monotonic())

    def now(self) -> datetime:
        """The machine's time at start plus elapsed time and all corrections by `adjust`, in UTC."""
        return self._machine_time_at_zero + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """Call back once `delay_s` seconds from now, by a timer of the running event loop."""
        return asyncio.get_running_loop().call_later(DURATION_S.clip(delay_s), callback)  # no loop waits for 1e308 s

    def _move_wall_time(self, correction: timedelta) -> None:
        self._machine_time_at_zero += correction  # the machine's clock is not set

    def behind_machine(self) -> timedelta:
        """The machine's present time less that of this clock: what has been set on either of them since the start."""
        return self._machine() - self.now()

    @property
    def runs_without_power(self) -> bool:
        """Whether the machine has a real-time clock that keeps running while the power is off."""
        return self._runs_without_power()
