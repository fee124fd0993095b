"""A plugin of pytest that records which tests execute some functions; `tools/mutants.py` copies it into a tree.

`record(number)`, called by a function, writes the number and the test that runs to the folder `recorded` beside this
file, also in the programs that a test starts: the name of the test is in a file of each worker.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

_FOLDER: Final = Path(__file__).with_name("recorded")
_WORKER: Final = os.environ.get("PYTEST_XDIST_WORKER", "main")
_CURRENT: Final = _FOLDER / f"{_WORKER}.current"
_written: set[tuple[int, str]] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Write the name of the test that begins."""
    _FOLDER.mkdir(exist_ok=True)
    _CURRENT.write_text(item.nodeid, encoding="utf-8")


def record(number: int) -> None:
    """Record that the test that runs executes the function of this number."""
    if _CURRENT.exists():
        entry = number, _CURRENT.read_text(encoding="utf-8")
        if entry not in _written:
            _written.add(entry)
            with (_FOLDER / f"{_WORKER}.{os.getpid()}.tests").open("a", encoding="utf-8") as file:
                file.write(f"{number} {entry[1]}\n")
