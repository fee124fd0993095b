"""A minimal CSMS for measurements: answers at once, stores and checks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_HEARTBEAT_S = 3600
_GET_VARIABLES = json.dumps(
    {"getVariableData": [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]}
)


class NeutralCsms:
    """Counts received messages, and measures round trips."""

    def __init__(self, heartbeat_s: int = _HEARTBEAT_S) -> None:
        """`heartbeat_s`: the interval of Heartbeats that it asks for."""
        self._heartbeat_s = heartbeat_s
        self.heartbeat = asyncio.Event()
        """set once a Heartbeat has arrived"""
        self.booted_at: float | None = None
        """wall time of the first BootNotification"""
        self.events = 0
        """number of received TransactionEvents"""
        self.booted = asyncio.Event()
        self.all_events = asyncio.Event()
        self.expected_events = 0
        self.url = ""
        self._websocket: ServerConnection | None = None
        self._answer: asyncio.Future[list[Any]] | None = None

    def expect_boot(self) -> None:
        """Forget an earlier BootNotification: `booted` and `booted_at` are those of the next one."""
        self.booted_at = None
        self.booted.clear()

    async def round_trip_us(self, identity: int) -> float:
        """The time from sending a GetVariables to its response, in microseconds."""
        began_s = time.perf_counter()
        await self.ask(identity, "GetVariables", _GET_VARIABLES)
        return (time.perf_counter() - began_s) * 1e6

    async def ask(self, identity: int, action: str, payload: str) -> Any:
        """Send a request with this JSON payload, and return the payload of the response; one at a time.

        Raises:
            RuntimeError: the station is not connected, or answered with a CALLERROR.
        """
        websocket = self._connected()
        self._answer = asyncio.get_running_loop().create_future()
        await websocket.send(f'[2,"{identity}","{action}",{payload}]')
        frame = await self._answer
        if frame[0] != 3:
            raise RuntimeError(f"the station answered {frame}")
        return frame[2]

    async def ping_us(self) -> float:
        """The time until the station answers a websocket ping, in microseconds: its event loop is free then."""
        websocket = self._connected()
        began_s = time.perf_counter()
        await (await websocket.ping())
        return (time.perf_counter() - began_s) * 1e6

    def _connected(self) -> ServerConnection:
        if self._websocket is None:
            raise RuntimeError("the station is not connected")
        return self._websocket

    async def _serve(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        with contextlib.suppress(ConnectionClosed):
            async for text in websocket:
                frame: list[Any] = json.loads(text)
                if frame[0] == 2:
                    await websocket.send(f'[3,"{frame[1]}",{self._reply(frame[2])}]')
                elif self._answer is not None and not self._answer.done():
                    self._answer.set_result(frame)

    def _reply(self, action: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        match action:
            case "BootNotification":
                if self.booted_at is None:
                    self.booted_at = time.time()
                self.booted.set()
                return f'{{"currentTime":"{now}","interval":{self._heartbeat_s},"status":"Accepted"}}'
            case "Heartbeat":
                self.heartbeat.set()
                return f'{{"currentTime":"{now}"}}'
            case "TransactionEvent":
                self.events += 1
                if self.events >= self.expected_events:
                    self.all_events.set()
            case _:
                pass
        return "{}"


@contextlib.asynccontextmanager
async def neutral_csms(heartbeat_s: int = _HEARTBEAT_S) -> AsyncGenerator[NeutralCsms]:
    """Run a NeutralCsms on a free local port; `heartbeat_s`: the interval of Heartbeats that it asks for."""
    from websockets.typing import Subprotocol

    csms = NeutralCsms(heartbeat_s)
    async with serve(
        csms._serve,  # pyright: ignore[reportPrivateUsage]  # this is its other half
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp2.0.1")],
        ping_interval=None,
        compression=None,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        csms.url = f"ws://127.0.0.1:{port}"
        yield csms
