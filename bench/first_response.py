"""How soon after exec a station shows its light, and answers whoever comes to commission it."""

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
_LOOK_S = 0.002
_LONGEST_S = 30.0


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """Milliseconds from exec to each."""

    light_ms: float
    """the kernel has been told to shine"""
    answer_ms: float
    """the API has told how far the commissioning is; it was asked from the first moment on"""


async def measure_first_response() -> FirstResponse:
    """Start a station that is yet to be commissioned, and watch it."""
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
            async with asyncio.timeout(_LONGEST_S), asyncio.TaskGroup() as group:
                light = group.create_task(asyncio.to_thread(_light_time_s, folder / "led" / "pattern"))
                answer = group.create_task(asyncio.to_thread(_answers, port))
            return FirstResponse((light.result() - began_s) * 1000, (answer.result() - began_s) * 1000)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _light_time_s(pattern: Path) -> float:
    """When the LED was told its pattern, the last of what makes it shine."""
    given_up_s = time.perf_counter() + _LONGEST_S
    while time.perf_counter() < given_up_s:
        if pattern.read_text(encoding="ascii"):
            return time.perf_counter()
        time.sleep(_LOOK_S)
    raise TimeoutError("the light stays dark")


def _answers(port: int) -> float:
    """When the API first told the stage of the station."""
    given_up_s = time.perf_counter() + _LONGEST_S
    while time.perf_counter() < given_up_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/commissioning", timeout=_LONGEST_S) as answer:
                if json.load(answer)["stage"] == "not-commissioned":
                    return time.perf_counter()
        except OSError:  # nobody listens yet; and 409 until the station lives
            pass
        time.sleep(_LOOK_S)
    raise TimeoutError("the API does not answer")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
