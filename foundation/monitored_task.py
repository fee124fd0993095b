"""Deadlines for repeated work, so that the watchdog notices an essential task that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class MonitoredTask:
    """A task with a deadline: runs from the start of a `with` block to its end; one run at a time."""

    def __init__(self, name: str, clock: Clock, timeout_s: float) -> None:
        self.name = name
        """for the log"""
        self._clock = clock
        self._timeout_s = timeout_s
        self._since_s: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether the current run has taken longer than `timeout_s`."""
        return self._since_s is not None and self._clock.monotonic() - self._since_s > self._timeout_s

    def start(self) -> None:
        """Start a run without a `with` block."""
        self._since_s = self._clock.monotonic()

    def finish(self) -> None:
        """Finish the run."""
        self._since_s = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.finish()
