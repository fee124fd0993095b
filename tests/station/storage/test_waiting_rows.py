"""The rows of a queue that wait, whatever joins and leaves it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from station.storage.waiting_rows import WaitingRows

steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "set"]), st.sets(st.integers(1, 60), max_size=8)))


@given(steps)
def test_the_number_of_waiting_rows_is_that_of_the_rows_that_joined_and_have_not_left(
    history: list[tuple[str, set[int]]],
) -> None:
    rows, expected = WaitingRows(), set[int]()
    published: list[None] = []
    rows.changed.subscribe(published.append)
    for step, ids in history:
        if step == "add":
            rows.add(ids)
            expected |= ids
        elif step == "remove":
            rows.remove(ids)
            expected -= ids
        else:
            rows.set(sorted(ids))
            expected = set(ids)
        assert len(rows) == len(expected)
    assert len(published) == len(history)


def test_a_long_queue_that_is_delivered_in_order_gives_its_memory_back() -> None:
    rows = WaitingRows()
    rows.set(range(10_000))
    for row_id in range(9_999):
        rows.remove([row_id])
    assert len(rows) == 1
    rows.remove([9_999, 9_999])
    assert len(rows) == 0
