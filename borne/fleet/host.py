"""A host of a fleet: runs some stations of a plan in this process, and measures them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from borne.composition.several_stations import host_process_of_several
from borne.composition.station_assembly import StartError, event_loop_at
from borne.fleet.fleet_station import FleetStation
from borne.fleet.unit import HostControl, HostTask
from borne.host_process import HostProcess
from foundation.clock import machine_time
from simulator.fleet import schedule
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.plan import InstallationFiles
from simulator.fleet.reports import HostReport, StationReport
from simulator.fleet.request_meter import ConnectionObserver, RequestMeter
from simulator.fleet.waiting import wait_for_any
from station.core.installation_file.document import ConfigurationError
from station.interfaces.http.server import WebServer

_log = logging.getLogger(__name__)

_REPORT_INTERVAL_S: Final = 1.0
_STOP_CHECK_INTERVAL_S: Final = 0.5
_ACCEPTANCE_TIMEOUT_S: Final = 60.0
"""longest real time after the ramp for which the begin of the plan waits until all stations are accepted"""
_STOP_DRAIN_S: Final = 10.0
"""real seconds for which a stopped fleet waits for its transactions"""


def station_folder(folder: Path, number: int) -> Path:
    """The storage of a station below the folder of its fleet."""
    return folder / "stations" / f"{number:06}"


def host(task: HostTask, control: HostControl) -> HostReport:
    """Run the stations of a task until they have played the plan, or a stop is requested; blocks.

    A station whose storage exists goes on with it, at the present moment of the plan, as after a power cut.
    """
    with asyncio.Runner(loop_factory=event_loop_at(task.loaded.plan.fleet.rate)) as runner:
        return runner.run(FleetHost(task, control).run())


class FleetHost:
    """The stations of one host: plays the plan at each, and reports each second."""

    def __init__(self, task: HostTask, control: HostControl, *, stop_drain_s: float = _STOP_DRAIN_S) -> None:
        """Prepare a run; its stations are created by `run`. For `stop_drain_s`, a stop waits for transactions."""
        self._task = task
        self._control = control
        self._stop_drain_s = stop_drain_s
        self._plan = task.loaded.plan
        self._name = uuid.uuid4().hex
        self._request_meter = RequestMeter()
        self._boot_durations = DurationHistogram()
        self._reconnection_durations = DurationHistogram()
        self._ramp_at = task.begins_at
        """when the ramp begins here: later than planned if this host was not ready"""
        self._stop_vehicles = asyncio.Event()
        self._stop_waiting = asyncio.Event()
        """set when a stopped fleet waits no longer"""
        self._plan_begun = asyncio.Event()
        """set when the plan begins"""
        self._plan_begun_at = 0.0
        self._booted_stations: set[int] = set()
        self._web: WebServer | None = None
        """the pages of its stations; None before `run`"""
        self._reports_before_stop: list[StationReport] = []
        """the reports of the stations before they were stopped"""

    async def run(self) -> HostReport:
        """Run the stations to the end of the plan; returns the last report."""
        try:
            stations, process = self._create_stations()
        except (StartError, ConfigurationError) as error:  # a template may be valid for some numbers only
            return self._publish_last(self._failed_report(str(error)))
        self._web = process.web
        failure = None
        try:
            await self._run_process(process, stations)
        except StartError as error:
            failure = str(error)
        return self._publish_last(self._last_report(stations, failure))

    def _create_stations(self) -> tuple[list[FleetStation], HostProcess]:
        """Create the stations, and the process that runs them.

        Raises:
            StartError: the storage of one cannot be used.
            ConfigurationError: the template does not give a valid configuration of one.
        """
        task, files, folder = self._task, InstallationFiles(self._task.loaded), Path(self._task.folder)
        folders = {number: station_folder(folder, number) for number in task.numbers}
        resumed = {number for number, path in folders.items() if path.exists()}
        configurations = [files.configuration(number, task.csms_url, path) for number, path in folders.items()]
        real_s = asyncio.get_running_loop().time
        self._ramp_at = max(task.begins_at, machine_time().timestamp())
        now_s = real_s()
        starts_s = [now_s + self._until_s(self._ramp_offset_s(number)) for number in task.numbers]
        observers = {
            configuration.station.identity: ConnectionObserver(
                self._request_meter, self._reconnection_durations, real_s
            )
            for configuration in configurations
        }
        process = host_process_of_several(
            configurations,
            http_port=0,
            start_at_s=starts_s,
            taps=observers,
        )
        stations = [
            FleetStation(
                runtime,
                number,
                self._task.loaded,
                observers[runtime.identity],
                self._stop_vehicles,
                start_s=start_s,
                resumed=number in resumed,
            )
            for number, start_s, runtime in zip(task.numbers, starts_s, process.stations, strict=True)
        ]
        return stations, process

    def _ramp_offset_s(self, number: int) -> float:
        """Real seconds from the begin of the ramp until the start of a station."""
        return (number - self._plan.fleet.first) / self._plan.ramp.stations_per_s

    def _until_s(self, after_begin_s: float) -> float:
        """Real seconds from now until a moment after the begin of the ramp; 0 if it has passed."""
        return max(0.0, self._ramp_at + after_begin_s - machine_time().timestamp())

    async def _run_process(self, process: HostProcess, stations: Sequence[FleetStation]) -> None:
        """Run the process until each station has played its part, or a stop is requested."""
        async with contextlib.AsyncExitStack() as stack:
            for name, work in (
                ("reports", self._publish_reports(stations)),
                ("stop", self._watch_for_stop()),
                ("begin", self._begin_plan(stations)),
                ("storms", self._play_storms(stations)),
            ):
                task = asyncio.create_task(work, name=name)  # noqa: TID251 - cancelled at the end of the block
                stack.callback(task.cancel)
            playing = [
                asyncio.create_task(self._play_station(station), name=station.runtime.identity)  # noqa: TID251 - awaited below
                for station in stations
            ]
            running = asyncio.create_task(process.run_with_gc_control(), name="stations")  # noqa: TID251 - awaited below
            played = asyncio.gather(*playing)
            stop_waiting = asyncio.create_task(self._stop_waiting.wait(), name="hurry")  # noqa: TID251 - cancelled below
            await asyncio.wait([running, played, stop_waiting], return_when=asyncio.FIRST_COMPLETED)
            stop_waiting.cancel()
            self._reports_before_stop = [station.report() for station in stations]
            process.stop()
            await asyncio.wait([running])
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)
            running.result()
            with contextlib.suppress(asyncio.CancelledError):  # of a station that was still playing
                played.result()

    async def _begin_plan(self, stations: Sequence[FleetStation]) -> None:
        """Wait until the ramp is over and all stations are accepted, then let the plan begin at all of them at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._until_s(self._ramp_offset_s(self._task.loaded.numbers.stop))):
                await self._stop_vehicles.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ACCEPTANCE_TIMEOUT_S):
                for station in stations:
                    await wait_for_any(station.observer.accepted, self._stop_vehicles)
        self._plan_begun_at = machine_time().timestamp()
        self._plan_begun.set()

    async def _play_station(self, station: FleetStation) -> None:
        await self._plan_begun.wait()
        await station.play(self._elapsed_s)

    @property
    def _elapsed_s(self) -> float:
        """Simulated seconds of the plan that had passed when it began here: some if an earlier host was lost."""
        if not self._control.continues:
            return 0.0
        planned_at = self._task.begins_at + self._ramp_offset_s(self._task.loaded.numbers.stop)
        return max(0.0, self._plan_begun_at - planned_at) * self._plan.fleet.rate

    async def _play_storms(self, stations: Sequence[FleetStation]) -> None:
        """Abort the connections of all stations that a storm affects at the same moment of real time."""
        storms: dict[float, list[FleetStation]] = {}
        for station in stations:
            for at_s in schedule.storms_s(self._plan, station.number):
                storms.setdefault(at_s, []).append(station)
        await self._plan_begun.wait()
        for at_s in sorted(storms):
            if at_s < self._elapsed_s:
                continue  # the lost host has played it
            due_at = self._plan_begun_at + (at_s - self._elapsed_s) / self._plan.fleet.rate
            await asyncio.sleep(max(0.0, due_at - machine_time().timestamp()))
            _log.warning("reconnect storm of %d stations", len(storms[at_s]))
            for station in storms[at_s]:
                station.drop_connection()

    async def _watch_for_stop(self) -> None:
        while not self._control.stop_requested():  # noqa: ASYNC110 - the engine is asked
            await asyncio.sleep(_STOP_CHECK_INTERVAL_S)
        self._stop_vehicles.set()
        await asyncio.sleep(self._stop_drain_s)
        self._stop_waiting.set()

    async def _publish_reports(self, stations: Sequence[FleetStation]) -> None:
        while True:
            await asyncio.sleep(_REPORT_INTERVAL_S)
            self._control.publish(self._report(tuple(station.report() for station in stations), stations))

    def _report(
        self,
        reports: tuple[StationReport, ...],
        stations: Sequence[FleetStation],
        *,
        finished: bool = False,
        failure: str | None = None,
    ) -> HostReport:
        self._note_boots(stations)
        return HostReport(
            self._name,
            reports,
            self._request_meter.reports(),
            self._boot_durations.data(),
            self._reconnection_durations.data(),
            finished=finished,
            failure=failure,
            begun_at=self._plan_begun_at,
            http_port=self._web.port if self._web is not None else 0,
        )

    def _note_boots(self, stations: Sequence[FleetStation]) -> None:
        """Record how long each station that has just been accepted took since its start."""
        for station in stations:
            accepted_s = station.observer.accepted_s
            if accepted_s is not None and station.number not in self._booted_stations:
                self._booted_stations.add(station.number)
                self._boot_durations.record(accepted_s - station.start_s)

    def _last_report(self, stations: Sequence[FleetStation], failure: str | None) -> HostReport:
        reports = tuple(
            station.last_report(before, failure)
            for station, before in zip(stations, self._reports_before_stop, strict=True)
        )
        return self._report(reports, stations, finished=True, failure=failure)

    def _failed_report(self, failure: str) -> HostReport:
        loaded = self._task.loaded
        reports = tuple(
            StationReport(number, loaded.station_credentials(number).identity, failure=failure)
            for number in self._task.numbers
        )
        return HostReport(self._name, reports, finished=True, failure=failure)

    def _publish_last(self, report: HostReport) -> HostReport:
        self._control.publish(report)
        return report
