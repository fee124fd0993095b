"""The suite is a black box: it imports nothing of the station."""

from __future__ import annotations

import ast
from pathlib import Path

_SUITE = Path(__file__).parent
_STATION = {"foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne"}


def _imports(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module)
            case _:
                pass
    return found


def test_no_module_of_the_suite_imports_the_station() -> None:
    """Directly, or through other modules of the tests. `tests/programs.py` starts it."""
    root = _SUITE.parents[1]
    pending, known = list(_SUITE.glob("*.py")), set[Path]()
    while pending:
        known.add(file := pending.pop())
        names = _imports(file)
        assert {name.partition(".")[0] for name in names} & _STATION == set(), file
        imported = {root.joinpath(*name.split(".")).with_suffix(".py") for name in names if name.startswith("tests.")}
        pending += [file for file in imported - known if file.exists()]
