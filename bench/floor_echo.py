"""The baseline of a round trip: bare `websockets`, JSON, and the schema check of both messages, without a station."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from ocpp_handlers.wire.schema import Schemas

_BOOT = '[2,"1","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"flex","vendorName":"borne"}}]'


async def main(url: str) -> None:
    """Connect, boot, and answer every GetVariables with the same value."""
    schemas = Schemas()
    async with connect(
        f"{url}/echo", subprotocols=[Subprotocol("ocpp2.0.1")], ping_interval=None, compression=None
    ) as websocket:
        await websocket.send(_BOOT)
        async for text in websocket:
            frame: list[Any] = json.loads(text)
            if frame[0] != 2:
                continue
            if schemas.check_request(frame[2], frame[3]) is not None:
                raise ValueError("not valid")
            item = frame[3]["getVariableData"][0]
            result = {**item, "attributeStatus": "Accepted", "attributeType": "Actual", "attributeValue": "300"}
            payload = {"getVariableResult": [result]}
            if schemas.check_response(frame[2], payload) is not None:
                raise ValueError("not valid")
            await websocket.send(json.dumps([3, frame[1], payload], separators=(",", ":")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
