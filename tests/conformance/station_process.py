"""The station of this repository as a process: started for one test, and killed after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import httpx

from tests.conformance.station_under_test import IDENTITY, PASSWORD, SERIAL_NUMBER, Setup, variable_row
from tests.patience import PATIENCE_S, until
from tests.programs import Launch, Program


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
        program = self._program = self._launch(arguments, self.log, "")

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
        if setup.edition != "2.0.1":
            csms["versions"] = [setup.edition, "2.0.1"]
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
            return "{ " + ", ".join(f"{key} = {_value(element)}" for key, element in table.items()) + " }"
        case _:
            return json.dumps(value)
