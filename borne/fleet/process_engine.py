"""The engine `process`: runs each host in an operating-system process of this machine."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.fleet.host import host
from borne.fleet.host_log import log_to_file
from borne.fleet.unit import EngineError, HostTask, ReportListener, lost_host_report
from simulator.fleet.reports import HostReport, decode_report, encode_report

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext

_log = logging.getLogger(__name__)

_STOP: Final = b"stop"


class PipeControl:
    """Connection of a host process to the engine (`HostControl`); the end of the engine is a request to stop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stopped = False

    @property
    def continues(self) -> bool:
        """False: a host that has ended is not started again."""
        return False

    def publish(self, report: HostReport) -> None:
        """Send a report; nothing if the engine has ended."""
        try:
            self._connection.send_bytes(encode_report(report))
        except OSError:
            self._stopped = True

    def stop_requested(self) -> bool:
        """Return whether the engine has sent a stop, or has ended."""
        try:
            if not self._stopped and self._connection.poll():
                self._connection.recv_bytes()
                self._stopped = True
        except (OSError, EOFError):
            self._stopped = True
        return self._stopped


def run_host(task: HostTask, connection: Connection) -> None:
    """Run a host in this process, which was started for it; Ctrl-C is left to the engine."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    log_to_file(task)
    host(task, PipeControl(connection))


class ProcessEngine:
    """Runs each host in a new process of this machine (`FleetEngine`)."""

    def __init__(self) -> None:
        self._hosts: list[_HostProcess] = []
        self._stopped = False

    def prepared(self, folder: Path) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Nothing is needed: each host is a new process."""
        return nullcontext()

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Run each task in a process of its own, to its end.

        Raises:
            EngineError: a process cannot be started.
        """
        context = multiprocessing.get_context("spawn")
        try:
            self._hosts = [_HostProcess(context, task, listener) for task in tasks]
        except OSError as error:
            raise EngineError(f"a host process cannot be started: {error.strerror}") from error
        if self._stopped:
            self.stop()
        try:
            for one in self._hosts:
                await one.wait()
        finally:
            for one in self._hosts:
                one.end()

    def stop(self) -> None:
        """Request all hosts to stop in order."""
        self._stopped = True
        for one in self._hosts:
            one.stop()


class _HostProcess:
    """One host process, and the pipe to it."""

    def __init__(self, context: SpawnContext, task: HostTask, listener: ReportListener) -> None:
        self._task = task
        self._listener = listener
        self._latest: HostReport | None = None
        self._connection, theirs = context.Pipe()
        number = task.numbers.start
        self._process: BaseProcess = context.Process(target=run_host, args=(task, theirs), name=f"fleet host {number}")
        self._process.start()
        theirs.close()
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._receive)

    async def wait(self) -> None:
        """Wait until the process has ended; if it has not sent its last report, report its failure."""
        await self._ended.wait()
        await asyncio.to_thread(self._process.join)
        if self._latest is None or not self._latest.finished:
            self._listener(self._failure())

    def stop(self) -> None:
        """Request the host to stop in order."""
        try:
            self._connection.send_bytes(_STOP)
        except OSError:
            _log.info("host process %s has ended already", self._process.name)

    def end(self) -> None:
        """End the process if it still runs, and close the pipe."""
        if not self._ended.is_set():
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()

    def _receive(self) -> None:
        """Pass a report on; the end of the pipe is the end of the process."""
        try:
            report = decode_report(self._connection.recv_bytes())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._ended.set()
        else:
            self._latest = report
            self._listener(report)

    def _failure(self) -> HostReport:
        """The last report of a host that has ended without one."""
        failure = f"its host process has ended with exit code {self._process.exitcode}"
        return lost_host_report(self._task, self._latest, failure)
