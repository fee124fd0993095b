"""One connection of a station to the bundled CSMS: answers its requests, and sends it requests."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from websockets.exceptions import ConnectionClosed

from foundation.expected_error import ExpectedError
from foundation.json_values import object_of, objects_of
from ocpp_handlers.wire import timestamps
from simulator.csms.bill_store import BillStore, BillStoreError
from simulator.csms.billed_transactions import received_event
from simulator.csms.messages import (
    ErrorFrame,
    InvalidFrameError,
    Payload,
    RequestFrame,
    RequestSchemas,
    ResultFrame,
    decode,
    encode,
)
from simulator.csms.orders import ChosenAnswers
from simulator.csms.samples import whole_number
from simulator.csms.station_overviews import StationOverviews
from simulator.csms.vehicle_answers import VEHICLE_ACTIONS, VehicleAnswers, charging_profile

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

_log = logging.getLogger(__name__)

REFUSED_CARDS: Final = {"04BADBADBADB80": "Blocked", "04DEADDEADDE80": "Expired"}
"""cards that this CSMS rejects, with the AuthorizationStatusEnumType of its response; it accepts all others"""
_CALL_TIMEOUT_S: Final = 10.0
_EMPTY_PAYLOAD: Final[Payload] = {}
_ACKNOWLEDGED_ACTIONS: Final = frozenset(
    {
        "ClearedChargingLimit",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "MeterValues",
        "NotifyChargingLimit",
        "NotifyCustomerInformation",
        "NotifyDisplayMessages",
        "NotifyEvent",
        "NotifyMonitoringReport",
        "NotifyReport",
        "ReportChargingProfiles",
        "ReservationStatusUpdate",
        "SecurityEventNotification",
        "StatusNotification",
    }
)
"""actions that are answered with an empty response"""
_ANSWERED_ACTIONS: Final = (
    _ACKNOWLEDGED_ACTIONS
    | VEHICLE_ACTIONS
    | {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "Heartbeat",
        "SignCertificate",
        "TransactionEvent",
    }
)
"""actions that are answered with a CALLRESULT"""


Answer = ResultFrame | ErrorFrame
"""the answer of a station to a request"""


class NotConnectedError(ExpectedError):
    """The bundled CSMS could not complete a request: the station is not connected, is silent, or sends a CALLERROR."""


class CsmsOfStations(Protocol):
    """Interface of the CSMS for its connections."""

    @property
    def bills(self) -> BillStore: ...

    @property
    def vehicle_answers(self) -> VehicleAnswers: ...

    @property
    def schemas(self) -> RequestSchemas: ...

    @property
    def chosen_answers(self) -> ChosenAnswers: ...

    @property
    def overviews(self) -> StationOverviews: ...

    @property
    def heartbeat_interval_s(self) -> int: ...

    def time_for(self, identity: str) -> datetime:
        """The currentTime to send to a station."""
        ...

    def note_request(self, identity: str, action: str, payload: Payload) -> None:
        """Called with each valid request, before it is answered."""
        ...

    @property
    def reads_station_clocks(self) -> bool:
        """Whether to read a station's clock after each response with a currentTime."""
        ...

    def note_station_clock(self, identity: str, moment: datetime) -> None:
        """Called with the time that a station's clock shows."""
        ...

    def report_frame(self, identity: str, direction: str, text: str) -> None:
        """Called with each frame, before it is handled or sent."""
        ...


class StationConnection:
    """The CSMS's end of a station's websocket."""

    __slots__ = (
        "_call_lock",
        "_csms",
        "_follow_ups",
        "_identity",
        "_message_ids",
        "_pending_answer",
        "_request_id",
        "_signed",
        "_transactions",
        "_websocket",
    )

    def __init__(self, identity: str, websocket: ServerConnection, csms: CsmsOfStations) -> None:
        self._identity = identity
        self._websocket = websocket
        self._csms = csms
        self._message_ids = itertools.count(1)
        self._call_lock = asyncio.Lock()
        self._request_id = ""
        self._transactions: dict[int, str] = {}
        """the running transaction of each EVSE"""
        self._signed: Payload | None = None
        """the CertificateSigned that follows the last SignCertificate; None: that was rejected, or there was none"""
        self._follow_ups: asyncio.TaskGroup | None = None
        """requests that follow responses; None before `serve`"""
        self._pending_answer: asyncio.Future[Answer] | None = None
        """of the request that was sent last, while its response is awaited"""

    def abort(self) -> None:
        """Close the connection at once, without a close frame."""
        self._websocket.transport.abort()

    async def serve(self) -> None:
        """Answer requests until the connection ends."""
        try:
            async with asyncio.TaskGroup() as self._follow_ups:
                while True:
                    received = await self._websocket.recv()
                    text = received if isinstance(received, str) else received.decode("utf-8", "replace")
                    self._csms.report_frame(self._identity, "in", text)
                    await self._handle(text)
        except* ConnectionClosed:
            _log.info("connection of station %s ended", self._identity)
        finally:
            if self._pending_answer is not None and not self._pending_answer.done():
                self._pending_answer.set_exception(NotConnectedError(f"station {self._identity} has disconnected"))

    async def call(self, action: str, payload: Payload) -> Answer:
        """Send a request and return its answer. Requests are sent one after another.

        Raises:
            NotConnectedError: the connection ends, or the station does not answer.
        """
        async with self._call_lock:
            if self._pending_answer is not None:  # of the station's clock
                await asyncio.wait([self._pending_answer], timeout=_CALL_TIMEOUT_S)
            answer = self._expect_answer()
            try:
                async with asyncio.timeout(_CALL_TIMEOUT_S):
                    await self._send(RequestFrame(self._request_id, action, payload))
                    return await answer
            except (TimeoutError, ConnectionClosed) as error:
                raise NotConnectedError(f"station {self._identity}: {type(error).__name__}: {error}") from error
            finally:
                self._pending_answer = None

    async def _request_clock(self) -> None:
        """Send a request for the station's clock, unless another request is under way; does not wait for the answer."""
        if self._call_lock.locked():
            return
        self._expect_answer().add_done_callback(self._note_clock)
        clock = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}
        await self._send(RequestFrame(self._request_id, "GetVariables", {"getVariableData": [clock]}))

    def _note_clock(self, answer: asyncio.Future[Answer]) -> None:
        if self._pending_answer is answer:
            self._pending_answer = None
        try:
            results = objects_of(self._payload_of(answer.result())["getVariableResult"])
            self._csms.note_station_clock(self._identity, timestamps.decode(str(results[0]["attributeValue"])))
        except (NotConnectedError, LookupError, TypeError, ValueError) as error:
            _log.info("station %s does not report its time: %s", self._identity, error)

    def _payload_of(self, answer: Answer) -> Payload:
        """The payload of an answer.

        Raises:
            NotConnectedError: it is a CALLERROR.
        """
        if isinstance(answer, ErrorFrame):
            raise NotConnectedError(f"station {self._identity}: {answer.code}: {answer.description[:255]}")
        return answer.payload

    def _expect_answer(self) -> asyncio.Future[Answer]:
        """The future answer to the request that is sent next."""
        self._request_id = str(next(self._message_ids))
        self._pending_answer = asyncio.get_running_loop().create_future()
        return self._pending_answer

    async def _send(self, message: RequestFrame | ResultFrame | ErrorFrame) -> None:
        text = encode(message)
        self._csms.report_frame(self._identity, "out", text)
        await self._websocket.send(text)

    async def _handle(self, text: str) -> None:
        try:
            message = decode(text)
        except InvalidFrameError as error:
            await self._send(error.response)
            return
        match message:
            case RequestFrame():
                response = await self._respond(message)
                if (chosen := self._csms.chosen_answers.take(self._identity, message.action)) is not None:
                    response = chosen.applied(response)
                if response is not None:
                    await self._send(response)
                if isinstance(response, ResultFrame):
                    self._follow_up(message)
                if self._csms.reads_station_clocks and message.action in ("BootNotification", "Heartbeat"):
                    await self._request_clock()
            case ResultFrame() | ErrorFrame() if self._pending_answer is not None and message.id == self._request_id:
                if not self._pending_answer.done():
                    self._pending_answer.set_result(message)
            case _:
                pass  # nobody waits for it, or it is not valid: it must not be answered

    def _follow_up(self, request: RequestFrame) -> None:
        """Send what follows the response: roots, a signed certificate, or a profile for the needs of a vehicle."""
        action, payload = request.action, request.payload
        if action == "TransactionEvent":
            self._note_transaction(payload)
        elif action == "BootNotification":
            for root in self._csms.vehicle_answers.roots():
                self._send_later("InstallCertificate", root)
        elif action == "SignCertificate" and self._signed is not None:
            self._send_later("CertificateSigned", self._signed)
        elif action == "NotifyEVChargingNeeds":
            transaction_id = self._transactions.get(whole_number(payload["evseId"]))
            if transaction_id is not None:
                self._send_later("SetChargingProfile", charging_profile(payload, transaction_id))

    def _note_transaction(self, payload: Payload) -> None:
        if "evse" in payload:
            evse_id = whole_number(object_of(payload["evse"])["id"])
            self._transactions[evse_id] = str(object_of(payload["transactionInfo"])["transactionId"])
        if payload["eventType"] == "Ended":
            ended = str(object_of(payload["transactionInfo"])["transactionId"])
            self._transactions = {evse: running for evse, running in self._transactions.items() if running != ended}

    def _send_later(self, action: str, payload: Payload) -> None:
        """Send a request without waiting for its response; a refusal is only logged."""

        async def send() -> None:
            try:
                self._payload_of(await self.call(action, payload))
            except NotConnectedError as error:
                _log.warning("%s", error)

        if self._follow_ups is not None:
            self._follow_ups.create_task(send())

    async def _respond(self, request: RequestFrame) -> ResultFrame | ErrorFrame:
        """The response to a request, once everything is stored that it acknowledges."""
        action = request.action
        if action not in _ANSWERED_ACTIONS:
            known = action in self._csms.schemas
            code = "NotImplemented" if known else "NotSupported"
            return ErrorFrame(request.id, code, "the bundled CSMS does not answer this action" if known else "")
        self._csms.note_request(self._identity, action, request.payload)
        if (invalid := self._csms.schemas.check(request)) is not None:
            return invalid
        try:
            if action == "TransactionEvent":
                await self._csms.bills.record(received_event(self._identity, request.payload))
            self._csms.overviews.note(self._identity, action, request.payload)
        except BillStoreError as error:
            _log.warning("a TransactionEvent of station %s is not stored: %s", self._identity, error)
            return ErrorFrame(request.id, "InternalError", str(error)[:255])
        except ValueError as error:
            return ErrorFrame(request.id, "PropertyConstraintViolation", str(error))
        return ResultFrame(request.id, self._response(action, request.payload))

    def _response(self, action: str, payload: Payload) -> Payload:
        match action:
            case "BootNotification":
                return {
                    "currentTime": self._now_text(),
                    "interval": self._csms.heartbeat_interval_s,
                    "status": "Accepted",
                }
            case "Heartbeat":
                return {"currentTime": self._now_text()}
            case "Authorize" if object_of(payload["idToken"])["type"] == "eMAID":
                status = _authorization_status(object_of(payload["idToken"]))
                return self._csms.vehicle_answers.authorization(payload, status)
            case "Authorize" | "TransactionEvent" if "idToken" in payload:
                return {"idTokenInfo": {"status": _authorization_status(object_of(payload["idToken"]))}}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate":
                self._signed = self._csms.vehicle_answers.signed(payload)
                return {"status": "Rejected" if self._signed is None else "Accepted"}
            case _ if action in VEHICLE_ACTIONS:
                return self._csms.vehicle_answers.answer(action, payload)
            case _:
                return _EMPTY_PAYLOAD

    def _now_text(self) -> str:
        return timestamps.encode(self._csms.time_for(self._identity))


def _authorization_status(id_token: Mapping[str, object]) -> str:
    """The AuthorizationStatusEnumType of a card; identifiers ignore case."""
    return REFUSED_CARDS.get(str(id_token["idToken"]).upper(), "Accepted")
