"""Measures the time from exec to BootNotification, of the station and of its floors in turns."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench.csms import NeutralCsms, neutral_csms
from bench.processes import STATION, compile_sources, one_cpu, start_program, write_installation
from foundation.frozen import Frozen


class StartFigures(Frozen):
    """Medians, in milliseconds from exec to the arrival of the BootNotification."""

    usual_ms: float
    """of a station that has run before with the same storage and installation file"""
    first_ms: float
    """of a station whose storage folder does not exist yet"""
    bare_ms: float
    """of a bare `websockets` client"""
    client_ms: float
    """of a minimal client on the `ocpp` package"""


async def measure_starts(runs: int) -> StartFigures:
    """Start each program `runs` times, in turns, with CSMS and program on one CPU."""
    await compile_sources()
    times: list[tuple[float, float, float, float]] = []
    async with neutral_csms() as csms:
        with one_cpu():
            times = [await _one_turn(csms) for _ in range(runs)]
    usual_ms, first_ms, bare_ms, client_ms = (statistics.median(column) for column in zip(*times, strict=True))
    return StartFigures(usual_ms, first_ms, bare_ms, client_ms)


async def _one_turn(csms: NeutralCsms) -> tuple[float, float, float, float]:
    """One start of each, in the order of `StartFigures`."""
    with tempfile.TemporaryDirectory() as folder:
        station = write_installation(STATION, Path(folder), csms.url)
        first_ms = await _start_ms(csms, *station)
        bare_ms = await _start_ms(csms, "-m", "bench.floor_bare", csms.url)
        client_ms = await _start_ms(csms, "-m", "bench.floor_ocpp", csms.url)
        return await _start_ms(csms, *station), first_ms, bare_ms, client_ms


async def _start_ms(csms: NeutralCsms, *arguments: str) -> float:
    async with start_program(csms, *arguments) as measured:
        return measured.cold_start_ms
