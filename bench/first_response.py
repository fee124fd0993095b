"""Measures the time from exec to the status light and to the first API response of an uncommissioned station."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.processes import compile_sources

_STATION = """
[station]
identity = "BENCH-1"
storage = "{folder}/storage"
commissioning = "required"
[light]
type = "sysfs"
paths = ["{folder}/led"]
"""
_LED = {"multi_index": "red green blue", "max_brightness": "255", "trigger": "none pattern", "brightness": "0"}
_POLL_INTERVAL_S = 0.002
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """Milliseconds from exec to the light and to the first response."""

    light_ms: float
    """the LED pattern has been written"""
    answer_ms: float
    """the API has returned the commissioning stage; polled from the start on"""


async def measure_first_response() -> FirstResponse:
    """Start an uncommissioned station, and measure its first responses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "led").mkdir()
        for file, text in (_LED | {"multi_intensity": "", "pattern": ""}).items():
            (folder / "led" / file).write_text(text, encoding="ascii")
        (folder / "station.toml").write_text(_STATION.format(folder=folder), encoding="utf-8")
        port = _free_port()
        await compile_sources()
        began_s = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "borne", "run"),
            *("--config", str(folder / "station.toml"), "--http-port", str(port)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as group:
                light = group.create_task(asyncio.to_thread(_light_time_s, folder / "led" / "pattern"))
                answer = group.create_task(asyncio.to_thread(_first_response_time_s, port))
            return FirstResponse((light.result() - began_s) * 1000, (answer.result() - began_s) * 1000)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _light_time_s(pattern: Path) -> float:
    """The time at which the LED pattern was written, the last step of switching it on."""
    given_up_s = time.perf_counter() + _TIMEOUT_S
    while time.perf_counter() < given_up_s:
        if pattern.read_text(encoding="ascii"):
            return time.perf_counter()
        time.sleep(_POLL_INTERVAL_S)
    raise TimeoutError("the light stays dark")


def _first_response_time_s(port: int) -> float:
    """The time of the first API response with the commissioning stage."""
    given_up_s = time.perf_counter() + _TIMEOUT_S
    while time.perf_counter() < given_up_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/commissioning", timeout=_TIMEOUT_S) as answer:
                if json.load(answer)["stage"] == "not-commissioned":
                    return time.perf_counter()
        except OSError:  # not listening yet; 409 until the station runs
            pass
        time.sleep(_POLL_INTERVAL_S)
    raise TimeoutError("the API does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
