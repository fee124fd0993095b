"""A host in a child process that runs only while its parent renews its lease.

For engines whose parent process may be lost or cut off from the fleet. The child ends at once, as by a power cut, when
its parent ends however it ends (the pipe closes), or has not renewed the lease in time. A lock on a file keeps a second
host from the same storage until the first one has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final

from borne.fleet.host_log import log_to_file
from borne.fleet.unit import Host, HostTask
from foundation.frozen import Frozen
from simulator.fleet.reports import HostReport, encode_report

LEASE_ENDED: Final = 75
"""exit code of a host whose lease was not renewed, or whose parent has ended"""
LOCKED: Final = 76
"""exit code of a host whose storage another host still uses"""
_RENEW_MESSAGE: Final = b"r"
_STOP_MESSAGE: Final = b"s"
_LENGTH_BYTES: Final = 4
_LOCK_CHECK_INTERVAL_S: Final = 0.2
_END_TIMEOUT_S: Final = 1.0
"""a host that does not notice its closed pipe is stopped or hangs in the kernel: it is killed"""


class HostOrder(Frozen):
    """The task of a leased host, with its lease."""

    host: Host
    """a function of a module, since it is pickled by its name"""
    task: HostTask
    lease_s: float
    """real seconds without a renewal after which it ends"""
    continues: bool = False
    """whether an earlier host of the same task was lost"""
    lock_file: str | None = None
    """file to be locked while it runs; None: nobody else can reach its storage"""


class LeasedHostProcess:
    """A leased host, seen from its parent."""

    def __init__(self, order: HostOrder) -> None:
        """Start it; its lease begins.

        Raises:
            OSError: the process cannot be started.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "borne.fleet.leased_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches the engine, which then stops the hosts in order
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin
        self._latest = _LatestReport()
        threading.Thread(
            target=_receive_reports, args=(self._process.stdout, self._latest), name="reports of a host", daemon=True
        ).start()
        self._send(_frame_of(pickle.dumps(order)))

    def exchange(self, *, stop: bool) -> tuple[bytes | None, int | None]:
        """Renew the lease, and request a stop in order if wanted.

        Returns the latest report, encoded, unless it was returned before; and the exit code once the host has ended.
        """
        self._send(_STOP_MESSAGE if stop else _RENEW_MESSAGE)
        exit_code = self._process.poll() if self._latest.complete.is_set() else None
        return self._latest.take(), exit_code

    def close(self) -> int:
        """End the host at once, unless it has ended; returns its exit code."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._latest.complete.wait()
        return self._process.returncode

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        with contextlib.suppress(OSError):  # it has ended: `exchange` returns its exit code
            while rest:
                rest = rest[self._input.write(rest) :]


class _LatestReport:
    """The latest report of a host: each includes the former ones."""

    def __init__(self) -> None:
        self.complete = threading.Event()
        """set when there will be no further one"""
        self._lock = threading.Lock()
        self._report: bytes | None = None
        """the latest report; None: none received yet, or already taken"""

    def replace(self, report: bytes) -> None:
        """Replace the latest report."""
        with self._lock:
            self._report = report

    def take(self) -> bytes | None:
        """The latest report, once."""
        with self._lock:
            report, self._report = self._report, None
            return report


def _receive_reports(stream: IO[bytes], latest: _LatestReport) -> None:
    """Read reports until the host ends. Knows nothing of the process object, which may be dropped meanwhile."""
    with stream:
        while (report := _read_frame(stream)) is not None:
            latest.replace(report)
    latest.complete.set()


def _frame_of(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def _read_frame(stream: IO[bytes]) -> bytes | None:
    """Read one frame; None at the end of the stream, also within a frame."""
    length = _read_exactly(stream, _LENGTH_BYTES)
    return _read_exactly(stream, int.from_bytes(length, "big")) if length is not None else None


def _read_exactly(stream: IO[bytes], count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


# In the child


class LeaseControl:
    """Connection of a leased host to its parent (`HostControl`)."""

    def __init__(self, order: HostOrder, control: int, reports: int) -> None:
        """`control`, `reports`: descriptors of the pipes from and to the parent."""
        self._lease_s = order.lease_s
        self._continues = order.continues
        self._control = control
        self._reports = reports
        self._stopped = threading.Event()

    def watch(self) -> None:
        """End the process when the lease ends; to be run in a thread."""
        while True:
            ready, _, _ = select.select([self._control], [], [], self._lease_s)
            received = os.read(self._control, 4096) if ready else b""
            if not received:
                os._exit(LEASE_ENDED)
            if _STOP_MESSAGE in received:
                self._stopped.set()

    @property
    def continues(self) -> bool:
        """Whether an earlier host of the same task was lost."""
        return self._continues

    def publish(self, report: HostReport) -> None:
        """Send a report to the parent."""
        data = memoryview(_frame_of(encode_report(report)))
        try:
            while data:
                data = data[os.write(self._reports, data) :]
        except OSError:  # the parent has ended
            os._exit(LEASE_ENDED)

    def stop_requested(self) -> bool:
        """Return whether the parent has requested a stop."""
        return self._stopped.is_set()


def main() -> None:
    """Run the host whose order is read from standard input, and write its reports to standard output."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    reports = os.dup(1)
    os.dup2(2, 1)  # what anybody prints is no report
    with open(0, "rb", buffering=0, closefd=False) as stream:
        data = _read_frame(stream)
    if data is None:
        raise SystemExit(LEASE_ENDED)
    order: HostOrder = pickle.loads(data)
    control = LeaseControl(order, 0, reports)
    threading.Thread(target=control.watch, name="lease", daemon=True).start()
    if order.lock_file is not None:
        lock_file(Path(order.lock_file), within_s=longest_lock_wait_s(order.lease_s))
    log_to_file(order.task)
    order.host(order.task, control)


def longest_lock_wait_s(lease_s: float) -> float:
    """Real seconds for which a host waits for its storage: until the lease of the host before has ended.

    The lock itself may be freed later than that, by the file system of another machine.
    """
    return 4 * lease_s


def lock_file(path: Path, *, within_s: float) -> None:
    """Lock a file until the process ends, by `flock`; waits while another process has locked it.

    Raises:
        SystemExit: with LOCKED: it is still locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    given_up_s = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= given_up_s:
                raise SystemExit(LOCKED) from None
            time.sleep(_LOCK_CHECK_INTERVAL_S)
        else:
            return


if __name__ == "__main__":
    main()
