"""The ids of the rows of a queue on disk that wait, in order; the number of waiting rows is that of their ids."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Final

from foundation.events import Event

_COMPACT_AFTER: Final = 1024
"""ids that have left at the front, after which the room that they take is given back"""


class WaitingRows:
    """The row ids of a queue, eight bytes each; rows mostly join at its end and leave at its front."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._first = 0
        """place of the first id that waits; those before have left"""
        self.changed: Event[None] = Event()
        """published after each change"""

    def __len__(self) -> int:
        return len(self._ids) - self._first

    def __contains__(self, row_id: int) -> bool:
        return self._index(row_id) is not None

    def set(self, ids: Iterable[int]) -> None:
        """Replace all ids, which are given in order."""
        self._ids, self._first = array("q", ids), 0
        self.changed.publish(None)

    def add(self, ids: Collection[int]) -> None:
        """Add rows that have joined the queue, in any order."""
        for row_id in ids:
            if self._index(row_id) is None:
                self._ids.insert(bisect_left(self._ids, row_id, self._first), row_id)
        self.changed.publish(None)

    def remove(self, ids: Collection[int]) -> None:
        """Remove rows that have left the queue; those that are not in it are ignored."""
        gaps: set[int] = set()
        for row_id in ids:
            index = self._index(row_id)
            if index == self._first:
                self._first += 1
            elif index is not None:
                gaps.add(index)
        if gaps:
            self._remove_places(gaps)
        if self._first >= _COMPACT_AFTER:
            self._ids, self._first = self._ids[self._first :], 0
        self.changed.publish(None)

    def _remove_places(self, places: set[int]) -> None:
        """Close the gaps at these places in one pass: there may be half a million."""
        kept = array("q")
        start = self._first
        for place in sorted(places):
            kept += self._ids[start:place]
            start = max(start, place + 1)
        self._ids, self._first = kept + self._ids[start:], 0

    def _index(self, row_id: int) -> int | None:
        """The place of an id that waits; None: it does not."""
        index = bisect_left(self._ids, row_id, self._first)
        return index if index < len(self._ids) and self._ids[index] == row_id else None
