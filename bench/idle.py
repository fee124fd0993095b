"""Measures memory and processor time of idle programs: station and floors at the same time, nobody visits the page."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from bench.csms import neutral_csms
from bench.processes import (
    EQUIPPED,
    STATION,
    MeasuredProgram,
    compile_sources,
    start_program,
    write_installation,
)
from foundation.frozen import Frozen

SETTLING_S = 120.0
"""after this time memory is read: what a station does once a minute has happened, and more than once"""


class IdleFigures(Frozen):
    """One idle program."""

    resident_mib: float
    """its resident memory at the end of the measurement"""
    cpu_percent: float
    """processor time in the second half of the measurement, in percent of one core"""


class IdleComparison(Frozen):
    """Idle programs, measured at the same time."""

    station: IdleFigures
    """a station with one EVSE, whose meter it reads each second"""
    equipped: IdleFigures
    """the same with a Modbus meter and a Linky, both simulated in the same process"""
    bare: IdleFigures
    """a bare `websockets` client"""
    client: IdleFigures
    """a minimal client on the `ocpp` package"""
    after_s: float
    """duration of the measurement"""


async def measure_idle(after_s: float = SETTLING_S) -> IdleComparison:
    """Start all programs, leave them alone for `after_s` seconds, and measure them."""
    await compile_sources()
    async with (
        _station(STATION) as station,
        _station(STATION + EQUIPPED) as equipped,
        _floor("bench.floor_bare") as bare,
        _floor("bench.floor_ocpp") as client,
    ):
        programs = (station, equipped, bare, client)
        await asyncio.sleep(after_s / 2)
        before_s = [program.cpu_s for program in programs]
        await asyncio.sleep(after_s / 2)
        of_station, of_equipped, of_bare, of_client = (
            IdleFigures(program.resident_mib, (program.cpu_s - used_s) / (after_s / 2) * 100.0)
            for program, used_s in zip(programs, before_s, strict=True)
        )
    return IdleComparison(of_station, of_equipped, of_bare, of_client, after_s)


@contextlib.asynccontextmanager
async def _station(configuration: str) -> AsyncGenerator[MeasuredProgram]:
    """A station that starts for the second time in its storage folder, as most stations do."""
    with tempfile.TemporaryDirectory() as folder:
        async with neutral_csms() as csms:
            arguments = write_installation(configuration, Path(folder), csms.url)
            async with start_program(csms, *arguments):
                await asyncio.sleep(1.0)
            async with start_program(csms, *arguments) as measured:
                yield measured


@contextlib.asynccontextmanager
async def _floor(module: str) -> AsyncGenerator[MeasuredProgram]:
    async with neutral_csms() as csms, start_program(csms, "-m", module, csms.url) as measured:
        yield measured
