"""The options of the test run, its event loop, and the profiles of hypothesis."""

from __future__ import annotations

import gc
import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from foundation.event_loop import StationLoop
from tests.examples import register_profiles
from tests.full_disk import FullDisk
from tests.import_by_turns import import_by_turns
from tests.logging_state import logging_restored
from tests.programs import ProgramHost

if TYPE_CHECKING:
    from types import ModuleType

    from tests.linux_double import Chips

register_profiles()
if importlib.util.find_spec("sniffio") is None:
    # httpcore tries to import it four times a request: what is known to be absent is not searched each time.
    sys.modules["sniffio"] = cast("ModuleType", None)


@pytest.hookimpl(optionalhook=True)  # pytest-asyncio has it from 1.4 on
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], StationLoop]]:
    """Run tests on the station's event loop, which notifies a virtual clock when it is idle."""
    return {"station": StationLoop}


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect tests without garbage collection, then exclude them from it and collect less often: a tenth less time."""
    gc.disable()
    if session.config.args == session.config.getini("testpaths"):
        import_by_turns(sorted(Path(__file__).parent.rglob("test_*.py")))
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with whole stations first: they last longest, and at the end one worker would still have many."""
    longest = {Path(__file__).parent / folder for folder in ("walks", "conformance")}
    items.sort(key=lambda item: longest.isdisjoint(item.path.parents))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips, let a skipped test fail with the reason for which it was skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("no_skips"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With --no-skips, let a module fail that is skipped as a whole."""
    report = yield
    if report.skipped and collector.config.getoption("no_skips"):
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    """Restore logging after each test: a test that sets it up, as each `borne` command does, affects no later test."""
    with logging_restored():
        yield


@pytest.fixture(scope="session")
def program_host() -> Generator[ProgramHost]:
    """The process that forks `borne` in this run, or in this worker."""
    with ProgramHost() as host:
        yield host


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """The disk of all databases that the test opens after this; it has room until the test says otherwise."""
    full = FullDisk()
    monkeypatch.setattr(sqlite3, "connect", full.connect)
    return full


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> Chips:
    """The GPIO chip of the machine, in place of those that gpiod finds."""
    from tests.linux_double import Chips  # late: gpiod, which few tests need

    fake = Chips()
    monkeypatch.setattr("gpiod.request_lines", fake.request_lines)
    return fake


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the conformance suite, of the poisonous values, and of the virtual machines."""
    parser.addoption("--machine", action="store_true", help="also run the tests in virtual machines (root, minutes)")
    parser.addoption("--no-skips", action="store_true", help="a test that cannot run here has failed, as in a release")
    group = parser.getgroup("conformance")
    group.addoption("--station", metavar="URL", help="local API of a station that runs already, in place of our own")
    group.addoption(
        "--own-process", action="store_true", help="start each station as a user does, in place of forking it"
    )
    group.addoption(
        "--csms-port", default="9310", help="where that station finds the test system (ws://HOST:PORT/ocpp)"
    )
    group.addoption("--edition", choices=["2.0.1", "2.1"], help="all cases under this edition of OCPP that have no own")
    group.addoption("--switching-board", action="store_true", help="our own station can take two phases of three away")
    group.addoption("--conformance-report", metavar="FILE", help="write what came of each case, as Markdown")
    group = parser.getgroup("poisonous values")
    group.addoption(
        "--fuzz-seed", type=int, default=0, help="seed of the sample of poisonous values, and of their order"
    )
    group.addoption("--fuzz-case", metavar="TEXT", help="play only the poisonous values whose names contain this text")
