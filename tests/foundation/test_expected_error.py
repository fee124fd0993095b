"""Hardware, storage and network fail in one line of the log; an error of the program leaves its traceback there."""

from __future__ import annotations

import ast
import asyncio
import logging
import re
from pathlib import Path

import pytest

from foundation import expected_error
from foundation.expected_error import ExpectedError
from foundation.supervision import FollowUpTasks, keep_running
from metering.meter import ImplausibleReadingError
from simulator.clock import VirtualClock
from station.core.csms import NoAnswerError
from station.storage.stored_names import UnmappedNameError
from tests import project
from tests.patience import PATIENCE_S

_OF_THE_PROGRAM = {"AlreadySubscribedError", "InvalidRequestError", "UnmappedNameError"}
"""raised where the code itself is wrong"""


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [
        (ImplausibleReadingError("-1 kWh"), False),
        (NoAnswerError("the link is down"), False),
        (UnmappedNameError("a class has no stored name"), True),
        (ValueError("a library failed"), True),
    ],
)
async def test_a_failure_of_the_world_is_logged_in_one_line_and_an_error_of_the_program_with_its_traceback(
    error: Exception, has_traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise error

    clock, follow_ups = VirtualClock(), FollowUpTasks()
    tasks = [asyncio.create_task(keep_running("task", fail, clock)), asyncio.create_task(follow_ups.run())]
    follow_ups.submit("follow-up", fail)
    async with asyncio.timeout(PATIENCE_S):
        while len(caplog.records) < 2:
            await clock.settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert [record.exc_info is not None for record in caplog.records] == [has_traceback] * 2


def test_the_drawn_tree_of_expected_errors_is_that_of_the_code() -> None:
    drawn = re.findall(r"[├└]── (\w+)", expected_error.__doc__ or "")
    assert sorted(drawn) == sorted(name for name, bases in _exceptions().items() if ExpectedError.__name__ in bases)


def test_no_error_of_the_program_is_an_expected_one() -> None:
    exceptions = _exceptions()
    assert exceptions.keys() >= _OF_THE_PROGRAM
    assert not {name for name in _OF_THE_PROGRAM if ExpectedError.__name__ in exceptions[name]}


def test_every_error_of_a_border_that_architecture_names_is_an_expected_one() -> None:
    text = (Path(project.ROOT) / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+Error)`", text)) - {"ExpectedError"}
    exceptions = _exceptions()
    assert named
    assert {name for name in named - _OF_THE_PROGRAM if ExpectedError.__name__ not in exceptions[name]} == set()


def _exceptions() -> dict[str, set[str]]:
    """The base classes of each class of the program whose name ends with `Error`."""
    return {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for _, node in project.nodes()
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
