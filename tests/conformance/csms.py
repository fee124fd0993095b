"""The test system's CSMS: one endpoint that a station connects to; it answers, asks, and remembers every frame."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.conformance.frames import Frame, OcppVersion, Payload, fault_of
from tests.patience import PATIENCE_S

_LONGEST_PING_S = 5.0
"""real time; a station on a busy machine answers later, one whose network is cut does not"""


@dataclass(frozen=True)
class CallError:
    """Answer a CALL with a CALLERROR."""

    code: str = "InternalError"
    description: str = ""


class NoAnswer:
    """Do not answer a CALL at all."""


Reply = Payload | CallError | NoAnswer
Rule = Callable[[Payload], Reply]


@dataclass
class Received:
    """A CALL or SEND of the station that no step has looked at yet."""

    action: str
    payload: Payload
    frame: Frame


@dataclass
class Journal:
    """Every frame of every endpoint, in order."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    frames: list[Frame] = field(default_factory=list[Frame])
    faults: list[str] = field(default_factory=list[str])
    """frames that do not fit their schema; a test that sends one on purpose removes it again"""
    connections: Any = field(default_factory=lambda: itertools.count(1))

    def note(self, frame: Frame) -> None:
        """A frame passed."""
        self.frames.append(frame)
        if (fault := fault_of(frame)) is not None:
            self.faults.append(f"{'station' if frame.from_station else 'test system'}: {fault}")

    def sent(self, action: str) -> list[Frame]:
        """The CALLs and SENDs of the station with this action so far."""
        return [
            frame for frame in self.frames if frame.from_station and frame.kind in {2, 6} and frame.action == action
        ]


class Csms:
    """An endpoint of the test system."""

    def __init__(self, journal: Journal, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.journal = journal
        self.tls = tls
        self.port = port
        self.path = "/ocpp"
        self.passwords: dict[str, str] | None = None
        """password by identity for basic authentication; None: no authentication"""
        self.edition: OcppVersion = "2.0.1"
        """the one that it chooses at each handshake"""
        self.accepting = True
        """whether a station may connect; else the handshake is answered with `refusal`"""
        self.refusal = 503
        self.rules: dict[str, Rule] = {}
        """the reply to CALLs of an action, in place of the default one"""
        self.unread: list[Received] = []
        self.handshakes: list[Request] = []
        """every attempt to connect, refused ones too"""
        self.tls_versions: list[str] = []
        self.client_certificates: list[bytes | None] = []
        """DER, per connection"""
        self.id_token_infos: dict[str, Payload] = {}
        """the idTokenInfo answered for an id token; `default_info` for the rest"""
        self.default_info: Payload = {"status": "Accepted"}
        self.connected = asyncio.Event()
        self._websocket: ServerConnection | None = None
        self._connection = 0
        self._open: dict[str, tuple[str, asyncio.Future[Frame]]] = {}
        self._ids = itertools.count(1)
        self._server: Server | None = None

    # The endpoint

    @property
    def attempts(self) -> int:
        """The number of connection attempts, refused ones included."""
        return len(self.handshakes)

    @property
    def subprotocol(self) -> str:
        """The subprotocol of its edition."""
        return f"ocpp{self.edition}"

    @property
    def url(self) -> str:
        """The URL it listens on, without the identity."""
        scheme = "wss" if self.tls is not None else "ws"
        host = "localhost" if self.tls is not None else "127.0.0.1"
        return f"{scheme}://{host}:{self.port}{self.path}"

    @property
    def connection(self) -> int:
        """The number of the present or the latest websocket."""
        return self._connection

    async def start(self) -> None:
        """Listen."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.tls,
            select_subprotocol=lambda _, offered: next(
                (subprotocol for subprotocol in offered if subprotocol == self.subprotocol), None
            ),
            process_request=self._process_handshake,
            ping_interval=None,
            close_timeout=0.5,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and drop who is connected."""
        self.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def restart(self, tls: ssl.SSLContext | None) -> None:
        """Listen at the same port with other TLS."""
        await self.stop()
        self.tls = tls
        await self.start()

    async def caught_up(self) -> None:
        """Wait until every frame that the station has sent is processed; with a cut network, for a few seconds only."""
        if self._websocket is None:
            return
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_LONGEST_PING_S):
                await (await self._websocket.ping())
        await asyncio.sleep(0.002)  # another task processes the frames received before the pong

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        if self._websocket is not None:
            self._websocket.transport.abort()
            self._mark_disconnected()

    async def close(self, *, and_stay_away: bool = True) -> None:
        """Close the websocket; with `and_stay_away` no reconnect is accepted until `accepting` is set."""
        self.accepting = not and_stay_away
        if self._websocket is not None:
            websocket = self._websocket
            with contextlib.suppress(ConnectionClosed):
                await websocket.close()
            self._mark_disconnected()

    def _mark_disconnected(self) -> None:
        self._websocket = None
        self.connected.clear()

    def _process_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        if not self.accepting:
            return connection.respond(self.refusal, "not now\n")
        if self.passwords is None:
            return None
        user, password = self.credentials_of(request) or ("", "")
        known = password != "" and self.passwords.get(user) == password
        return None if known else connection.respond(401, "who are you\n")

    @staticmethod
    def credentials_of(request: Request) -> tuple[str, str] | None:
        """User and password of a handshake; None without basic authentication."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        user, _, password = base64.b64decode(secret).decode().partition(":")
        return user, password

    async def _serve(self, websocket: ServerConnection) -> None:
        if websocket.subprotocol != self.subprotocol:
            await websocket.close(1002)
            return
        self._note_tls(websocket)
        self._connection = next(self.journal.connections)
        number = self._connection
        self._websocket = websocket
        self.connected.set()
        try:
            async for text in websocket:
                try:
                    message = json.loads(text)
                    await self._take(websocket, number, message)
                except (ValueError, LookupError, TypeError, AttributeError) as error:
                    self.journal.faults.append(f"station: no frame of OCPP-J: {error!r}: {text!r}")
        except ConnectionClosed:
            pass
        finally:
            if self._websocket is websocket:
                self._mark_disconnected()

    def _note_tls(self, websocket: ServerConnection) -> None:
        secured: ssl.SSLObject | None = websocket.transport.get_extra_info("ssl_object")
        if secured is not None:
            self.tls_versions.append(str(secured.version()))
            self.client_certificates.append(secured.getpeercert(binary_form=True))

    # Frames of the station

    async def _take(self, websocket: ServerConnection, number: int, message: list[Any]) -> None:
        kind, message_id = message[0], message[1]
        if kind == 2:
            frame = Frame(True, 2, message_id, message[2], message[3], self.journal.now(), number, self.edition)
            self.journal.note(frame)
            self.unread.append(Received(message[2], message[3], frame))
            await self._answer(websocket, frame)
            return
        if kind == 6:
            frame = Frame(True, 6, message_id, message[2], message[3], self.journal.now(), number, self.edition)
            self.journal.note(frame)
            self.unread.append(Received(message[2], message[3], frame))
            return
        action, answer = self._open.pop(message_id, ("", None))
        payload = message[2] if kind == 3 else {"code": message[2], "description": message[3], "details": message[4]}
        frame = Frame(True, kind, message_id, action, payload, self.journal.now(), number, self.edition)
        self.journal.note(frame)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def _answer(self, websocket: ServerConnection, call: Frame) -> None:
        reply = self.rules.get(call.action, lambda payload: self._default_reply(call.action, payload))(call.payload)
        if isinstance(reply, NoAnswer):
            return
        kind = 4 if isinstance(reply, CallError) else 3
        payload = {"code": reply.code, "description": reply.description} if isinstance(reply, CallError) else reply
        self.journal.note(
            Frame(False, kind, call.message_id, call.action, payload, self.journal.now(), call.connection, self.edition)
        )
        wire: list[Any] = [kind, call.message_id]
        wire += [reply.code, reply.description, {}] if isinstance(reply, CallError) else [reply]
        with contextlib.suppress(ConnectionClosed):
            await websocket.send(json.dumps(wire))

    def _default_reply(self, action: str, payload: Payload) -> Reply:
        now = self.journal.now().isoformat().replace("+00:00", "Z")
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTokenInfo": self.info_of(payload["idToken"])}
            case "TransactionEvent":
                return {"idTokenInfo": self.info_of(payload["idToken"])} if "idToken" in payload else {}
            case "SignCertificate" | "DataTransfer" | "NotifyEVChargingSchedule" | "OpenPeriodicEventStream":
                return {"status": "Accepted"}
            case "NotifyEVChargingNeeds":
                return {"status": "Rejected"}
            case "GetCertificateStatus":
                return {"status": "Failed"}
            case _:
                return {}

    def info_of(self, id_token: Payload) -> Payload:
        """The IdTokenInfoType of an id token."""
        return self.id_token_infos.get(id_token["idToken"], self.default_info)

    def default_reply(self, action: str, payload: Payload) -> Reply:
        """The answer that a CALL gets when no rule says otherwise; for rules that change it a little."""
        return self._default_reply(action, payload)

    # CALLs to the station

    async def send_call(self, action: str, payload: Payload, *, within_s: float = PATIENCE_S) -> Frame:
        """Send a CALL and wait for the answer, CALLRESULT or CALLERROR (`within_s` real seconds)."""
        assert self._websocket is not None, "the station is not connected"
        message_id = f"test-{next(self._ids)}"
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._open[message_id] = (action, answer)
        self.journal.note(
            Frame(False, 2, message_id, action, payload, self.journal.now(), self._connection, self.edition)
        )
        await self._websocket.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(within_s):
            return await answer

    async def answer_late(self, call: Frame, payload: Payload) -> None:
        """Answer a CALL that was left without an answer."""
        await self.send_raw(json.dumps([3, call.message_id, payload]))
        self.journal.note(
            Frame(False, 3, call.message_id, call.action, payload, self.journal.now(), call.connection, self.edition)
        )

    async def send_raw(self, text: str) -> None:
        """Send any frame; it is not noted in the journal."""
        assert self._websocket is not None, "the station is not connected"
        await self._websocket.send(text)

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL; the payload of the CALLRESULT. A CALLERROR fails the test."""
        answer = await self.send_call(action, payload)
        assert answer.kind == 3, f"{action} is answered with a CALLERROR: {answer.payload}"
        return answer.payload


class MuteEndpoint:
    """An endpoint that accepts every TCP connection and sends nothing: no TLS, no HTTP, no refusal.

    With `tls` it completes the TLS handshake, and sends nothing after it.
    """

    def __init__(self, *, secured: bool, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "wss" if secured or tls is not None else "ws"
        self._tls = tls
        self.attempts = 0
        """to connect"""
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The URL it listens on, without the identity."""
        assert self._server is not None
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ocpp"

    async def __aenter__(self) -> MuteEndpoint:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass  # until the station leaves
        writer.close()
