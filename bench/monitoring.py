"""Measures what monitors cost: `python -m bench.monitoring`.

First the processor time of an idle station with eight EVSEs, without and with 1,000 monitors, in turns; then how fast
monitors are set, one in each message.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.csms import NeutralCsms
from bench.processes import STATION, MeasuredProgram, run_program

_EVSES = 8
_MONITORS = 1_000
_ITEMS_PER_MESSAGE = 50
_SETTLING_S = 5.0
_AIM_PERCENT = 0.02
_RATE = 10_000
"""SetVariableMonitoring messages"""
_VARIABLES = (
    ("EVSE", "Power", ("UpperThreshold", "LowerThreshold", "Delta")),
    ("EVSE", "AvailabilityState", ("Delta",)),
    ("EVSE", "Problem", ("Delta",)),
    ("FiscalMetering", "EnergyImportRegister", ("UpperThreshold", "LowerThreshold", "Delta")),
    ("PowerContactor", "Count", ("Delta",)),
    ("PowerContactor", "Active", ("Delta",)),
    ("RCD", "Tripped", ("Delta",)),
    ("CPPWMController", "State", ("Delta",)),
    ("OverCurrentProtection", "Tripped", ("Delta",)),
)
_VALUES = {"UpperThreshold": 20_000, "LowerThreshold": 0, "Delta": 10}


def monitors() -> Iterator[dict[str, Any]]:
    """Yield monitors of live variables, as SetMonitoringDataType; none is triggered by an idle station."""
    for severity, evse_id in itertools.product(range(10), range(1, _EVSES + 1)):
        for component, variable, kinds in _VARIABLES:
            place = {"component": {"name": component, "evse": {"id": evse_id}}, "variable": {"name": variable}}
            for kind in kinds:
                yield {**place, "type": kind, "value": _VALUES[kind], "severity": severity}


async def _set_monitors(csms: NeutralCsms) -> list[int]:
    """Set all monitors; returns their ids."""
    ids: list[int] = []
    for items in _batches():
        answer = await csms.ask(0, "SetVariableMonitoring", json.dumps({"setMonitoringData": items}))
        ids += [result["id"] for result in answer["setMonitoringResult"] if result["status"] == "Accepted"]
    return ids


def _batches() -> Iterator[list[dict[str, Any]]]:
    chosen = itertools.islice(monitors(), _MONITORS)
    while items := list(itertools.islice(chosen, _ITEMS_PER_MESSAGE)):
        yield items


async def _clear_monitors(csms: NeutralCsms, ids: list[int]) -> None:
    for start in range(0, len(ids), _ITEMS_PER_MESSAGE):
        await csms.ask(0, "ClearVariableMonitoring", json.dumps({"id": ids[start : start + _ITEMS_PER_MESSAGE]}))


def _processor_s(pid: int) -> float:
    """Processor time of all threads of a process, in seconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


async def _load_percent(measured: MeasuredProgram, seconds: float) -> float:
    """The processor time of a program during some seconds, in percent of a core."""
    await asyncio.sleep(_SETTLING_S)
    began_s, used_s = time.monotonic(), _processor_s(measured.process.pid)
    await asyncio.sleep(seconds)
    return (_processor_s(measured.process.pid) - used_s) / (time.monotonic() - began_s) * 100


async def _idle(measured: MeasuredProgram, turns: int, seconds: float) -> None:
    without: list[float] = []
    added: list[float] = []
    for _ in range(turns):
        without.append(await _load_percent(measured, seconds))
        ids = await _set_monitors(measured.csms)
        if len(ids) != _MONITORS:
            raise RuntimeError(f"only {len(ids)} monitors were accepted")
        added.append(await _load_percent(measured, seconds) - without[-1])
        await _clear_monitors(measured.csms, ids)
    print(f"idle, {_EVSES} EVSEs: {statistics.median(without):.3f} % of a core ({_rounded(without)})")
    verdict = "met" if statistics.median(added) < _AIM_PERCENT else "NOT MET"
    print(f"{_MONITORS} monitors add {statistics.median(added):+.3f} % ({_rounded(added)})")
    print(f"aim < {_AIM_PERCENT} %: {verdict}")


def _rounded(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


async def _flood(measured: MeasuredProgram) -> None:
    """Set a monitor, then replace it again and again."""
    (data, *_) = monitors()
    answer = await measured.csms.ask(0, "SetVariableMonitoring", json.dumps({"setMonitoringData": [data]}))
    item = {**data, "id": answer["setMonitoringResult"][0]["id"]}
    took: list[float] = []
    began_s, used_s = time.perf_counter(), _processor_s(measured.process.pid)
    for number in range(_RATE):
        sent_s = time.perf_counter()
        payload = json.dumps({"setMonitoringData": [{**item, "value": number}]})
        await measured.csms.ask(number, "SetVariableMonitoring", payload)
        took.append(time.perf_counter() - sent_s)
    spent_s, load_s = time.perf_counter() - began_s, _processor_s(measured.process.pid) - used_s
    took.sort()
    middle_ms, late_ms = (took[len(took) * percent // 100] * 1e3 for percent in (50, 99))
    print(f"{_RATE} SetVariableMonitoring, each on disk before its answer: {spent_s:.1f} s, {load_s:.1f} s of a core")
    print(f"an answer takes {middle_ms:.2f} ms (p50), {late_ms:.2f} ms (p99)")


async def measure(turns: int, seconds: float) -> None:
    """Run a station, and print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = STATION + "".join(f"[[evse]]\nid = {number}\nphases = 3\n" for number in range(1, _EVSES + 1))
        async with run_program("-m", "borne", "run", configuration=configuration, folder=Path(folder)) as measured:
            await _idle(measured, turns, seconds)
            await _flood(measured)


if __name__ == "__main__":
    asyncio.run(
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3, float(sys.argv[2]) if len(sys.argv) > 2 else 30.0)
    )
