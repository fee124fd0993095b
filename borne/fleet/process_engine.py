"""The engine `process`: runs each host in an operating-system process of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final

from borne.fleet.host_reports import SILENCE_S, HostLostError, host_reports, longest_silence_s
from borne.fleet.leased_host import HostOrder, LeasedHostProcess
from borne.fleet.unit import EngineError, Host, HostTask, ReportListener, lost_host_report
from simulator.fleet.reports import HostReport

_LEASE_S: Final = 3600.0
"""longest time for which this process may be suspended; if it ends, the pipe to each host closes and ends it at once"""
_EXCHANGE_INTERVAL_S: Final = 0.2


class ProcessEngine:
    """Runs each host in a new process of this machine (`FleetEngine`); one that is lost is not started again."""

    def __init__(self, host: Host, *, silence_s: float = SILENCE_S) -> None:
        """Prepare an engine.

        Args:
            host: what to run; a function of a module, since a new process imports it.
            silence_s: longest real time without a report of a host, in addition to what its stations need.
        """
        self._host = host
        self._silence_s = silence_s
        self._stopped = False

    def prepared(self, folder: Path) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - DaskEngine uses it
        """Nothing is needed: each host is a new process."""
        return nullcontext()

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Run each task in a process of its own, to its end.

        Raises:
            EngineError: a process cannot be started.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(self._run_host(task, listener))
        except* EngineError as errors:
            raise EngineError(str(errors.exceptions[0])) from None

    def stop(self) -> None:
        """Request all hosts to stop in order."""
        self._stopped = True

    async def _run_host(self, task: HostTask, listener: ReportListener) -> None:
        """Run one host until its last report; if it is lost, its stations are reported as failed."""
        try:
            process = LeasedHostProcess(HostOrder(self._host, task, _LEASE_S))
        except OSError as error:
            raise EngineError(f"a host process cannot be started: {error.strerror}") from error

        async def exchange() -> tuple[bytes | None, int | None]:
            return process.exchange(stop=self._stopped)

        latest: HostReport | None = None
        try:
            silence_s = longest_silence_s(task, self._silence_s)
            async for report in host_reports(exchange, interval_s=_EXCHANGE_INTERVAL_S, silence_s=silence_s):
                latest = report
                listener(report)
        except HostLostError as error:
            listener(lost_host_report(task, latest, str(error)))
        finally:
            await asyncio.to_thread(process.close)
