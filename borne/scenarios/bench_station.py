"""Stations for tests in other test runners: each complete, in this process, with the words of a scenario."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.scenarios.bundled_pair import BUNDLED_PATIENCE_S, PATIENCE_S, running_pair
from foundation.frozen import Frozen
from simulator.scenarios.bench import Bench, BenchSettings
from simulator.scenarios.bench_files import BenchFiles
from simulator.scenarios.controlled_csms import LocalCsmsControl
from simulator.scenarios.station_table import DEFAULT_TEMPLATE, StationPlace, station_configuration
from simulator.scenarios.verdicts import TimeKind

if TYPE_CHECKING:
    from borne.scenarios.local_station import LocalStations
    from station.configuration.installation_file import Configuration

_SHOWN: Final = 100
"""messages in the report of a failed test"""


class BenchOptions(Frozen):
    """How the stations of a test are started."""

    csms_url: str | None = None
    """URL of the CSMS without identity; None: the bundled one, which has the time of the station"""
    identity: str = "BENCH-{n:03}"
    """identities; `n` counts up in a test session"""
    password: str | None = None
    """password at the CSMS"""
    time: TimeKind = "simulated"
    """how time passes: simulated time only passes while the test waits for something"""
    station: Mapping[str, object] = {}
    """tables of the installation file, such as `{"evse": [{"id": 1}, {"id": 2}]}`"""


class BenchStation(Bench):
    """A complete station that a test drives and observes with the words of `Bench`."""

    @property
    def identity(self) -> str:
        """Its identity at the CSMS."""
        return self.settings.identity

    def report(self) -> str:
        """The steps that were played, and the newest messages that were seen, as text."""
        steps = [f"{step.number}. {step.title}: {step.verdict.value}" for step in self.verdicts]
        return "\n".join([*steps, *(message.shown for message in self.observer.log.messages[-_SHOWN:])])


class BenchStations:
    """Starts the stations of tests, each in the event loop of its test."""

    def __init__(self, stations: LocalStations) -> None:
        """`stations`: open, for all tests."""
        self._stations = stations
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def running(self, options: BenchOptions) -> AsyncGenerator[BenchStation]:
        """Run a station while the block runs; it is yielded once its CSMS has accepted it.

        Raises:
            ConfigurationError: `options.station` is invalid.
            StepFailedError: the CSMS does not accept it.
        """
        identity = options.identity.format(n=next(self._numbers))
        files = BenchFiles()
        async with contextlib.AsyncExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="borne-bench-", ignore_cleanup_errors=True)
            storage = Path(stack.enter_context(folder))
            await stack.enter_async_context(files.serving())

            def configuration_for(csms_url: str) -> Configuration:
                rate = 0.0 if options.time == "simulated" else 1.0
                place = StationPlace(identity, csms_url, storage, rate=rate, password=options.password)
                return station_configuration(DEFAULT_TEMPLATE, options.station, DEFAULT_TEMPLATE, place)

            if options.csms_url is not None:
                running = self._stations.running(configuration_for(options.csms_url))
                station, csms, patience_s = await stack.enter_async_context(running), None, PATIENCE_S
            else:
                pair = running_pair(self._stations, configuration_for)
                station, bundled = await stack.enter_async_context(pair)
                csms, patience_s = LocalCsmsControl(bundled), BUNDLED_PATIENCE_S
            bench = BenchStation(station, csms, files, BenchSettings(identity, options.time, patience_s))
            await bench.begin()
            yield bench

    @contextlib.asynccontextmanager
    async def fleet(self, count: int, options: BenchOptions) -> AsyncGenerator[list[BenchStation]]:
        """Run several stations side by side while the block runs.

        Raises:
            ConfigurationError, StepFailedError: as `running`.
        """
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.running(options)) for _ in range(count)]
