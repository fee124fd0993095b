"""A CSMS that checks what it receives, and keeps only totals of transactions that have ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from borne.life.invariants import InvariantError
from foundation.json_values import integer_of, list_of, number_of, object_of, objects_of

if TYPE_CHECKING:
    from datetime import datetime

_REGISTER: Final = "Energy.Active.Import.Register"
_RESPONSE_TIMEOUT_S: Final = 20.0
"""real seconds to wait for an answer of the station"""
_MAX_ENDED_STORED: Final = 20
"""ended transactions that are kept, to recognize events that are sent again"""


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


class CheckingCsms:
    """Accepts one station, answers it, and sends it requests; it can be unreachable, and restart."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now`: the time that it sends to the station."""
        self._now = now
        self._incomplete: dict[str, ReceivedTransaction] = {}
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
        self._pending_calls: dict[str, asyncio.Future[None]] = {}

    @property
    def running(self) -> int:
        """Number of transactions of which it does not have all events."""
        return len(self._incomplete)

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

    async def ask(self, action: str, payload: Mapping[str, object]) -> None:
        """Send a request and wait for the response; nothing if the station is away."""
        websocket = self._websocket
        if websocket is None:
            return
        identity = f"life-{next(self._ids)}"
        answer = self._pending_calls[identity] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_RESPONSE_TIMEOUT_S):
                await websocket.send(json.dumps([2, identity, action, payload]))
                await answer
        self._pending_calls.pop(identity, None)

    async def serve(self, websocket: ServerConnection) -> None:
        """Serve one connection of the station until it ends."""
        self._websocket = websocket
        try:
            with contextlib.suppress(ConnectionClosed):
                async for text in websocket:
                    kind, identity, *rest = list_of(json.loads(text))
                    if kind == 2:
                        reply = self._reply(str(rest[0]), object_of(rest[1]))
                        await websocket.send(json.dumps([3, identity, reply]))
                    elif (answer := self._pending_calls.pop(str(identity), None)) is not None and not answer.done():
                        answer.set_result(None)
        finally:
            if self._websocket is websocket:
                self._websocket = None

    def refuse_if_away(self, connection: ServerConnection, _: Request) -> Response | None:
        """Refuse the handshake while away."""
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "away\n") if self._unreachable else None

    def _reply(self, action: str, payload: Mapping[str, object]) -> Mapping[str, object]:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
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
                except InvariantError as error:  # the run fails at its next check
                    self.faults.append(str(error))
                return {"idTokenInfo": {"status": "Accepted"}} if "idToken" in payload else {}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate":
                return {"status": "Rejected"}
            case _:
                return {}

    def _record(self, event: Mapping[str, object]) -> None:
        identity = str(object_of(event["transactionInfo"])["transactionId"])
        number = integer_of(event["seqNo"])
        if identity in self._recently_ended:
            if number not in self._recently_ended[identity].registers:
                raise InvariantError(f"transaction {identity}: event {number} follows the end")
            return
        transaction = self._incomplete.setdefault(identity, ReceivedTransaction())
        registers = list(_registers(event, number))
        if transaction.registers.setdefault(number, registers) != registers:
            raise InvariantError(f"transaction {identity}: event {number} was sent again with other registers")
        if event["eventType"] == "Ended":
            transaction.last = number
        if transaction.complete:
            self._note_end(identity)

    def _note_end(self, identity: str) -> None:
        transaction = self._recently_ended[identity] = self._incomplete.pop(identity)
        while len(self._recently_ended) > _MAX_ENDED_STORED:
            self._recently_ended.pop(next(iter(self._recently_ended)))
        self.ended += 1
        if (energy_wh := transaction.billed_wh()) is None:
            self.unbilled += 1
        else:
            self.billed_wh += energy_wh


def _registers(event: Mapping[str, object], number: int) -> Iterator[float]:
    """The import registers in an event, in Wh; without that of the begin, which the end repeats."""
    for value in objects_of(event.get("meterValue", [])):
        for sample in objects_of(value["sampledValue"]):
            is_register = sample.get("measurand", _REGISTER) == _REGISTER and "phase" not in sample
            if is_register and (number == 0 or sample.get("context") != "Transaction.Begin"):
                yield number_of(sample["value"])


def free_socket() -> socket.socket:
    """A socket that listens at a free local port."""
    return socket.create_server(("127.0.0.1", 0))


def url_of(listening: socket.socket) -> str:
    """The URL of the CSMS that serves a socket, without identity."""
    return f"ws://127.0.0.1:{listening.getsockname()[1]}/ocpp"


@contextlib.asynccontextmanager
async def serving(csms: CheckingCsms, listening: socket.socket) -> AsyncGenerator[None]:
    """Serve a CSMS at a socket while the block runs."""
    async with serve(
        csms.serve,
        sock=listening,
        subprotocols=[Subprotocol("ocpp2.0.1")],
        process_request=csms.refuse_if_away,
        ping_interval=None,
        close_timeout=0.5,
        compression=None,
    ):
        yield
