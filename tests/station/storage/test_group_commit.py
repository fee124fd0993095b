"""Group commit: what tasks store at the same time is stored together, and each of them gets its own result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from station.storage.group_commit import GroupCommit
from tests.patience import PATIENCE_S


class Disk:
    """A disk that stores groups of numbers, each when the test allows it; negative numbers are refused."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        """the groups whose write has begun"""
        self.broken: Exception | None = None
        """the error of every write"""
        self._writes: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def store(self, items: Sequence[int]) -> list[int | Exception]:
        """Store a group of items; returns when the test calls `finish`."""
        self.groups.append(list(items))
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writes.put_nowait(written)
        await written
        if self.broken is not None:
            raise self.broken
        return [item * 10 if item >= 0 else OSError(f"{item} is refused") for item in items]

    async def finish(self) -> None:
        """Complete the oldest write, and let its waiting tasks run."""
        (await asyncio.wait_for(self._writes.get(), PATIENCE_S)).set_result(None)
        await run_event_loop()


async def run_event_loop() -> None:
    """Run a few iterations of the event loop."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_items_added_in_one_turn_are_one_group_in_their_order() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    adding = asyncio.gather(*map(commits.add, range(5)))
    await disk.finish()
    assert await adding == [0, 10, 20, 30, 40]
    assert disk.groups == [[0, 1, 2, 3, 4]]
    assert not commits.storing


async def test_items_added_while_a_group_is_stored_share_the_next() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    first = asyncio.create_task(commits.add(1))
    await run_event_loop()
    later: list[asyncio.Task[int]] = []
    for item in (2, 3, 4):
        later.append(asyncio.create_task(commits.add(item)))
        await run_event_loop()
    assert disk.groups == [[1]]
    await disk.finish()
    assert first.done()
    assert not any(commit.done() for commit in later), "the next group is not on disk yet"
    await disk.finish()
    assert [await commit for commit in later] == [20, 30, 40]
    assert disk.groups == [[1], [2, 3, 4]]


async def test_producers_that_continue_at_once_stay_together() -> None:
    """Also those that begin at different moments."""
    disk = Disk()
    commits = GroupCommit(disk.store)

    async def produce() -> None:
        for item in range(4):
            await commits.add(item)

    early = asyncio.create_task(produce())
    await run_event_loop()
    late = [asyncio.create_task(produce()) for _ in range(4)]
    await run_event_loop()
    while not all(task.done() for task in (early, *late)):
        await disk.finish()
    assert [len(group) for group in disk.groups] == [1, 5, 5, 5, 4]


async def test_a_group_has_at_most_64_items() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    adding = asyncio.gather(*map(commits.add, range(150)))
    for _ in range(3):
        await disk.finish()
    assert await adding == [item * 10 for item in range(150)]
    assert [len(group) for group in disk.groups] == [64, 64, 22]


async def test_an_item_that_is_refused_fails_its_own_caller_only() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    adding = asyncio.gather(*map(commits.add, (1, -2, 3)), return_exceptions=True)
    await disk.finish()
    first, two, three = await adding
    assert (first, three) == (10, 30)
    assert isinstance(two, OSError)


async def test_a_failed_write_fails_every_caller_of_the_group_and_none_of_the_next() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    disk.broken = OSError("broken")
    adding = asyncio.gather(*map(commits.add, (1, 2)), return_exceptions=True)
    await disk.finish()
    assert await adding == [disk.broken, disk.broken]
    disk.broken = None
    again = asyncio.create_task(commits.add(1))
    await disk.finish()
    assert await again == 10


async def test_an_item_whose_caller_is_cancelled_before_its_turn_is_not_stored() -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    adding = [asyncio.create_task(commits.add(item)) for item in (1, 2, 3)]
    await asyncio.sleep(0)
    adding[1].cancel()
    await disk.finish()
    assert disk.groups == [[1, 3]]
    assert [await adding[0], await adding[2]] == [10, 30]


@pytest.mark.parametrize("cancelled", range(3))
async def test_a_caller_that_is_cancelled_during_the_write_takes_no_other_with_it(cancelled: int) -> None:
    disk = Disk()
    commits = GroupCommit(disk.store)
    adding = [asyncio.create_task(commits.add(item)) for item in range(3)]
    await run_event_loop()
    adding[cancelled].cancel()
    await run_event_loop()
    later = asyncio.create_task(commits.add(7))
    await disk.finish()
    await disk.finish()
    assert disk.groups == [[0, 1, 2], [7]]
    assert [await task for number, task in enumerate(adding) if number != cancelled] == [
        item * 10 for item in range(3) if item != cancelled
    ]
    assert await later == 70
    with contextlib.suppress(asyncio.CancelledError):
        await adding[cancelled]
    assert adding[cancelled].cancelled()
