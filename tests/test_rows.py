"""The loop over a table reports every row that fails, and a table that checks nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tests.rows import TableCheck, each_row


def _failures(check: Callable[[], object]) -> BaseExceptionGroup[BaseException]:
    with pytest.raises(BaseExceptionGroup) as raised:
        check()
    return raised.value


def test_every_row_that_fails_is_named_with_its_own_error() -> None:
    def check() -> None:
        with TableCheck() as table:
            for number in (1, 2, 3, 4):
                with table.row(f"number {number}"):
                    assert number % 2, number

    failures = _failures(check)
    assert failures.message == "2 of 4 rows failed: number 2; number 4"
    assert [failure.__notes__ for failure in failures.exceptions] == [["row: number 2"], ["row: number 4"]]
    assert all(isinstance(failure, AssertionError) for failure in failures.exceptions)


def test_a_row_that_lacks_an_expected_error_or_skips_has_failed() -> None:
    def check() -> None:
        with TableCheck() as table:
            with table.row("lacks"), pytest.raises(ValueError, match="none"):
                pass
            with table.row("skips"):
                pytest.skip("not here")
            with table.row("raises"):
                raise OSError

    assert _failures(check).message == "3 of 3 rows failed: lacks; skips; raises"


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(AssertionError, match="checks nothing"), TableCheck():
        pass
    with pytest.raises(AssertionError, match="checks nothing"):
        each_row("number", [])


def test_what_fails_outside_the_rows_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError), TableCheck():
        raise KeyError


def test_a_decorated_test_runs_for_each_combination_of_its_tables() -> None:
    checked: list[tuple[int, str, float]] = []

    @each_row("number", [1, 2])
    @each_row("text, factor", [("a", 0.5), pytest.param("b", 2.0, id="the second")])
    def check(number: int, text: str, factor: float) -> None:
        checked.append((number, text, factor))
        assert (number, text) != (2, "b")

    failures = _failures(cast("Callable[[], None]", check))
    assert checked == [(1, "a", 0.5), (1, "b", 2.0), (2, "a", 0.5), (2, "b", 2.0)]
    assert failures.message == "1 of 2 rows failed: number=2"
    (inner,) = failures.exceptions
    assert isinstance(inner, BaseExceptionGroup)
    assert inner.message == "1 of 2 rows failed: the second"


async def test_a_decorated_coroutine_is_awaited_for_each_row() -> None:
    checked: list[int] = []

    @each_row("number", [1, 2, 3])
    async def check(number: int) -> None:
        checked.append(number)
        assert number != 2

    with pytest.raises(BaseExceptionGroup, match=re.escape("1 of 3 rows failed: number=2")):
        await cast("Callable[[], Awaitable[None]]", check)()
    assert checked == [1, 2, 3]


@each_row("number", [1, 2])
def test_the_other_parameters_of_a_decorated_test_are_fixtures(number: int, request: pytest.FixtureRequest) -> None:
    assert number in {1, 2}
    assert request.node.name == "test_the_other_parameters_of_a_decorated_test_are_fixtures"


def test_a_column_that_the_test_does_not_take_is_refused() -> None:
    def check(number: int) -> None: ...

    with pytest.raises(AssertionError, match="no parameters"):
        each_row("other", [1])(check)
