"""Starts the measured programs as processes, with a NeutralCsms in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from bench.csms import NeutralCsms, neutral_csms

_BOOT_WAIT_S = 30.0
_ROOT = Path(__file__).parent.parent
_OURS = ("foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne", "bench")

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
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        if found is None:
            raise RuntimeError("the process is gone")
        return int(found[1]) / 1024


async def compile_sources() -> None:
    """Compile the sources to byte code, as in an installation; some environments keep Python from writing it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiling = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "compileall", "-q", *_OURS, env=environment, cwd=_ROOT
    )
    await compiling.wait()


@contextlib.asynccontextmanager
async def run_program(
    *arguments: str, configuration: str | None = None, folder: Path | None = None
) -> AsyncGenerator[MeasuredProgram]:
    """Start a program and wait until it has booted; `configuration`: of a station, with `{url}` and `{storage}`."""
    async with neutral_csms() as csms:
        if configuration is not None and folder is not None:
            file = folder / "station.toml"
            file.write_text(configuration.format(url=csms.url, storage=folder / "storage"), encoding="utf-8")
            arguments = (*arguments, "--config", str(file), "--http-port", "0")
        else:
            arguments = (*arguments, csms.url)
        await compile_sources()
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
