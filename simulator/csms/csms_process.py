"""`borne csms` as a process: one event loop, or several worker processes that share one port and one file of bills."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.clock import SystemClock
from foundation.frozen import Frozen
from simulator.csms.bill_store import BillStore, MemoryBillStore, SharedBillStore
from simulator.csms.csms import BACKLOG, CsmsSettings, DemoCsms
from simulator.csms.recent_frames import RecentFrames
from simulator.csms.vehicle_answers import CertificatePki
from simulator.loopback_page import HOST, serving_page
from station.storage.read_connections import ReadConnections

if TYPE_CHECKING:
    from starlette.types import ASGIApp

try:
    from uvloop import new_event_loop
except ImportError:  # no wheel for this machine
    from asyncio import new_event_loop

_log = logging.getLogger(__name__)

_BILLS_FILE: Final = "bills.sqlite"
_STDIN_DESCRIPTOR: Final = 0
_HIGHEST_PORT: Final = 65_535
_OTHER_FILES: Final = 64
"""descriptors of a process that are no connections of stations"""
_MAX_DESCRIPTORS: Final = 1_048_576
"""highest limit of open files to request, even if the system allows more"""
_END_TIMEOUT_S: Final = 10.0
_RESTART_INTERVAL_S: Final = 1.0
"""a worker that ended is replaced, but not more often than this"""


class CsmsProcessOptions(Frozen):
    """The options of `borne csms`."""

    host: str
    port: int
    """TCP port; 0: any free port"""
    workers: int = 1
    storage: Path | None = None
    """folder in which bills are kept; None: until the program ends"""
    quiet: bool = False
    """print no frames"""
    time_of_station: bool = False
    heartbeat_interval_s: int = 20
    pki: CertificatePki | None = None
    """the PKI with which it signs certificates and checks contracts"""
    tls: ssl.SSLContext | None = None
    """its certificate, and the authorities of those of stations; None: without TLS"""
    page_port: int | None = None
    """TCP port of page and API, with one worker; 0: any free one; None: the one after `port`, or none if it is taken"""
    until_stdin_closes: bool = False
    """end when standard input, a pipe, is closed at its other end"""


def run_csms(options: CsmsProcessOptions, say: Callable[[str], None]) -> None:
    """Serve the bundled CSMS until SIGINT or SIGTERM. Prints its URL, then each frame, by `say`. Blocks.

    Raises:
        OSError: it cannot listen on an address, or the storage folder cannot be created.
        BillStoreError: the bills in the storage folder cannot be opened.
    """
    most_connections = raise_file_limit() - _OTHER_FILES
    if options.storage is not None:
        options.storage.mkdir(parents=True, exist_ok=True)
    server = _CsmsServer(options, say, most_connections)
    end = _STDIN_DESCRIPTOR if options.until_stdin_closes else None
    if options.workers == 1:
        bills = MemoryBillStore() if options.storage is None else _shared_bills(options.storage / _BILLS_FILE)
        server.run(bills, announce=True, end=end)
        return
    with contextlib.ExitStack() as stack:
        folder = options.storage or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="borne-csms-")))
        listeners = _shared_listeners(options.host, options.port, options.workers)
        for listener in listeners:
            stack.enter_context(listener)
        port: int = listeners[0].getsockname()[1]
        SharedBillStore.create(folder / _BILLS_FILE)
        workers = _Workers(server, listeners, folder / _BILLS_FILE)
        workers.supervise(lambda: say(f"CSMS at {server.scheme}://{options.host}:{port}/ocpp"), end)


def _shared_bills(file: Path) -> SharedBillStore:
    return SharedBillStore(file, ReadConnections(SystemClock()))


def raise_file_limit() -> int:
    """Raise the soft limit of open files of this process to its hard limit; returns the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_limit = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted_limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted_limit, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft != resource.RLIM_INFINITY else _MAX_DESCRIPTORS


def _shared_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Listen at one port with several sockets, among which the kernel distributes connections; port 0 is any free port.

    Raises:
        OSError: the address is in use, or is none of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:  # with SO_REUSEPORT, another CSMS would share its port unasked
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        address = probe.getsockname()
    listeners: list[socket.socket] = []
    for _ in range(count):
        listener = socket.socket(family, kind, protocol)
        listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    for listener in listeners:
        listener.listen(BACKLOG)  # connections queue here until the workers run
    return listeners


class _CsmsServer:
    """The CSMS of one process, with its event loop."""

    def __init__(self, options: CsmsProcessOptions, say: Callable[[str], None], most_connections: int) -> None:
        self._options = options
        self._write_line = say
        self._settings = CsmsSettings(
            time_of_station=options.time_of_station,
            heartbeat_interval_s=options.heartbeat_interval_s,
            most_connections=most_connections,
            pki=options.pki,
            tls=options.tls,
        )

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""
        return self._settings.scheme

    def run(
        self, bills: BillStore, *, announce: bool, listener: socket.socket | None = None, end: int | None = None
    ) -> None:
        """Serve until SIGINT or SIGTERM, or until the pipe `end` is closed by the process at its other end."""
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve(bills, listener, end, announce=announce))

    async def _serve(
        self, bills: BillStore, listener: socket.socket | None, end: int | None, *, announce: bool
    ) -> None:
        def print_frame(identity: str, direction: str, text: str) -> None:
            self._write_line(f"{csms.now():%H:%M:%S} {identity} {'→' if direction == 'in' else '←'} {text}")

        def print_and_keep_frame(identity: str, direction: str, text: str) -> None:
            print_frame(identity, direction, text)
            frames.append(identity, direction, text)

        options, now = self._options, SystemClock().now
        frames, has_page = RecentFrames(now), options.workers == 1
        if options.quiet:
            on_frame = frames.append if has_page else None
        else:
            on_frame = print_and_keep_frame if has_page else print_frame
        csms = DemoCsms(now, on_frame, settings=self._settings, bills=bills)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        if end is not None:
            loop.add_reader(end, stopped.set)
        try:
            async with csms.listening(options.host, options.port, listener=listener):
                if announce:
                    self._write_line(f"CSMS at {csms.url}")
                async with self._serving_page(csms, frames) if has_page else contextlib.nullcontext():
                    await stopped.wait()
        finally:
            if end is not None:
                loop.remove_reader(end)
            await bills.close()

    @contextlib.asynccontextmanager
    async def _serving_page(self, csms: DemoCsms, frames: RecentFrames) -> AsyncGenerator[None]:
        """Serve page and API while the block runs; without a port, go on without if the usual one is taken.

        Raises:
            OSError: the port cannot be bound.
        """
        wanted, next_port = self._options.page_port, csms.port + 1
        port = wanted if wanted is not None else next_port if self._options.port and next_port <= _HIGHEST_PORT else 0

        def build() -> ASGIApp:
            from simulator.csms.orders_api import csms_application  # late: for the first visitor

            return csms_application(csms, frames)

        async with contextlib.AsyncExitStack() as stack:
            try:
                bound = await stack.enter_async_context(serving_page(build, port, "page of the CSMS"))
                self._write_line(f"page and API at http://{HOST}:{bound}/")
            except OSError as error:
                if wanted is not None:
                    raise
                self._write_line(f"no page and API: port {port}: {error.strerror}; --http-port chooses another one")
            yield


class _Workers:
    """Starts a process for each listener, and starts it again if it ends. Its socket stays open and keeps the queue."""

    def __init__(self, server: _CsmsServer, listeners: list[socket.socket], bills: Path) -> None:
        self._server = server
        self._listeners = listeners
        self._bills = bills
        self._context = multiprocessing.get_context("fork")  # the modules are loaded once, and shared
        self._end_read, self._end_write = os.pipe()

    def supervise(self, on_start: Callable[[], None], end: int | None) -> None:
        """Run until SIGINT or SIGTERM, or until the pipe `end` is closed; then end the workers.

        `on_start` is called when they have been started.
        """
        with _signal_socket() as signalled:
            ends = [signalled] if end is None else [signalled, end]
            workers = [self._start_worker(number) for number in range(len(self._listeners))]
            try:
                on_start()
                while True:
                    ready = wait_for_any([*ends, *(worker.sentinel for worker in workers)])
                    if any(end_descriptor in ready for end_descriptor in ends):
                        return
                    for number, worker in enumerate(workers):
                        if worker.exitcode is not None:
                            _log.warning("worker %d ended with exit code %d; it is replaced", number, worker.exitcode)
                            time.sleep(_RESTART_INTERVAL_S)
                            workers[number] = self._start_worker(number)
            finally:
                os.close(self._end_write)
                for worker in workers:
                    worker.join(_END_TIMEOUT_S)
                    if worker.is_alive():
                        worker.kill()

    def _start_worker(self, number: int) -> ForkProcess:
        worker = self._context.Process(target=self._run_worker, args=(number,), name=f"csms-{number}")
        worker.start()
        return worker

    def _run_worker(self, number: int) -> None:
        """The work of one process."""
        os.close(self._end_write)  # so that the end of the parent closes the pipe
        for index, listener in enumerate(self._listeners):
            if index != number:
                listener.close()
        bills = _shared_bills(self._bills)
        self._server.run(bills, announce=False, listener=self._listeners[number], end=self._end_read)


@contextlib.contextmanager
def _signal_socket() -> Generator[socket.socket]:
    """A socket that becomes readable when SIGINT or SIGTERM arrives."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        previous = [(number, signal.signal(number, _ignore_signal)) for number in (signal.SIGINT, signal.SIGTERM)]
        signal.set_wakeup_fd(sender.fileno())
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous:
                signal.signal(number, handler)


def _ignore_signal(*_: object) -> None:
    """The signal arrives by the wake-up descriptor."""
