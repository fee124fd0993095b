"""The floor of start, memory and idle CPU: a client with `websockets` and JSON that checks nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

_BOOT = '[2,"1","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"flex","vendorName":"borne"}}]'


async def main(url: str) -> None:
    """Connect, boot, and answer every request with an empty payload."""
    async with connect(
        f"{url}/bare", subprotocols=[Subprotocol("ocpp2.0.1")], ping_interval=None, compression=None
    ) as websocket:
        await websocket.send(_BOOT)
        async for text in websocket:
            frame: list[Any] = json.loads(text)
            if frame[0] == 2:
                await websocket.send(json.dumps([3, frame[1], {}], separators=(",", ":")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
