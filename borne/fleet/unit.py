"""The unit of work of a fleet: the stations of one operating-system process, and what it has to do with its engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from foundation.frozen import Frozen
from simulator.fleet.plan import LoadedPlan
from simulator.fleet.reports import HostReport, StationReport, StationState


class HostTask(Frozen):
    """The call `host(task, control)`, which can be pickled: some stations of a plan, to be run in one process."""

    loaded: LoadedPlan
    numbers: range
    """the numbers of its stations"""
    csms_url: str
    """ws:// or wss:// URL without identity"""
    folder: str
    """the folder of the fleet with the storage of each station; a station whose storage exists goes on with it"""
    begins_at: float
    """when the ramp of the whole fleet begins, in seconds since 1970 by the clock of the machine"""


def lost_host_report(task: HostTask, latest: HostReport | None, failure: str) -> HostReport:
    """The last report of a host that has ended without one: what it has reported until then, and why.

    `latest`: its latest report; None: there is none.
    """
    if latest is None:
        identities = ((number, task.loaded.station_credentials(number).identity) for number in task.numbers)
        latest = HostReport("", tuple(StationReport(number, identity) for number, identity in identities))
    stations = tuple(replace(station, state=StationState.FAILED, failure=failure) for station in latest.stations)
    return replace(latest, stations=stations, finished=True, failure=failure)


class HostControl(Protocol):
    """Interface of an engine for a host: it takes reports, and requests the stop. All calls must return at once."""

    @property
    def continues(self) -> bool:
        """Whether an earlier host of the same task was lost, so this one goes on at the present moment of the plan."""
        ...

    def publish(self, report: HostReport) -> None:
        """Send a report to the engine; called each second, and with the last one."""
        ...

    def stop_requested(self) -> bool:
        """Return whether the host is to stop in order; asked twice a second."""
        ...


class EngineError(Exception):
    """The engine cannot run the hosts; the message says why, for the user."""


Host = Callable[[HostTask, HostControl], HostReport]
"""runs the stations of a task until they have played the plan; blocks, and returns the last report"""
ReportListener = Callable[[HostReport], None]
"""called with each report of every host, in the event loop"""


class FleetEngine(Protocol):
    """Runs the hosts of a fleet, on this machine or on others."""

    def prepared(self, folder: Path) -> AbstractAsyncContextManager[None]:
        """Have ready, within the block, what hosts need; `run` is called in it. `folder`: that of the fleet.

        Raises:
            EngineError: the hosts cannot be run.
        """
        ...

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Run each task to its end; returns when all have ended or failed. A failed host is reported, not raised.

        Raises:
            EngineError: the hosts cannot be run at all.
        """
        ...

    def stop(self) -> None:
        """Request all hosts to stop in order, and return at once; may be called before `run` and from its listener."""
        ...
