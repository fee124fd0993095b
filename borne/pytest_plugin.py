"""Plugin of pytest (`borne[pytest]`): complete stations as fixtures, and their messages in the report of a failed test.

It loads with every run of pytest, so it imports the station only when a test asks for one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from borne.scenarios.bench_station import BenchOptions, BenchStation, BenchStations

_FIXTURES: Final = frozenset({"borne_station", "borne_fleet"})
_STARTED: Final = pytest.StashKey[list["BenchStation"]]()


@pytest.fixture(scope="session")
def borne_stations() -> Generator[BenchStations]:
    """What the stations of all tests share: the thread of their databases, and their API."""
    from borne.scenarios.bench_station import BenchStations  # late: only for tests with a station
    from borne.scenarios.local_station import LocalStations  # late: as above

    with LocalStations().open() as stations:
        yield BenchStations(stations)


@pytest.fixture
def borne_options() -> BenchOptions:
    """How stations are started; to be overridden, such as with the URL of the CSMS that is tested."""
    from borne.scenarios.bench_station import BenchOptions  # late: only for tests with a station

    return BenchOptions()


@pytest_asyncio.fixture
async def borne_station(
    request: pytest.FixtureRequest, borne_stations: BenchStations, borne_options: BenchOptions
) -> AsyncGenerator[BenchStation]:
    """A new station, ready and accepted by its CSMS, in the event loop of the test."""
    async with borne_stations.running(borne_options) as station:
        _started_by(request.node).append(station)
        yield station


@pytest_asyncio.fixture
async def borne_fleet(
    request: pytest.FixtureRequest, borne_stations: BenchStations, borne_options: BenchOptions
) -> AsyncGenerator[Callable[[int], Awaitable[list[BenchStation]]]]:
    """Starts further stations: `stations = await borne_fleet(10)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(count: int) -> list[BenchStation]:
            stations = await stack.enter_async_context(borne_stations.fleet(count, borne_options))
            _started_by(request.node).extend(stations)
            return stations

        yield start


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the station once, if a test has one: it takes as long as many stations need to start."""
    if any(_FIXTURES & set(item.fixturenames) for item in session.items if isinstance(item, pytest.Function)):
        for module in ("bench_station", "local_station"):
            import_module(f"borne.scenarios.{module}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add steps and messages of each station to the report of a failed test."""
    report = yield
    if report.failed:
        report.sections += [(f"borne station {station.identity}", station.report()) for station in _started_by(item)]
    return report


def _started_by(item: pytest.Item) -> list[BenchStation]:
    """The stations that the fixtures of a test have started."""
    return item.stash.setdefault(_STARTED, [])
