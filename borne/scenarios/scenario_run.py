"""Plays scenarios side by side in this process, each with its own station."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from borne.scenarios.bundled_pair import BUNDLED_PATIENCE_S, PATIENCE_S, running_pair
from borne.scenarios.local_station import LocalStations
from borne.station_runtime import StartError
from foundation.frozen import Frozen
from simulator.pki.v2g_pki import TestPki
from simulator.scenarios.bench import Bench, BenchSettings, StepNotPossibleError
from simulator.scenarios.bench_files import FIRMWARE_NAMES, BenchFiles
from simulator.scenarios.controlled_csms import HttpCsmsControl, LocalCsmsControl
from simulator.scenarios.left_station import left_as_found
from simulator.scenarios.player import play
from simulator.scenarios.station_table import DEFAULT_TEMPLATE, StationPlace, station_configuration
from simulator.scenarios.under_test import StationError, station_at
from simulator.scenarios.verdicts import ScenarioVerdict, StepVerdict, TimeKind
from station.core.installation_file.document import ConfigurationDocument, ConfigurationError

if TYPE_CHECKING:
    from simulator.scenarios.scenario_file import Scenario
    from simulator.scenarios.under_test import ControlledCsms, StationUnderTest
    from station.configuration.installation_file import Configuration

BUNDLED: Final = "bundled"
_CONTRACT: Final = "contract"


class RunOptions(Frozen):
    """How scenarios are played."""

    csms_url: str | None = None
    """URL of the CSMS without identity; None: the bundled one, one for each scenario"""
    csms_api: str | None = None
    """URL of the API with which a CSMS is told what to do (`HttpCsmsControl`); None: it cannot be told"""
    station_url: str | None = None
    """URL of the API of a station that runs already; None: a new station for each scenario"""
    token: str | None = None
    """access token for that station"""
    jobs: int = 1
    """scenarios that are played at the same time"""
    time: TimeKind | None = None
    """how time passes; None: as the scenario says"""
    template: ConfigurationDocument = DEFAULT_TEMPLATE
    """installation file of the stations"""
    identity: str = "SCENARIO-{n:03}"
    """identity of the station of scenario `n`"""
    password: str | None = None
    """its password at the CSMS"""
    folder: Path | None = None
    """folder in which the storages of the stations are kept; None: they are removed"""
    on_step: Callable[[StepVerdict], None] | None = None
    """called at the begin and end of each step; None: not called"""


class ScenarioRun:
    """Plays scenarios, and collects their verdicts."""

    def __init__(self, scenarios: Sequence[Scenario], options: RunOptions) -> None:
        self._options = options
        self._scenarios = scenarios
        self._playing: list[asyncio.Task[None]] = []
        self._free = asyncio.Semaphore(1 if options.station_url is not None else options.jobs)
        self._stations = LocalStations()
        self._files = BenchFiles()
        self._pki = _RunPki()
        self.verdicts = [self._blank_verdict(number, scenario) for number, scenario in enumerate(scenarios, start=1)]
        """the verdicts, in the order of the scenarios; complete after `run`"""

    async def run(self, on_end: Callable[[ScenarioVerdict], None]) -> bool:
        """Play all scenarios; returns whether none was interrupted. `on_end` is called with each verdict.

        SIGINT and SIGTERM end what is played, with a verdict.
        """
        loop = asyncio.get_running_loop()
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            for playing in self._playing:
                playing.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, interrupt)
        try:
            with self._stations.open():
                async with self._files.serving(), self._pki, asyncio.TaskGroup() as group:
                    self._playing = [
                        group.create_task(self._play(number, scenario, on_end), name=scenario.name)
                        for number, scenario in enumerate(self._scenarios)
                    ]
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
        return not interrupted

    def _blank_verdict(self, number: int, scenario: Scenario) -> ScenarioVerdict:
        options = self._options
        verdict = ScenarioVerdict(
            scenario.name,
            str(scenario.path),
            scenario.table.about,
            options.time or scenario.table.time,
            options.csms_url or (BUNDLED if options.station_url is None else "that of the station"),
        )
        verdict.identity = options.identity.format(n=number)
        return verdict

    async def _play(self, index: int, scenario: Scenario, on_end: Callable[[ScenarioVerdict], None]) -> None:
        verdict = self.verdicts[index]
        async with self._free:
            try:
                async with self._bench(scenario, verdict) as bench:
                    await play(scenario, bench, verdict)
            except* StepNotPossibleError as errors:
                verdict.not_possible("; ".join(str(error) for error in _leaves(errors)))
            except* (StartError, StationError, ConfigurationError, OSError) as errors:
                verdict.fail("; ".join(str(error) for error in _leaves(errors)))
            finally:
                on_end(verdict)

    @contextlib.asynccontextmanager
    async def _bench(self, scenario: Scenario, verdict: ScenarioVerdict) -> AsyncGenerator[Bench]:
        """The bench of one scenario, with its station and its CSMS.

        Raises:
            StartError, StationError, ConfigurationError, OSError: there is no such station, or it cannot be started.
        """
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            if options.station_url is not None:
                station: StationUnderTest = await stack.enter_async_context(
                    station_at(options.station_url, options.token)
                )
                if scenario.station:
                    raise StepNotPossibleError("it has a table [station], and the station runs already")
                status = await stack.enter_async_context(left_as_found(station))
                verdict.identity = str(status["identity"])
                csms, url, patience_s = await self._told_csms(stack), "", PATIENCE_S
            elif options.csms_url is not None:
                storage = stack.enter_context(self._storage(verdict.identity))
                configuration = self._configuration(scenario, verdict, storage, options.csms_url)
                station = await stack.enter_async_context(self._stations.running(configuration))
                csms, url, patience_s = await self._told_csms(stack), options.csms_url, PATIENCE_S
            else:
                storage = stack.enter_context(self._storage(verdict.identity))
                configuration_for = partial(self._configuration, scenario, verdict, storage)
                pki = self._pki.made() if scenario.uses({_CONTRACT}) else None
                pair = running_pair(self._stations, configuration_for, pki)
                station, bundled = await stack.enter_async_context(pair)
                csms, url, patience_s = LocalCsmsControl(bundled), bundled.url, BUNDLED_PATIENCE_S
            settings = BenchSettings(verdict.identity, verdict.time, patience_s, options.on_step)
            values: dict[str, object] = {"csms": url, **scenario.values}
            if scenario.uses(FIRMWARE_NAMES):
                values |= self._files.firmware_values()
            if scenario.uses({_CONTRACT}) and _CONTRACT not in values:
                values[_CONTRACT] = self._pki.made().contract("valid").chain
            yield Bench(station, csms, self._files, settings, values)

    async def _told_csms(self, stack: contextlib.AsyncExitStack) -> ControlledCsms | None:
        """The control of a CSMS over the API that `--csms-api` names; None: it is not given."""
        if self._options.csms_api is None:
            return None
        client = httpx.AsyncClient(base_url=self._options.csms_api.rstrip("/"), trust_env=False)
        return HttpCsmsControl(await stack.enter_async_context(client))

    def _configuration(
        self, scenario: Scenario, verdict: ScenarioVerdict, storage: Path, csms_url: str
    ) -> Configuration:
        rate = 0.0 if verdict.time == "simulated" else 1.0
        place = StationPlace(verdict.identity, csms_url, storage, rate=rate, password=self._options.password)
        return station_configuration(self._options.template, scenario.station, scenario.document, place)

    @contextlib.contextmanager
    def _storage(self, identity: str) -> Generator[Path]:
        if self._options.folder is None:
            with tempfile.TemporaryDirectory(prefix="borne-scenario-", ignore_cleanup_errors=True) as folder:
                yield Path(folder)
        else:
            yield self._options.folder / identity


class _RunPki:
    """The test PKI of a run, made when the first scenario needs it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="borne-scenario-pki-", ignore_cleanup_errors=True)
        self._pki: TestPki | None = None

    def made(self) -> TestPki:
        """The PKI."""
        if self._pki is None:
            self._pki = TestPki.create(Path(self._folder.name))
        return self._pki

    async def __aenter__(self) -> None:
        """Nothing is to be done at the begin."""

    async def __aexit__(self, *_: object) -> None:
        """Remove its folder."""
        self._folder.cleanup()


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    """The single errors of nested groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
