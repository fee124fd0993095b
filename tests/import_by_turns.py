"""Test modules of a fresh checkout are compiled once, and not by each worker of pytest-xdist."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.project import ROOT


def import_by_turns(files: Sequence[Path]) -> None:
    """Import test modules, in each worker beginning with another one; without workers do nothing.

    All workers begin at the same time. In the same order each would compile each module, with pytest's assertions; this
    way it finds most of them compiled by another worker. What cannot be imported is reported by the collection.
    """
    worker, count = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if worker is None or count is None:
        return
    first = len(files) * int(worker.removeprefix("gw")) // int(count) % len(files)
    for file in (*files[first:], *files[:first]):
        with contextlib.suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
