"""The rules about ways around the checkers, and about parts that come late, on small sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests import project
from tools.wiring_escapes import (
    LATE_FOR_A_REASON,
    casts,
    late_parts,
    suppressed_checks,
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
        (suppressed_checks, "x = 1  # noqa: E501\ny = '# noqa'\nz = 2  # pyright: ignore[a]\n# fmt: off\n", [1, 3, 4]),
        (uses_of_any, "from typing import Any\nx: Any = 1\ny: dict[str, Any] = {}\n", [2, 3]),
        (late_parts, LATE, [8, 10, 12]),
    ],
)
def test_a_rule_finds_just_these_lines(rule: Rule, source: str, lines: list[int]) -> None:
    assert [finding.line for finding in rule([Module.parse("station/a.py", source)])] == lines


def test_each_exception_of_the_rule_about_late_parts_is_needed() -> None:
    """An entry whose method is gone, or keeps nothing any more, would let another one pass unseen."""
    listed = set(LATE_FOR_A_REASON)
    assert all(LATE_FOR_A_REASON.values())
    modules = [Module.parse(path, (project.ROOT / path).read_text(encoding="utf-8")) for path in _paths()]
    assert not {finding for finding in late_parts(modules) if _place(finding) in listed}
    assert {_place(finding) for finding in late_parts(modules, accepted=())} >= listed


def _paths() -> list[str]:
    return [str(file.relative_to(project.ROOT)) for file in project.modules().values()]


def _place(finding: Finding) -> tuple[str, str]:
    return finding.path, finding.text.split()[0]
