"""A CSMS for tests: a real websocket server with configurable answers: in time, late, twice, wrong or none."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ocpp_handlers.wire.edition import EDITIONS, V201, Edition, chosen_edition
from ocpp_handlers.wire.schema import Schemas, shared_schemas
from tests.patience import PATIENCE_S

Payload = dict[str, Any]
"""JSON of a message; untyped, so that tests can read any field"""


@dataclass(frozen=True)
class CallErrorAnswer:
    """Answer with a CALLERROR."""

    code: str = "InternalError"
    description: str = ""


NO_ANSWER = CallErrorAnswer("never")
"""Do not answer at all."""

Answer = Payload | CallErrorAnswer
Rule = Callable[[Payload], Answer]


@dataclass
class Received:
    """A CALL of the station."""

    action: str
    payload: Payload
    id: str


@dataclass
class Csms:
    """Records the messages of the station, and answers them as configured."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    subprotocol: str | None = "ocpp2.0.1"
    http_status: int | None = None
    """refuse the handshake with this status"""
    answers: dict[str, Rule] = field(default_factory=dict[str, Rule])
    calls: list[Received] = field(default_factory=list[Received])
    errors: list[list[Any]] = field(default_factory=list[list[Any]])
    """CALLERRORs of the station"""
    schema_faults: list[str] = field(default_factory=list[str])
    paths: list[str] = field(default_factory=list[str])
    headers: list[Headers] = field(default_factory=list[Headers])
    connections: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._websocket: ServerConnection | None = None
        self._open_requests: dict[str, asyncio.Future[list[Any]]] = {}
        self._ids = itertools.count(1)
        self._unread: list[Received] = []
        self._call_received = asyncio.Event()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The URL of the CSMS."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def edition(self) -> Edition:
        """The edition of its subprotocol; OCPP 2.0.1 if that is none."""
        return chosen_edition(EDITIONS, self.subprotocol) or V201

    @property
    def _schemas(self) -> Schemas:
        return shared_schemas(self.edition)

    @property
    def connected(self) -> bool:
        """Whether the station is connected."""
        return self._websocket is not None

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL and wait for the CALLRESULT. Raises AssertionError on a CALLERROR."""
        answer = await self.request(action, payload)
        assert answer[0] == 3, answer
        if (fault := self._schemas.check_response(action, answer[2])) is not None:
            self.schema_faults.append(f"{action}Response: {fault.description}")
        return cast("Payload", answer[2])

    async def request(self, action: str, payload: Any) -> list[Any]:
        """Send a CALL and wait for the response; returns its whole frame."""
        identity = f"csms-{next(self._ids)}"
        return await self.request_raw(json.dumps([2, identity, action, payload]), identity)

    async def request_raw(self, text: str | bytes, identity: str) -> list[Any]:
        """Send any frame, and wait for the response with this message id."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._open_requests[identity] = answer
        await self.send_raw(text)
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def send_raw(self, text: str | bytes) -> None:
        """Send any frame."""
        assert self._websocket is not None, "the station is not connected"
        await self._websocket.send(text)

    async def expect(self, action: str, where: Callable[[Payload], bool] = lambda _: True) -> Payload:
        """Wait for the next unread CALL of this action; earlier ones then count as read."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for index, received in enumerate(self._unread):
                    if received.action == action and where(received.payload):
                        del self._unread[: index + 1]
                        return received.payload
                self._call_received.clear()
                await self._call_received.wait()

    def received(self, action: str) -> list[Payload]:
        """All received CALLs of this action."""
        return [received.payload for received in self.calls if received.action == action]

    def drop(self) -> None:
        """Abort the connection without a Close frame."""
        if self._websocket is not None:
            self._websocket.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Close the connection with a Close frame."""
        if self._websocket is not None:
            await self._websocket.close(code)

    async def _serve(self, websocket: ServerConnection) -> None:
        self.connections += 1
        self._websocket = websocket
        if websocket.request is not None:
            self.paths.append(websocket.request.path)
            self.headers.append(websocket.request.headers)
        try:
            async for text in websocket:
                await self._handle_frame(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            if self._websocket is websocket:
                self._websocket = None

    async def _handle_frame(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            await self._answer(frame[1], frame[2], frame[3])
            return
        if frame[0] == 4:
            self.errors.append(frame)
        if (answer := self._open_requests.pop(frame[1], None)) is not None and not answer.done():
            answer.set_result(frame)

    async def _answer(self, identity: str, action: str, payload: Payload) -> None:
        if (fault := self._schemas.check_request(action, payload)) is not None:
            self.schema_faults.append(f"{action}: {fault.description}")
        received = Received(action, payload, identity)
        self.calls.append(received)
        self._unread.append(received)
        self._call_received.set()
        rule = self.answers.get(action, self._default(action))
        answer = rule(payload)
        if answer is NO_ANSWER:
            return
        if isinstance(answer, CallErrorAnswer):
            await self.send_raw(json.dumps([4, identity, answer.code, answer.description, {}]))
        else:
            await self.send_raw(json.dumps([3, identity, answer]))

    def _default(self, action: str) -> Rule:
        now = self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        match action:
            case "BootNotification":
                return lambda _: {"currentTime": now, "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return lambda _: {"currentTime": now}
            case "Authorize":
                return lambda _: {"idTokenInfo": {"status": "Accepted"}}
            case "TransactionEvent":
                return lambda event: {"idTokenInfo": {"status": "Accepted"}} if "idToken" in event else {}
            case _:
                return lambda _: {}

    def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        del request
        if self.http_status is None:
            return None
        return connection.respond(self.http_status, "no\n")

    def _select_subprotocol(self, connection: ServerConnection, offered: object) -> Subprotocol | None:
        del connection, offered
        return Subprotocol(self.subprotocol) if self.subprotocol is not None else None


@contextlib.asynccontextmanager
async def running_csms(csms: Csms | None = None, **options: Any) -> AsyncGenerator[Csms]:
    """Run a CSMS on a free local port."""
    csms = csms if csms is not None else Csms()
    server = await serve(
        csms._serve,  # pyright: ignore[reportPrivateUsage]  # the server is its other half
        "127.0.0.1",
        csms.port,
        select_subprotocol=csms._select_subprotocol,  # pyright: ignore[reportPrivateUsage]  # its own class
        process_request=csms._refuse_handshake,  # pyright: ignore[reportPrivateUsage]  # the same
        ping_interval=None,
        **options,
    )
    csms.port = next(iter(server.sockets)).getsockname()[1]
    try:
        yield csms
    finally:
        csms.drop()
        server.close()
        await server.wait_closed()
