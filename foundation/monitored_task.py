"""A stretch of work that has to come to an end: so that an essential task that hangs is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class MonitoredTask:
    """What a task does between `with` and the end of the block; one at a time."""

    def __init__(self, name: str, clock: Clock, timeout_s: float) -> None:
        self.name = name
        """what goes on, for the log"""
        self._clock = clock
        self._timeout_s = timeout_s
        self._since_s: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether it goes on for longer than it may."""
        return self._since_s is not None and self._clock.monotonic() - self._since_s > self._timeout_s

    def start(self) -> None:
        """It begins now; for what no block can hold."""
        self._since_s = self._clock.monotonic()

    def finish(self) -> None:
        """It has come to its end."""
        self._since_s = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.finish()
