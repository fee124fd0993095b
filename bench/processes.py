"""Starts the measured programs as processes, with a NeutralCsms in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import sysconfig
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

from bench.csms import NeutralCsms, neutral_csms

_BOOT_WAIT_S = 30.0
_ROOT = Path(__file__).parent.parent
_OWN_PACKAGES = ("foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne", "bench")

STATION = """
[station]
identity = "BENCH-1"
storage = "{storage}"
[csms]
url = "{url}"
"""
EQUIPPED = """
[[evse]]
phases = 1
[grid]
phases = 1
source = {{ type = "linky" }}
[simulation]
meter_transport = "modbus-tcp"
linky = {{ mode = "standard", phases = 1, subscribed_va = 9000 }}
"""


@dataclass(slots=True)
class MeasuredProgram:
    """A running program that has sent its BootNotification."""

    csms: NeutralCsms
    process: asyncio.subprocess.Process
    cold_start_ms: float
    """from exec to the BootNotification's arrival"""

    @property
    def resident_mib(self) -> float:
        """The current resident memory of the program, in MiB."""
        return resident_mib(self.process.pid)

    @property
    def cpu_s(self) -> float:
        """The processor time that all threads of the program have used, in seconds."""
        return cpu_s(self.process.pid)


def resident_mib(pid: int) -> float:
    """The current resident memory of a process, in MiB.

    Raises:
        RuntimeError: the process has ended.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise RuntimeError("the process is gone")
    return int(found[1]) / 1024


def cpu_s(pid: int) -> float:
    """The processor time of a process, user and system, of all its threads; in seconds, to the nanosecond.

    /proc/<pid>/stat counts in steps of 10 ms, of which an idle station uses a few in a minute.
    """
    return time.clock_gettime((~pid << 3) | 2)  # the clock of clock_getcpuclockid(3): CPUCLOCK_SCHED of the process


@contextlib.contextmanager
def one_cpu() -> Generator[None]:
    """Run this thread, and the processes that it starts, on one CPU: across two, each wake-up adds some 40 µs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def compile_sources() -> None:
    """Compile the sources, and those of the installed packages, to byte code, as an installation does.

    Some environments keep Python from writing it. Then every start would compile what it imports: that takes longer
    than the start itself, and 8 MiB that the process keeps.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiling = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "compileall",
            "-q",
            *_OWN_PACKAGES,
            *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")},
        ),
        env=environment,
        cwd=_ROOT,
        stdout=asyncio.subprocess.DEVNULL,  # packages bring files for other versions of Python
        stderr=asyncio.subprocess.DEVNULL,
    )
    await compiling.wait()


def write_installation(configuration: str, folder: Path, url: str) -> tuple[str, ...]:
    """Write the installation file of a station into `folder`, with its storage there; returns the arguments of `borne`.

    `configuration`: with `{url}` and `{storage}`.
    """
    file = folder / "station.toml"
    file.write_text(configuration.format(url=url, storage=folder / "storage"), encoding="utf-8")
    return ("-m", "borne", "run", "--config", str(file), "--http-port", "0")


@contextlib.asynccontextmanager
async def start_program(csms: NeutralCsms, *arguments: str) -> AsyncGenerator[MeasuredProgram]:
    """Start a Python program with these arguments, and wait until it has booted at `csms`; ends it afterwards."""
    csms.expect_boot()
    began_s = time.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_BOOT_WAIT_S):
            await csms.booted.wait()
        yield MeasuredProgram(csms, process, ((csms.booted_at or 0.0) - began_s) * 1000)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def run_program(
    *arguments: str, configuration: str | None = None, folder: Path | None = None
) -> AsyncGenerator[MeasuredProgram]:
    """Start a program and wait until it has booted; `configuration`: of a station, with `{url}` and `{storage}`."""
    await compile_sources()
    async with neutral_csms() as csms:
        if configuration is not None and folder is not None:
            arguments = write_installation(configuration, folder, csms.url)
        else:
            arguments = (*arguments, csms.url)
        async with start_program(csms, *arguments) as measured:
            yield measured
