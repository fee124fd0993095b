"""The station of this repository as a process: started for one test, and killed after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

import httpx

from tests.conformance.station import IDENTITY, PASSWORD, SERIAL_NUMBER, Setup, variable_row
from tests.patience import PATIENCE_S, until

_HOST: Final = "tests.conformance.station_host"


class Program(Protocol):
    """A process that has been started."""

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        ...


Launch = Callable[[Sequence[str], Path], Program]
"""starts `borne` with these arguments, and its output in this file"""


def launch_own(arguments: Sequence[str], log: Path) -> Program:
    """Start `python -m borne`, as a user does."""
    with log.open("ab") as output:
        command = [sys.executable, "-m", "borne", *arguments]
        return subprocess.Popen(command, stdout=output, stderr=output, env=_environment())


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
    return {**inherited, "PYTHONPATH": "."}


class StationHost:
    """Context manager: a process that has loaded the program (`station_host.py`) and forks one for each test."""

    def __enter__(self) -> Self:
        """Start the host."""
        command = [sys.executable, "-m", _HOST]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End the host and the programs that still run."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def launch(self, arguments: Sequence[str], log: Path) -> Program:
        """Fork the program, which behaves as one that was started with these arguments."""
        return _ForkedProgram(self, self.request(start=list(arguments), log=str(log)))

    def request(self, **request: object) -> Any:
        """Send a request to the host; returns its response."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        response = self._process.stdout.readline()
        assert response, "the host of the stations has ended; its error output says why"
        return json.loads(response)


class _ForkedProgram:
    """A program that the host has forked."""

    def __init__(self, host: StationHost, pid: int) -> None:
        self._host = host
        self._pid = pid

    def poll(self) -> int | None:
        return self._host.request(poll=self._pid)

    def kill(self) -> None:
        self._host.request(kill=self._pid)

    def wait(self) -> int:
        return self._host.request(wait=self._pid)


class StationProcess:
    """The station of this repository, started for one test."""

    def __init__(self, folder: Path, launch: Launch) -> None:
        self._folder = folder
        self._launch = launch
        self._program: Program | None = None
        self.storage = folder / "storage"
        self.log = folder / "station.log"

    async def start(self, setup: Setup, csms_url: str, tls: dict[str, str]) -> httpx.AsyncClient:
        """Start it with a setup; returns the client of its API once that answers."""
        config = self._folder / "station.toml"
        ready = self._folder / "ready.json"
        config.write_text(to_toml(self._tables(setup, csms_url, tls)), encoding="utf-8")
        ready.unlink(missing_ok=True)
        arguments = ["run", "--config", str(config), "--http-port", "0", "--ready-file", str(ready)]
        program = self._program = self._launch(arguments, self.log)

        def has_started() -> bool:
            assert program.poll() is None, f"the station did not start:\n{self.log.read_text()[-2000:]}"
            return ready.exists()

        await until(has_started)
        port = json.loads(ready.read_text())["http_port"]
        # plain HTTP: without `verify`, each client would load all root certificates, which takes 10 ms
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, verify=False)

    def kill(self) -> None:
        """End it at once: nothing is asserted of how it stops."""
        if self._program is not None and self._program.poll() is None:
            self._program.kill()
            self._program.wait()

    def _tables(self, setup: Setup, csms_url: str, tls: dict[str, str]) -> dict[str, Any]:
        csms: dict[str, Any] = {"url": csms_url, "security_profile": setup.security_profile, **tls}
        if setup.security_profile in (1, 2):
            csms["password"] = PASSWORD
        kind = "cType2" if setup.attached_cable else "sType2"
        tables: dict[str, Any] = {
            "station": {"identity": IDENTITY, "serial_number": SERIAL_NUMBER, "storage": str(self.storage)},
            "csms": csms,
            "http": {"port": 0},
            "log": {"level": "info", "format": "human"},
            "simulation": {"rate": 0.0},
            "evse": [
                {"id": number, "attached_cable": setup.attached_cable, "connector_type": kind, **setup.evse}
                for number in range(1, setup.evses + 1)
            ],
            "variable": [variable_row(name, value) for name, value in setup.variables.items()],
        }
        for name, table in setup.tables.items():
            mergeable = isinstance(table, dict) and isinstance(tables.get(name), dict)
            tables[name] = {**tables[name], **table} if mergeable else table
        return tables


def to_toml(tables: dict[str, Any]) -> str:
    """Tables, lists of tables and simple values as TOML."""
    lines: list[str] = []
    for name, table in tables.items():
        if isinstance(table, list):
            for row in cast("list[dict[str, Any]]", table):
                lines += [f"[[{name}]]", *_keys(row)]
        else:
            lines += [f"[{name}]", *_keys(table)]
    return "\n".join(lines) + "\n"


def _keys(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items() if value is not None]


def _value(value: Any) -> str:
    match value:
        case dict():
            table = cast("dict[str, Any]", value)
            return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in table.items()) + " }"
        case _:
            return json.dumps(value)
