"""The rules about ways around the checkers, and about parts that come late, on small sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tools.wiring_escapes import (
    casts,
    late_parts,
    long_parameter_lists,
    suppressed_lints,
    suppressed_types,
    uses_of_any,
)
from tools.wiring_syntax import Finding, Module

Rule = Callable[[Sequence[Module]], list[Finding]]
LATE = """
class Csms(Protocol):
    pass

class Link:
    def __init__(self, csms: Csms, ready: Callable[[], bool]):
        self._csms, self._ready = csms, ready
    def forward_to(self, csms: Csms):
        self._csms = csms
    def delay_while(self, busy: Callable[[], bool]):
        self._busy.append(busy)
    def add(self, name: str, make: Callable[[], object]):
        self._makers[name] = make
    def subscribe(self, listener: Callable[[int], None]):
        self._listeners.append(listener)
    def rename(self, name: str):
        self._name = name
    def use(self, csms: Csms):
        csms.ask()
"""


@pytest.mark.parametrize(
    ("rule", "source", "lines"),
    [
        (casts, "x = cast('int', y)\nz = typing.cast(int, y)\ncaster(y)\n", [1, 2]),
        (suppressed_lints, "x = 1  # noqa: E501\ny = '# noqa'\nz = 2  # pyright: ignore[a]\n# fmt: off\n", [1, 4]),
        (suppressed_lints, "def f():  # noqa: PLR0913 - why\n    x = 1  # noqa: E501\n", [2]),
        (long_parameter_lists, "def f():  # noqa: PLR0913 - why\n    x = 1  # noqa: E501\n", [1]),
        (suppressed_types, "x = 1  # noqa: E501\ny = 2  # type: ignore\nz = 3  # pyright: ignore[a]\n", [2, 3]),
        (uses_of_any, "from typing import Any\nx: Any = 1\ny: dict[str, Any] = {}\n", [2, 3]),
        (late_parts, LATE, [8, 10, 12]),
    ],
)
def test_a_rule_finds_just_these_lines(rule: Rule, source: str, lines: list[int]) -> None:
    assert [finding.line for finding in rule([Module.parse("station/a.py", source)])] == lines
