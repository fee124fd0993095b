"""Deadlines for repeated work, so that the watchdog notices an essential task that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class MonitoredTask:
    """The time limit of one step of an essential task: the service watchdog asks whether a run of it is overdue.

    A run lasts from the start of a `with` block to its end; one run at a time. Between runs nothing is overdue: that
    the next run never begins is not noticed. It starts no asyncio task, and neither cancels nor interrupts a run.
    """

    def __init__(self, name: str, clock: Clock, timeout_s: float) -> None:
        self.name = name
        """for the log"""
        self._clock = clock
        self._timeout_s = timeout_s
        self._started_s: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether a run has begun, has not ended, and has taken longer than `timeout_s`; False between runs."""
        return self._started_s is not None and self._clock.monotonic() - self._started_s > self._timeout_s

    def start(self) -> None:
        """Mark the begin of a run, as entering the `with` block does: the deadline counts from now on."""
        self._started_s = self._clock.monotonic()

    def finish(self) -> None:
        """Mark the end of the run, as leaving the `with` block does: nothing is overdue until the next one."""
        self._started_s = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.finish()
