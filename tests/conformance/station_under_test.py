"""The station under test, of which only the HTTP API is used here, and the configuration that a case asks for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.conformance.clock_requests import ClockRequests
from tests.conformance.frames import OcppVersion, Payload

IDENTITY = "CONFORMANCE-1"
PASSWORD = "ConformancePassword1"
SERIAL_NUMBER = "0000001"


@dataclass(frozen=True)
class Setup:
    """The configuration that a case's condition requires. See README.md."""

    evses: int = 1
    attached_cable: bool = False
    security_profile: int = 1
    variables: dict[str, str] = field(default_factory=dict[str, str])
    """`Component.Variable` or `Component.Variable.Instance`, and the value in place of the default"""
    tables: dict[str, Any] = field(default_factory=dict[str, Any])
    """further tables or keys of the installation file, merged over the others"""
    evse: dict[str, Any] = field(default_factory=dict[str, Any])
    """further keys of each EVSE"""
    edition: OcppVersion = "2.0.1"
    """the one that the CSMS chooses"""
    accept_at_boot: bool = True
    """False: the CSMS refuses to connect until the case sets `csms.accepting`, so that it sees the first boot"""


class Unsupported(Exception):
    """The station under test is not what the case needs; the case does not run."""


class Station:
    """The station under test besides OCPP: its simulator and its local API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.clock = ClockRequests(http.base_url)
        self.virtual = True
        """whether its clock is virtual and moves only with `advance`"""
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
            self.now += timedelta(
                seconds=seconds / 2
            )  # close enough while it moves: the station corrects no less than a second
        answer = await self.clock.advance(seconds)
        if answer.status == 404:
            self.virtual = False
            await self.advance(seconds)
            return
        assert answer.status == 200, answer
        self.now = datetime.fromisoformat(json.loads(answer.body)["now"])

    # Driver and surroundings

    async def plug(self, evse_id: int, connector_id: int, **ev: Any) -> None:
        """Connect EV and EVSE."""
        await self.post(f"/api/sim/evses/{evse_id}/plug", {"connector": connector_id, "ev": ev})

    async def unplug(self, evse_id: int, connector_id: int, *, ev_side: bool = False) -> None:
        """Disconnect them; with `ev_side` the cable stays in the socket."""
        await self.post(f"/api/sim/evses/{evse_id}/unplug", {"connector": connector_id, "ev_side": ev_side})

    async def vehicle(self, evse_id: int, **behaviour: Any) -> None:
        """Set how the vehicle behaves from now on."""
        await self.post(f"/api/sim/evses/{evse_id}/vehicle", behaviour)

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


def variable_row(name: str, value: str) -> dict[str, str]:
    """A row of the installation file's `variable`, of `Component.Variable` or `Component.Variable.Instance`."""
    component, variable, *instance = name.split(".")
    row = {"component": component, "variable": variable, "value": value}
    return row | ({"instance": instance[0]} if instance else {})
