"""A client of the local API of a walk, over real HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from tests.patience import PATIENCE_S
from tests.walk import CARD, Walk

TOKEN = {"id_token": CARD.value, "type": CARD.type}


class Api:
    """A client of the local API; checks the status of each response."""

    def __init__(self, walk: Walk, client: httpx.AsyncClient) -> None:
        self.walk = walk
        self.client = client

    async def get(self, path: str) -> Any:
        """Send a GET, which must succeed; returns the JSON."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def evse(self, evse_id: int = 1) -> dict[str, Any]:
        """The status of an EVSE from /api/status."""
        return (await self.get("/api/status"))["evses"][evse_id - 1]

    async def post(self, path: str, body: object = None, *, status: int = 202, settled: bool = True) -> Any:
        """Send a POST and check the status; returns the JSON."""
        query = {"wait": "settled"} if settled and "/clock" not in path and "/power" not in path else {}
        answer = await self.client.post(path, json=body, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, path: str, body: object) -> Any:
        """Send a PUT, which must be accepted; returns the JSON."""
        answer = await self.client.put(path, json=body, params={"wait": "settled"})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def delete(self, path: str) -> Any:
        """Send a DELETE, which must be accepted; returns the JSON."""
        answer = await self.client.delete(path, params={"wait": "settled"})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Advance the time through the simulation API."""
        await self.post("/api/sim/clock", {"advance_s": seconds}, status=200)


@contextlib.asynccontextmanager
async def visiting(walk: Walk) -> AsyncGenerator[Api]:
    """A client of the HTTP port of the walk's station."""
    address = f"http://127.0.0.1:{walk.web.port}"
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
        yield Api(walk, client)
