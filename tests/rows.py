"""A table in one test: every row is checked, and each row that fails is reported by name with its traceback."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, cast

import pytest

Test = Callable[..., None] | Callable[..., Awaitable[None]]

_FAILURES: Final = (Exception, pytest.fail.Exception, pytest.skip.Exception)
"""what a row fails with; a row that skips would hide that it was not checked"""


class TableCheck:
    """Context manager that collects the failures of the rows of a table, and raises them together at its end."""

    def __init__(self) -> None:
        self._failures: list[BaseException] = []
        self._names: list[str] = []
        self._count = 0

    def __enter__(self) -> Self:
        """Begin the table."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the failures of the rows, unless the table itself has failed.

        Raises:
            BaseExceptionGroup: rows have failed.
        """
        if error is not None:
            return
        assert self._count > 0, "a table without rows checks nothing"
        if self._failures:
            summary = f"{len(self._failures)} of {self._count} rows failed: {'; '.join(self._names)}"
            raise BaseExceptionGroup(summary, self._failures)

    @contextlib.contextmanager
    def row(self, name: str) -> Generator[None]:
        """Check one row: a failure is kept with this name, and the next row follows."""
        self._count += 1
        try:
            yield
        except _FAILURES as failure:
            failure.add_note(f"row: {name}")
            self._failures.append(failure)
            self._names.append(name)


def each_row(names: str | Sequence[str], table: Iterable[object]) -> Callable[[Test], Test]:
    """Decorate a test to run once for each row of a table, all in one test.

    It takes what `pytest.mark.parametrize` takes, and suits tests that take well under a millisecond for a row and
    change nothing that outlives a row. Fixtures are shared by all rows.
    """
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [_row(columns, values) for values in table]
    assert rows, "a table without rows checks nothing"

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        async def check_async(**fixtures: object) -> None:
            with TableCheck() as table_check:
                for name, values in rows:
                    with table_check.row(name):
                        result = test(**fixtures, **values)
                        assert result is not None
                        await result

        @functools.wraps(test)
        def check(**fixtures: object) -> None:
            with TableCheck() as table_check:
                for name, values in rows:
                    with table_check.row(name):
                        test(**fixtures, **values)

        signature = inspect.signature(test)
        assert set(columns) <= signature.parameters.keys(), f"no parameters of the test: {columns}"
        rest = [parameter for name, parameter in signature.parameters.items() if name not in columns]
        wrapper = check_async if inspect.iscoroutinefunction(test) else check
        vars(wrapper)["__signature__"] = signature.replace(parameters=rest)  # what pytest looks for fixtures in
        return wrapper

    return decorate


def _row(columns: Sequence[str], given: object) -> tuple[str, Mapping[str, object]]:
    """The name of a row, which is its id where `pytest.param` gives one, and its values by column."""
    identity: object = None
    if isinstance(given, pytest.ParameterSet):
        values, identity = tuple[object, ...](given.values), given.id
    elif len(columns) == 1:
        values = (given,)
    else:
        assert isinstance(given, tuple | list), f"a row of {len(columns)} columns: {given!r}"
        values = cast("Sequence[object]", given)
    of_column = dict(zip(columns, values, strict=True))
    if isinstance(identity, str):
        return identity, of_column
    return ", ".join(f"{column}={value!r:.80}" for column, value in of_column.items()), of_column
