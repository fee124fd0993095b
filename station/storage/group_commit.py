"""Group commit: what several tasks store at the same time shares one write to disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from foundation.supervision import result_or_exception

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_MAX_GROUP: Final = 64
"""maximum number of items of one write"""

StoreGroup = Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT | Exception]]]
"""stores items in their order with one commit; returns the result, or the error, of each of them"""


class _WaitingItem(Generic[ItemT, ResultT]):
    """An item that is not stored yet, and the future for which its caller waits."""

    def __init__(self, item: ItemT, stored: asyncio.Future[ResultT]) -> None:
        self.item = item
        self.stored = stored


class GroupCommit(Generic[ItemT, ResultT]):
    """Passes items to `store_group` in groups, in the order of the calls of `add`.

    A group consists of the items that were added in one turn of the event loop or while the group before was stored. So
    the more tasks wait for the disk, the fewer commits each of them costs; a task that is alone waits for no other.
    """

    def __init__(self, store_group: StoreGroup[ItemT, ResultT]) -> None:
        self._store_group = store_group
        self._waiting: deque[_WaitingItem[ItemT, ResultT]] = deque()
        self._group: list[_WaitingItem[ItemT, ResultT]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def storing(self) -> bool:
        """True while a group is being written, or an item waits for the next group."""
        return bool(self._group or self._waiting)

    async def add(self, item: ItemT) -> ResultT:
        """Store an item together with those that other tasks add at the same time; returns its own result.

        An item whose caller is cancelled is not stored if its group has not begun, and is stored to the end otherwise.

        Raises:
            Exception: the error that `store_group` raised or returned for this item.
        """
        waiting: _WaitingItem[ItemT, ResultT] = _WaitingItem(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._task is None or self._task.done():
            # A task of its own, since no caller may cancel what it stores for others; each of them waits for its part.
            self._task = asyncio.create_task(self._store_groups(), name="group commit")  # noqa: TID251 - see above
        return await waiting.stored

    async def _store_groups(self) -> None:
        try:
            while self._take_group():
                outcome = await result_or_exception(self._store_group([entry.item for entry in self._group]))
                results = [outcome] * len(self._group) if isinstance(outcome, Exception) else outcome
                for entry, result in zip(self._group, results, strict=True):
                    _complete(entry.stored, result)
                self._group.clear()
                await asyncio.sleep(0)  # callers with another item add it now, and share the next commit
        finally:
            for entry in (*self._group, *self._waiting):  # some are left only if the event loop ends
                entry.stored.cancel()

    def _take_group(self) -> bool:
        """Move the next items to the group, without those whose callers were cancelled; False if there are none."""
        while self._waiting and len(self._group) < _MAX_GROUP:
            entry = self._waiting.popleft()
            if not entry.stored.done():
                self._group.append(entry)
        return bool(self._group)


def _complete(stored: asyncio.Future[ResultT], result: ResultT | Exception) -> None:
    if stored.done():  # its caller was cancelled meanwhile
        return
    if isinstance(result, Exception):
        stored.set_exception(result)
    else:
        stored.set_result(result)
