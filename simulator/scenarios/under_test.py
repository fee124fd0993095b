"""What a scenario needs of its station and its CSMS, whichever they are; and a station that is reached by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from foundation.frozen import Frozen
from foundation.json_values import integer_of, is_object, objects_of
from simulator.csms.orders import CallAnswer, ChosenAnswer
from simulator.scenarios.messages import StationFrame

_REQUEST_TIMEOUT_S: Final = 600.0
"""an advance of the clock by hours answers late"""
_LONGEST_REASON: Final = 500
_POLL_S: Final = 0.1
"""real seconds between two looks at a station that is off, or whose stream of events has ended"""


class ApiResponse(Frozen):
    """A response of a station's API."""

    status: int
    """HTTP status"""
    body: object
    """parsed JSON; the text if it is none"""

    @property
    def reason(self) -> str:
        """The reason of a refusal."""
        detail = self.body.get("detail") if is_object(self.body) else None
        text = detail if isinstance(detail, str) else json.dumps(self.body if detail is None else detail)
        return text[:_LONGEST_REASON]


class StationError(Exception):
    """The station does not answer, or refuses what a scenario asks of it; the message says why."""


class StationUnderTest(Protocol):
    """The station of a scenario."""

    async def request(self, method: str, path: str, body: object = None) -> ApiResponse:
        """Send a request to its API.

        Raises:
            StationError: it does not answer.
        """
        ...

    async def frames(self, after: int) -> list[StationFrame]:
        """The OCPP messages after this number, as far as its log still has them; none while it is off."""
        ...

    async def advance(self, seconds: float) -> None:
        """Advance its virtual clock at once."""
        ...

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait, in real time, until something happens at the station; at most for so long."""
        ...


class CsmsError(Exception):
    """The CSMS does not do what a scenario asks of it; the message says why."""


class ControlledCsms(Protocol):
    """Lets a CSMS send requests, chooses its answers, and reads its bills."""

    async def call(self, identity: str, action: str, payload: Mapping[str, object]) -> CallAnswer:
        """Let it send a request to the station, and return the answer.

        Raises:
            CsmsError: it cannot, or the station does not answer.
        """
        ...

    async def choose_answer(self, identity: str, action: str, answer: ChosenAnswer) -> None:
        """Choose how it answers the next requests of an action.

        Raises:
            CsmsError: it cannot.
        """
        ...

    async def bill(self, identity: str, transaction_id: str) -> Mapping[str, object] | None:
        """What it has recorded of a transaction, with the fields of `BillAtCsms`; None: nothing.

        Raises:
            CsmsError: it does not say.
        """
        ...


async def status_of(station: StationUnderTest) -> dict[str, object]:
    """The status of a station, as GET /api/status returns it.

    Raises:
        StationError: it does not answer, refuses, or is no station.
    """
    response = await station.request("GET", "/api/status")
    if response.status != HTTPStatus.OK or not is_object(response.body) or not is_object(response.body.get("clock")):
        raise StationError(f"GET /api/status ({response.status}) is not answered as by a station: {response.reason}")
    return response.body


def observed_frames(body: object) -> list[StationFrame]:
    """The frames in the response of GET /api/frames."""
    return [
        StationFrame(
            integer_of(row["number"]),
            datetime.fromisoformat(str(row["at"])),
            "station" if row["direction"] == "out" else "csms",
            str(row["text"]),
            str(row.get("note", "")),
        )
        for row in objects_of(body)
    ]


class HttpStation:
    """A station that is driven and observed by HTTP: a running one at a URL, or one in this process."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """`client`: with the base URL of the station, and an access token if it needs one."""
        self._client = client

    async def request(self, method: str, path: str, body: object = None) -> ApiResponse:
        """Send a request to its API.

        Raises:
            StationError: it does not answer.
        """
        try:
            response = await self._client.request(method, path, json=body, timeout=_REQUEST_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise StationError(f"the station does not answer: {error or type(error).__name__}") from error
        try:
            return ApiResponse(response.status_code, response.json())
        except ValueError:
            return ApiResponse(response.status_code, response.text)

    async def frames(self, after: int) -> list[StationFrame]:
        """The OCPP messages after this number, as far as its log still has them; none while it is off.

        Raises:
            StationError: it does not answer, or refuses to show them.
        """
        response = await self.request("GET", f"/api/frames?since={after}")
        if response.status == HTTPStatus.CONFLICT:  # it has no power
            return []
        if response.status != HTTPStatus.OK:
            raise StationError(f"GET /api/frames: {response.reason}")
        return observed_frames(response.body)

    async def advance(self, seconds: float) -> None:
        """Advance its virtual clock at once.

        Raises:
            StationError: it does not answer, or refuses.
        """
        response = await self.request("POST", "/api/sim/clock", {"advance_s": seconds})
        if response.status != HTTPStatus.OK:
            raise StationError(f"POST /api/sim/clock: {response.reason}")

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait for a little while, in real time."""
        await asyncio.sleep(min(timeout_s, _POLL_S))


@contextlib.asynccontextmanager
async def station_at(url: str, token: str | None) -> AsyncGenerator[HttpStation]:
    """A running station at the URL of its local API; `token`: access token of its service role, None: none is sent."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    # `verify`: the page of a station has a certificate of its own making
    async with httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, verify=False, trust_env=False) as client:
        yield HttpStation(client)
