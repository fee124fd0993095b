"""What waits for a condition looks again until it is true, and gives up."""

from __future__ import annotations

import pytest

from tests.patience import until, wait_until


async def test_a_condition_is_looked_at_again_with_something_done_meanwhile() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(len(calls))

    await until(lambda: len(calls) == 3, meanwhile=work)
    assert calls == [0, 1, 2]


async def test_the_result_of_a_coroutine_is_the_condition() -> None:
    results = iter([False, False, True])

    async def met() -> bool:
        return next(results)

    await until(met)
    assert list(results) == []


async def test_a_condition_that_is_never_true_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        await until(lambda: False, within_s=0.02)
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, within_s=0.02)


def test_a_test_that_is_no_coroutine_waits_too() -> None:
    results = iter([False, True])
    wait_until(lambda: next(results))
    assert list(results) == []
