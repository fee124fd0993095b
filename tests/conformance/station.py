"""The station under test: a process of its own, or one that somebody started; of it only the HTTP API is used here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx

from tests.conformance.frames import Payload
from tests.patience import PATIENCE_S

IDENTITY = "CONFORMANCE-1"
PASSWORD = "ConformancePassword1"
SERIAL_NUMBER = "0000001"


@dataclass(frozen=True)
class Setup:
    """The configuration that a case's condition asks for. See README.md."""

    evses: int = 1
    attached_cable: bool = False
    security_profile: int = 1
    variables: dict[str, str] = field(default_factory=dict[str, str])
    """`Component.Variable` or `Component.Variable.Instance`, and the value in place of the default"""
    tables: dict[str, Any] = field(default_factory=dict[str, Any])
    """further tables or keys of the installation file, merged over the others"""
    evse: dict[str, Any] = field(default_factory=dict[str, Any])
    """further keys of each EVSE"""
    accept_at_boot: bool = True
    """False: the CSMS refuses to connect until the case sets `csms.accepting`, so that it sees the first boot"""


class Unsupported(Exception):
    """The station under test is not what the case needs; the case does not run."""


class Station:
    """What a test does to the station and sees of it, besides OCPP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.virtual = True
        """whether its clock moves when it is told"""
        self.now: datetime | None = None

    async def get(self, path: str) -> Any:
        """Read from the local API."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def post(self, path: str, body: Payload | None = None, *, settle: bool = True) -> Any:
        """Act through the local API; answers when the station has acted on it."""
        return await self._send("POST", path, body, settle=settle)

    async def put(self, path: str, body: Payload) -> Any:
        """Put something through the local API."""
        return await self._send("PUT", path, body, settle=False)

    async def delete(self, path: str, body: Payload | None = None) -> Any:
        """Take something away through the local API."""
        return await self._send("DELETE", path, body, settle=False)

    async def _send(self, method: str, path: str, body: Payload | None, *, settle: bool) -> Any:
        params = {"wait": "settled"} if settle else {}
        answer = await self.http.request(method, path, json=body if body is not None else {}, params=params)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Let time pass on the station's clock."""
        if not self.virtual:
            await asyncio.sleep(seconds)
            return
        if self.now is not None:
            self.now += timedelta(seconds=seconds / 2)  # good enough while it moves: nobody corrects less than a second
        answer = await self.http.post("/api/sim/clock", json={"advance_s": seconds})
        if answer.status_code == 404:
            self.virtual = False
            await self.advance(seconds)
            return
        assert answer.is_success, answer.text
        self.now = datetime.fromisoformat(answer.json()["now"])

    # Driver and surroundings

    async def plug(self, evse_id: int, connector_id: int, **ev: Any) -> None:
        """Connect EV and EVSE."""
        await self.post(f"/api/sim/evses/{evse_id}/plug", {"connector": connector_id, "ev": ev})

    async def unplug(self, evse_id: int, connector_id: int, *, ev_side: bool = False) -> None:
        """Disconnect them; with `ev_side` the cable stays in the socket."""
        await self.post(f"/api/sim/evses/{evse_id}/unplug", {"connector": connector_id, "ev_side": ev_side})

    async def vehicle(self, evse_id: int, **wish: Any) -> None:
        """What the vehicle wants from now on."""
        await self.post(f"/api/sim/evses/{evse_id}/vehicle", wish)

    async def parking_bay(self, evse_id: int, *, occupied: bool) -> None:
        """The parking-bay sensor."""
        await self.post(f"/api/sim/evses/{evse_id}/parking-bay", {"occupied": occupied})

    async def present(self, evse_id: int | None, id_token: Payload) -> None:
        """Hold a token to the reader."""
        body = {"id_token": id_token["idToken"], "type": id_token["type"]}
        await self.post(f"/api/evses/{evse_id}/token" if evse_id is not None else "/api/token", body)

    async def power(self, action: str) -> None:
        """Cut or restore the power: `loss`, `restore`, `cycle`."""
        await self.post("/api/sim/power", {"action": action}, settle=False)

    async def link(self, state: str) -> None:
        """The network to the CSMS: `up` or `down`."""
        await self.post("/api/sim/csms-link", {"state": state})


class StationProcess:
    """The station of this repository, started for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.storage = folder / "storage"
        self.log = folder / "station.log"

    async def start(self, setup: Setup, csms_url: str, tls: dict[str, str]) -> httpx.AsyncClient:
        """Start it with a setup; returns the client of its API once that answers."""
        config = self._folder / "station.toml"
        ready = self._folder / "ready.json"
        config.write_text(to_toml(self._tables(setup, csms_url, tls)), encoding="utf-8")
        command = [sys.executable, "-m", "borne", "run", "--config", str(config)]
        command += ["--http-port", "0", "--ready-file", str(ready)]
        ready.unlink(missing_ok=True)
        self._spawn(command)
        given_up = time.monotonic() + PATIENCE_S
        while not ready.exists():
            assert self._process is not None
            assert self._process.poll() is None, f"the station did not start:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < given_up, "the station did not get ready"
            await asyncio.sleep(0.01)
        port = json.loads(ready.read_text())["http_port"]
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)

    def _spawn(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**inherited, "PYTHONPATH": "."})

    def stop(self) -> None:
        """Stop it in order; kill it when it does not stop."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the station did not stop") from None

    def kill(self) -> None:
        """End it at once: nothing is asserted of how it stops."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

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


def variable_row(name: str, value: str) -> dict[str, str]:
    """A row of the installation file's `variable`, of `Component.Variable` or `Component.Variable.Instance`."""
    component, variable, *instance = name.split(".")
    row = {"component": component, "variable": variable, "value": value}
    return row | ({"instance": instance[0]} if instance else {})


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
