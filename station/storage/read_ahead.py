"""The oldest rows of the queue in memory, so that sending an event does not read the disk first."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from station.storage.sql import Row

MAX_ROWS: Final = 64
MAX_CHARS: Final = 256 * 1024
"""of the texts of all rows, except that of the last one read from disk, which may be long; reached by a few events with
long signed meter values"""


class ReadAhead:
    """Copies of the oldest unsettled rows of the queue, in order and without a gap; row id first, payload last.

    Whoever changes or deletes rows that are not settled must `clear` it first, and let nobody fill it until the change
    is on disk.
    """

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._chars = 0
        self._complete = False
        """no unsettled row is newer than those held here"""

    @property
    def must_read(self) -> bool:
        """True if no row is held although the queue on disk may contain some."""
        return not self._rows and not self._complete

    def oldest(self) -> Row | None:
        """Return the oldest row; None if none is held."""
        return self._rows[0] if self._rows else None

    def fill(self, rows: Iterable[Row], *, complete: bool) -> None:
        """Replace what is held by the oldest rows of the queue; `complete`: it has no others."""
        self.clear()
        self._rows.extend(rows)
        self._chars = sum(map(_chars, self._rows))
        self._complete = complete

    def add(self, row: Row) -> None:
        """Hold a row that was just stored, if it follows those held here and there is room for it."""
        if self._complete and len(self._rows) < MAX_ROWS and self._chars + _chars(row) <= MAX_CHARS:
            self._rows.append(row)
            self._chars += _chars(row)
        else:
            self._complete = False

    def drop_oldest(self, number: int) -> None:
        """Drop the row with this id, which has left the queue, if it is held; it is the oldest."""
        if self._rows and self._rows[0][0] == number:
            self._chars -= _chars(self._rows.popleft())

    def clear(self) -> None:
        """Drop all rows; they are read again."""
        self._rows.clear()
        self._chars = 0
        self._complete = False


def _chars(row: Row) -> int:
    """The length of the payload of a row."""
    return len(str(row[-1]))
