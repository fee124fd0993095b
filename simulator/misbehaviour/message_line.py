"""The messages of one sender on their way: some come late, and one may wait for the next."""

from __future__ import annotations

from collections import deque
from typing import Final

_TOLERANCE_S: Final = 0.002
"""a timer of the event loop may fire a little early"""
_MAX_WAITING: Final = 200
"""messages that wait; see `is_full`"""


class MessageLine:
    """Messages that one side has sent and the other side does not have yet, by the station's clock."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, str]] = deque()
        self._held: tuple[float, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._late and self._held is None

    @property
    def is_full(self) -> bool:
        """Whether so many messages wait that no further one may be added."""
        return len(self._late) >= _MAX_WAITING

    @property
    def due_s(self) -> float | None:
        """When the next message that waits goes on; None: none waits."""
        dues = [self._late[0][0]] if self._late else []
        if self._held is not None:
            dues.append(self._held[0])
        return min(dues, default=None)

    def put(self, text: str, now_s: float, delay_s: float = 0.0) -> None:
        """Add a message; it goes on after those before it, and not before the delay is over."""
        before_s = self._late[-1][0] if self._late else now_s
        self._late.append((max(now_s + delay_s, before_s), text))

    def hold(self, text: str, until_s: float) -> list[str]:
        """Let a message wait for the next one; returns the one that has waited before it."""
        released = [] if self._held is None else [self._held[1]]
        self._held = (until_s, text)
        return released

    def take_due(self, now_s: float) -> list[str]:
        """Remove and return the messages that go on now."""
        due: list[str] = []
        while self._late and self._late[0][0] <= now_s + _TOLERANCE_S:
            due.append(self._late.popleft()[1])
            if self._held is not None:
                due.append(self._held[1])
                self._held = None
        if self._held is not None and self._held[0] <= now_s + _TOLERANCE_S:
            due.append(self._held[1])
            self._held = None
        return due
