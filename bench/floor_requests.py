"""The floor of the requests of `bench.requests`: `websockets`, JSON, both schema checks, and a synced commit to SQLite.

It answers GetVariables, and stores what SetVariables and SetChargingProfile carry. Nothing else of a station is there.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.schema import Schemas

_BOOT = '[2,"1","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"flex","vendorName":"borne"}}]'


def _opened(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE requests (action TEXT PRIMARY KEY, payload TEXT)")
    return database


def _answer(database: sqlite3.Connection, action: str, request: dict[str, Any]) -> dict[str, Any]:
    if action == "GetVariables":
        items = [
            {**item, "attributeStatus": "Accepted", "attributeType": "Actual", "attributeValue": "300"}
            for item in request["getVariableData"]
        ]
        return {"getVariableResult": items}
    database.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (action, json.dumps(request)))
    if action == "SetChargingProfile":
        return {"status": "Accepted"}
    results = [
        {"attributeStatus": "Accepted", "component": item["component"], "variable": item["variable"]}
        for item in request["setVariableData"]
    ]
    return {"setVariableResult": results}


async def main(url: str, path: str) -> None:
    """Connect, boot, and answer every request, until the connection ends."""
    schemas, database = Schemas(V201), _opened(path)
    async with connect(
        f"{url}/floor", subprotocols=[Subprotocol("ocpp2.0.1")], ping_interval=None, compression=None
    ) as websocket:
        await websocket.send(_BOOT)
        async for text in websocket:
            frame: list[Any] = json.loads(text)
            if frame[0] != 2:
                continue
            if schemas.check_request(frame[2], frame[3]) is not None:
                raise ValueError("not valid")
            payload = _answer(database, frame[2], frame[3])
            if schemas.check_response(frame[2], payload) is not None:
                raise ValueError("not valid")
            await websocket.send(json.dumps([3, frame[1], payload], separators=(",", ":")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
