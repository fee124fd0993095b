"""A visitor of the local API of a walk, over real HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from tests.patience import PATIENCE_S
from tests.walk import CARD, Walk

TOKEN = {"id_token": CARD.value, "type": CARD.type}


class Api:
    """A visitor of the local API."""

    def __init__(self, walk: Walk, client: httpx.AsyncClient) -> None:
        self.walk = walk
        self.client = client

    async def get(self, path: str) -> Any:
        """What a GET gives; it must succeed."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def evse(self, evse_id: int = 1) -> dict[str, Any]:
        """An EVSE as /api/status shows it."""
        return (await self.get("/api/status"))["evses"][evse_id - 1]

    async def post(self, path: str, body: object = None, *, status: int = 202, settled: bool = True) -> Any:
        """What a POST answers; with the status that is expected."""
        query = {"wait": "settled"} if settled and "/clock" not in path and "/power" not in path else {}
        answer = await self.client.post(path, json=body, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, path: str, body: object) -> Any:
        """What a PUT answers when it is accepted."""
        answer = await self.client.put(path, json=body, params={"wait": "settled"})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def delete(self, path: str) -> Any:
        """What a DELETE answers when it is accepted."""
        answer = await self.client.delete(path, params={"wait": "settled"})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Let time pass, as a test bench does it."""
        await self.post("/api/sim/clock", {"advance_s": seconds}, status=200)


@contextlib.asynccontextmanager
async def visiting(walk: Walk) -> AsyncGenerator[Api]:
    """A client of the walk's own HTTP port."""
    address = f"http://127.0.0.1:{walk.web.port}"
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
        yield Api(walk, client)
