"""A forked station is a process as any other, and the suite imports nothing of the station."""

from __future__ import annotations

import ast
import json
import os
import signal
from pathlib import Path

from tests.conformance.station import Setup
from tests.conformance.station_process import StationHost, StationProcess
from tests.processes import is_running

_HOST = Path(__file__).with_name("station_host.py")
_STATION = {"foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne"}


def _imports(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module)
            case _:
                pass
    return found


def test_only_the_host_imports_the_station() -> None:
    """Directly, or through other modules of the tests."""
    root = _HOST.parents[2]
    left, known = [file for file in _HOST.parent.glob("*.py") if file != _HOST], set[Path]()
    while left:
        known.add(file := left.pop())
        names = _imports(file)
        assert {name.partition(".")[0] for name in names} & _STATION == set(), file
        others = {root.joinpath(*name.split(".")).with_suffix(".py") for name in names if name.startswith("tests.")}
        left += [other for other in others - known if other.exists()]


def test_a_forked_program_has_its_arguments_its_output_and_its_exit_code(
    station_host: StationHost, tmp_path: Path
) -> None:
    good = station_host.launch(["version"], tmp_path / "good.log")
    wrong = station_host.launch(["run", "--config", str(tmp_path / "none.toml")], tmp_path / "wrong.log")
    assert (good.wait(), good.poll()) == (0, 0)
    assert (wrong.wait(), wrong.poll()) == (2, 2)
    assert (tmp_path / "good.log").read_text().startswith("borne ")
    assert "none.toml" in (tmp_path / "wrong.log").read_text()


async def _start(host: StationHost, folder: Path) -> int:
    """Fork a station, whose CSMS cannot be reached; returns the id of its process."""
    process = StationProcess(folder, host.launch)
    async with await process.start(Setup(), "ws://127.0.0.1:9/ocpp", {}):
        pass
    return json.loads((folder / "ready.json").read_text())["pid"]


async def test_a_forked_station_stops_in_order_at_a_signal(station_host: StationHost, tmp_path: Path) -> None:
    pid = await _start(station_host, tmp_path)
    assert pid not in {os.getpid(), os.getppid()}
    os.kill(pid, signal.SIGTERM)
    assert station_host.request(wait=pid) == 0


async def test_a_forked_station_is_killed_as_a_process_is(station_host: StationHost, tmp_path: Path) -> None:
    pid = await _start(station_host, tmp_path)
    assert station_host.request(poll=pid) is None
    station_host.request(kill=pid)
    assert station_host.request(wait=pid) == -signal.SIGKILL


async def test_the_stations_of_a_host_end_with_it(tmp_path: Path) -> None:
    with StationHost() as host:
        pid = await _start(host, tmp_path)
        assert is_running(pid)
    assert not is_running(pid)
