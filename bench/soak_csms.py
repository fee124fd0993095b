"""The CSMS of the soak test: checks what it receives, and keeps only totals of transactions that have ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

_REGISTER = "Energy.Active.Import.Register"
_RESPONSE_TIMEOUT_S = 20.0
"""real seconds to wait for an answer of the station"""
_MAX_ENDED_STORED = 20
"""ended transactions that are kept, to recognize events that are sent again"""


class InvariantError(AssertionError):
    """An invariant of the soak test does not hold; the message says which."""


@dataclass(slots=True)
class ReceivedTransaction:
    """The events of one transaction: sequence numbers, and the import registers that they contain, in Wh."""

    registers: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    """by sequence number"""
    last: int | None = None
    """sequence number of the Ended event; None: it runs"""

    @property
    def complete(self) -> bool:
        """Whether every event up to the end was received."""
        return self.last is not None and len(self.registers) == self.last + 1

    def billed_wh(self) -> float | None:
        """Check sequence numbers and registers of an ended transaction; return its energy, None without registers.

        Raises:
            InvariantError: an event is missing, or the register ran backwards.
        """
        if sorted(self.registers) != list(range((self.last or 0) + 1)):
            raise InvariantError(f"sequence numbers have gaps: {sorted(self.registers)}, the end is {self.last}")
        values = [value for number in sorted(self.registers) for value in self.registers[number]]
        if values != sorted(values):
            raise InvariantError(f"the register ran backwards: {values}")
        if not self.registers[0] or not self.registers[self.last or 0]:
            return None
        return values[-1] - values[0]


class SoakCsms:
    """Accepts one station, answers it, and sends it requests; it can be unreachable, and restart."""

    def __init__(self) -> None:
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """the time that it sends to the station"""
        self.url = ""
        self.running: dict[str, ReceivedTransaction] = {}
        """transactions without all of their events"""
        self.ended = 0
        """number of transactions received completely"""
        self.billed_wh = 0.0
        """the sum of their energies"""
        self.unbilled = 0
        """those of them without a register at begin or end"""
        self.faults: list[str] = []
        """what was wrong with the events received"""
        self._recently_ended: dict[str, ReceivedTransaction] = {}
        self._unreachable = False
        self._websocket: ServerConnection | None = None
        self._ids = itertools.count(1)
        self._pending_calls: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def connected(self) -> bool:
        """Whether the station is connected."""
        return self._websocket is not None

    def leave(self) -> None:
        """Abort the connection, and refuse new ones until `come_back`."""
        self._unreachable = True
        self.restart()

    def come_back(self) -> None:
        """Accept connections again."""
        self._unreachable = False

    def restart(self) -> None:
        """Abort the connection, as a CSMS that restarts."""
        if self._websocket is not None:
            self._websocket.transport.abort()

    async def ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request and return the payload of the response; empty: a CALLERROR, None: the station is away."""
        websocket = self._websocket
        if websocket is None:
            return None
        identity = f"soak-{next(self._ids)}"
        answer = self._pending_calls[identity] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_RESPONSE_TIMEOUT_S):
                await websocket.send(json.dumps([2, identity, action, payload]))
                return await answer
        self._pending_calls.pop(identity, None)
        return None

    async def serve(self, websocket: ServerConnection) -> None:
        """Serve one connection of the station until it ends."""
        self._websocket = websocket
        try:
            with contextlib.suppress(ConnectionClosed):
                async for text in websocket:
                    frame: list[Any] = json.loads(text)
                    if frame[0] == 2:
                        await websocket.send(json.dumps([3, frame[1], self._reply(frame[2], frame[3])]))
                    elif (answer := self._pending_calls.pop(frame[1], None)) is not None and not answer.done():
                        answer.set_result(frame[2] if frame[0] == 3 else {})
        finally:
            if self._websocket is websocket:
                self._websocket = None

    def refuse_if_away(self, connection: ServerConnection, _: Request) -> Response | None:
        """Refuse the handshake while away."""
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "away\n") if self._unreachable else None

    def _reply(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        now = self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": 900, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTokenInfo": {"status": "Accepted"}}
            case "TransactionEvent":
                try:
                    self._record(payload)
                except InvariantError as error:  # the test fails at its next check
                    self.faults.append(str(error))
                return {"idTokenInfo": {"status": "Accepted"}} if "idToken" in payload else {}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate":
                return {"status": "Rejected"}
            case _:
                return {}

    def _record(self, event: dict[str, Any]) -> None:
        identity, number = event["transactionInfo"]["transactionId"], event["seqNo"]
        if identity in self._recently_ended:
            if number not in self._recently_ended[identity].registers:
                raise InvariantError(f"transaction {identity}: event {number} follows the end")
            return
        transaction = self.running.setdefault(identity, ReceivedTransaction())
        registers = [
            sample["value"]
            for value in event.get("meterValue", ())
            for sample in value["sampledValue"]
            if sample.get("measurand", _REGISTER) == _REGISTER and "phase" not in sample
            if number == 0 or sample.get("context") != "Transaction.Begin"  # the end repeats the begin
        ]
        if transaction.registers.setdefault(number, registers) != registers:
            raise InvariantError(f"transaction {identity}: event {number} was sent again with other registers")
        if event["eventType"] == "Ended":
            transaction.last = number
        if transaction.complete:
            self._note_end(identity)

    def _note_end(self, identity: str) -> None:
        transaction = self._recently_ended[identity] = self.running.pop(identity)
        while len(self._recently_ended) > _MAX_ENDED_STORED:
            self._recently_ended.pop(next(iter(self._recently_ended)))
        self.ended += 1
        if (energy_wh := transaction.billed_wh()) is None:
            self.unbilled += 1
        else:
            self.billed_wh += energy_wh


@contextlib.asynccontextmanager
async def running_soak_csms() -> AsyncGenerator[SoakCsms]:
    """Run a SoakCsms on a free local port."""
    csms = SoakCsms()
    async with serve(
        csms.serve,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp2.0.1")],
        process_request=csms.refuse_if_away,
        ping_interval=None,
        close_timeout=0.5,
        compression=None,
    ) as server:
        csms.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"
        yield csms
