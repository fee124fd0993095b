"""Counts code patterns that hide the wiring of the program; each count must be its limit: `python -m tools.wiring`.

`make check` runs it. It prints each finding with its place, then the counts. Arguments: names of the rules to check.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.wiring_rules import RULES, modules_below
from tools.wiring_syntax import Finding

LIMITS: Final[Mapping[str, int]] = {
    "callables assigned after construction": 0,
    "default callables": 0,
    "class names used twice": 0,
    "function-level imports": 112,
    "function-level imports without a reason": 0,
    "functions over 60 lines": 0,
    "settings matched by their ending": 0,
    "collaborators set after construction": 0,
    "types with parts of more than two layers": 0,
    "listeners of auxiliary components that can raise": 0,
    "casts": 84,
    "suppressed lints": 20,
    "functions with eight or more parameters": 10,
    "suppressed types": 5,
    "uses of Any": 7,
    "methods that store a callable or a part late": 6,
}
"""The count of each rule. It may only fall: then the check fails until the limit is lowered too."""
_ROOT: Final = Path(__file__).parents[1]


def patterns(pyproject: str) -> list[str]:
    """The packages that pyproject.toml installs, as patterns of their names."""
    include: list[str] = tomllib.loads(pyproject)["tool"]["setuptools"]["packages"]["find"]["include"]
    return include


def report(found: Mapping[str, Sequence[Finding]], limits: Mapping[str, int]) -> tuple[list[str], bool]:
    """The lines to print, and whether every figure is that of its limit."""
    lines = [f"{finding} [{rule}]" for rule, findings in found.items() for finding in findings]
    figures = ", ".join(f"{rule}: {len(findings)} of {limits[rule]}" for rule, findings in found.items())
    above = [rule for rule, findings in found.items() if len(findings) > limits[rule]]
    below = [rule for rule, findings in found.items() if len(findings) < limits[rule]]
    verdict = [f"more than allowed: {', '.join(above)}"] if above else []
    verdict += [f"fewer than allowed, so lower the limit: {', '.join(below)}"] if below else []
    return [*lines, figures, *verdict], not above and not below


def main(wanted: Sequence[str]) -> int:
    """Check the repository; the exit code is 1 if a figure is not that of its limit, 2 if a rule is not known."""
    if unknown := [name for name in wanted if name not in RULES]:
        sys.stderr.write(f"no such rule: {', '.join(unknown)}; there are {', '.join(RULES)}\n")
        return 2
    modules = modules_below(_ROOT, patterns((_ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    found = {name: RULES[name](modules) for name in wanted or RULES}
    lines, good = report(found, LIMITS)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
