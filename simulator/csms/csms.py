"""A small CSMS for demonstrations and tests, based on the PyPI package `ocpp`.

Session, frames and schemas are those of the package, not of `ocpp_handlers`, so that their interoperation is a real
test; only the format of timestamps is shared with the station. The CSMS accepts every station, keeps the transactions
in memory, and can simulate a network failure.
"""

# The library is untyped: types are asserted here, after the library's own schema check.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingParameterType=false, reportUnknownParameterType=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

from ocpp.exceptions import OCPPError
from ocpp.routing import after, on
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201 import datatypes as types
from ocpp.v201 import enums as words
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocpp_handlers.wire import timestamps
from simulator.csms.billed_transactions import BilledTransaction, Json
from simulator.csms.station_time import EstimatedStationTime

if TYPE_CHECKING:
    from datetime import datetime

    from websockets.http11 import Request, Response

_log = logging.getLogger(__name__)

REFUSED_CARDS: Final = {"04BADBADBADB80": "Blocked", "04DEADDEADDE80": "Expired"}
"""cards that this CSMS rejects, with the AuthorizationStatusEnumType of its response; it accepts all others"""
_HEARTBEAT_S = 20
_CALL_S = 10
_NO_ID: Final = "-1"
"""message id of a CALLERROR to a frame whose own id cannot be read (part 4, §4.2.3)"""
_ACKNOWLEDGED = (
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
)
"""actions that are answered with an empty response"""

FrameListener = Callable[[str, str, str], None]
"""called with each frame: identity of the station, direction (`in`: from the station; `out`: to it) and text"""


class NotConnectedError(Exception):
    """The bundled CSMS could not complete a request: the station is not connected, is silent, or sends a CALLERROR."""


class DemoCsms:
    """The bundled CSMS: accepts every station, answers it, records its transactions, and sends it requests.

    It listens on a websocket within `listening`, and keeps everything in memory.
    """

    def __init__(
        self, now: Callable[[], datetime], on_frame: FrameListener | None = None, *, time_of_station: bool = False
    ) -> None:
        """`now` returns the time sent to stations, unless `time_of_station`: each is then sent its own (StationTime).

        `on_frame` is called with each frame that is received or sent.
        """
        self.now = now
        self._time_of_station = time_of_station
        self._times: dict[str, EstimatedStationTime] = {}
        self.on_frame = on_frame
        self.transactions: dict[str, BilledTransaction] = {}
        """the transactions of all stations since this CSMS was created, by transactionId"""
        self.port = 0
        """the TCP port on which it listens; 0 before `listening`"""
        self.host = "127.0.0.1"
        self._stations: dict[str, _StationConnection] = {}
        self._cut = False
        self._remote_starts = itertools.count(1)

    @property
    def url(self) -> str:
        """The URL on which it listens, to be configured in stations, which append their identity."""
        return f"ws://{self.host}:{self.port}/ocpp"

    @property
    def stations(self) -> list[str]:
        """The identities of the stations connected now, sorted."""
        return sorted(self._stations)

    @property
    def is_cut(self) -> bool:
        """Whether the simulated network failure of `cut_network` lasts."""
        return self._cut

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[DemoCsms]:
        """Accept connections of stations while the `with` block runs; port 0 is any free port.

        Raises:
            OSError: it cannot listen on this address.
        """
        server: Server = await serve(
            self._serve,
            host,
            port,
            subprotocols=[Subprotocol("ocpp2.0.1")],
            process_request=self._refuse_if_cut,
            ping_interval=None,
            close_timeout=1.0,
        )
        self.host, self.port = host, int(next(iter(server.sockets)).getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    def update_station_time(self, identity: str, action: str, payload: Json) -> None:
        """Update the estimated time of a station from a CALL received from it; nothing without `time_of_station`."""
        if self._time_of_station:
            self._time_of(identity).update_from(action, payload)

    def time_for(self, identity: str) -> datetime:
        """The currentTime to send to a station: what `now` returns, or with `time_of_station` its estimated time."""
        return self._time_of(identity).now() if self._time_of_station else self.now()

    def _time_of(self, identity: str) -> EstimatedStationTime:
        return self._times.setdefault(identity, EstimatedStationTime(self.now))

    # The network

    def cut_network(self) -> None:
        """Simulate a network failure: abort all connections without a close frame.

        New ones are rejected until `restore_network`.
        """
        self._cut = True
        for station in self._stations.values():
            station.adapter.abort()

    def restore_network(self) -> None:
        """End the simulated network failure: accept connections again."""
        self._cut = False

    # Requests to a station; each returns the status of the response

    async def start_transaction(self, identity: str, id_token: str, evse_id: int = 1) -> str:
        """Send RequestStartTransaction to a station, with a token of type Central; returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        token = types.IdTokenType(id_token=id_token, type=words.IdTokenEnumType.central)
        number = next(self._remote_starts)
        return await self.send_request(
            identity, call.RequestStartTransaction(id_token=token, remote_start_id=number, evse_id=evse_id)
        )

    async def stop_transaction(self, identity: str, transaction_id: str) -> str:
        """Send RequestStopTransaction to a station; returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        return await self.send_request(identity, call.RequestStopTransaction(transaction_id=transaction_id))

    async def set_current_limit(self, identity: str, transaction_id: str, current_a: float, evse_id: int = 1) -> str:
        """Limit a running transaction to `current_a` A per phase (SetChargingProfile, TxProfile); returns the status.

        The profile replaces the one of an earlier call.

        Raises:
            NotConnectedError: the station is not connected, does not answer, or answers with a CALLERROR.
        """
        schedule = types.ChargingScheduleType(
            id=1,
            charging_rate_unit=words.ChargingRateUnitEnumType.amps,
            charging_schedule_period=[types.ChargingSchedulePeriodType(start_period=0, limit=current_a)],
        )
        profile = types.ChargingProfileType(
            id=1,
            stack_level=0,
            charging_profile_purpose=words.ChargingProfilePurposeEnumType.tx_profile,
            charging_profile_kind=words.ChargingProfileKindEnumType.relative,
            charging_schedule=[schedule],
            transaction_id=transaction_id,
        )
        return await self.send_request(identity, call.SetChargingProfile(evse_id=evse_id, charging_profile=profile))

    async def clear_current_limit(self, identity: str) -> str:
        """Remove the profile of `set_current_limit` (ClearChargingProfile); returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        return await self.send_request(identity, call.ClearChargingProfile(charging_profile_id=1))

    async def send_request(self, identity: str, request: object) -> str:
        """Send any request of the library's `call` to a station; returns the status of the response, "" if it has none.

        Raises:
            NotConnectedError: the station is not connected, does not answer, or answers with a CALLERROR.
        """
        return str(getattr(await self._call(identity, request), "status", ""))

    def request_station_clock(self, identity: str) -> Awaitable[None] | None:
        """Return an awaitable that reads the station's clock into its estimated time; None without `time_of_station`.

        Used after each response with a currentTime, since hours of simulated time may pass between two timestamps. The
        library runs the awaitable as a task.
        """
        return self._read_time(identity) if self._time_of_station else None

    async def _read_time(self, identity: str) -> None:
        """Read ClockCtrlr.DateTime of a station."""
        clock = types.GetVariableDataType(types.ComponentType("ClockCtrlr"), types.VariableType("DateTime"))
        try:
            answer = await self._call(identity, call.GetVariables(get_variable_data=[clock]))
            results = cast("list[Json]", getattr(answer, "get_variable_result", []))
            self._time_of(identity).note_time(timestamps.decode(str(results[0]["attribute_value"])))
        except (NotConnectedError, LookupError, ValueError) as error:
            _log.info("station %s does not report its time: %s", identity, error)

    async def _call(self, identity: str, request: object) -> object:
        station = self._stations.get(identity)
        if station is None:
            raise NotConnectedError(f"station {identity} is not connected")
        try:
            return await station.call(request, suppress=False)
        except (OCPPError, TimeoutError, ConnectionClosed) as error:
            raise NotConnectedError(f"station {identity}: {type(error).__name__}: {error}") from error

    # One connection

    def _refuse_if_cut(self, connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(503, "the simulated network is interrupted\n") if self._cut else None

    async def _serve(self, websocket: ServerConnection) -> None:
        path = websocket.request.path if websocket.request is not None else ""
        identity = unquote(path.rpartition("/")[2])
        station = _StationConnection(
            identity, _WebsocketAdapter(websocket, partial(self._report_frame, identity)), self
        )
        self._stations[identity] = station
        try:
            await station.start()
        except ConnectionClosed:
            _log.info("connection of station %s ended", identity)
        finally:
            if self._stations.get(identity) is station:
                del self._stations[identity]

    def _report_frame(self, identity: str, direction: str, text: str) -> None:
        if self.on_frame is not None:
            self.on_frame(identity, direction, text)


class _WebsocketAdapter:
    """Adapts the websocket to the library's interface, and reports frames to a listener."""

    def __init__(self, websocket: ServerConnection, observe: Callable[[str, str], None]) -> None:
        self._websocket = websocket
        self._observe = observe

    async def recv(self) -> str:
        received = await self._websocket.recv()
        text = received if isinstance(received, str) else received.decode("utf-8", "replace")
        self._observe("in", text)
        return text

    async def send(self, text: str) -> None:
        self._observe("out", text)
        await self._websocket.send(text)

    def abort(self) -> None:
        self._websocket.transport.abort()


class _StationConnection(ChargePoint):
    """The connection of one station: handlers for its requests."""

    def __init__(self, identity: str, wire: _WebsocketAdapter, csms: DemoCsms) -> None:
        super().__init__(identity, wire, response_timeout=_CALL_S)
        self.adapter = wire
        self._csms = csms
        for action in _ACKNOWLEDGED:
            self.route_map[action] = {"_on_action": partial(_acknowledge, action)}

    async def route_message(self, raw_msg: str) -> None:
        """Handle a frame. Invalid ones are answered (§4.2.3); the library would only log them."""
        if (error := _frame_error(raw_msg)) is not None:
            await self.adapter.send(json.dumps([4, *error, {}]))
        else:
            kind, _, *rest = cast("list[object]", json.loads(raw_msg))
            if kind == 2:
                self._csms.update_station_time(self.id, cast("str", rest[0]), cast("Json", rest[1]))
            await super().route_message(raw_msg)

    @on("BootNotification")
    def on_boot(self, **_: object) -> call_result.BootNotification:
        return call_result.BootNotification(
            current_time=self._now(), interval=_HEARTBEAT_S, status=words.RegistrationStatusEnumType.accepted
        )

    @on("Heartbeat")
    def on_heartbeat(self, **_: object) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=self._now())

    @after("BootNotification")
    def after_boot(self, **_: object) -> Awaitable[None] | None:
        return self._csms.request_station_clock(self.id)

    @after("Heartbeat")
    def after_heartbeat(self, **_: object) -> Awaitable[None] | None:
        return self._csms.request_station_clock(self.id)

    @on("Authorize")
    def on_authorize(self, id_token: Json, **_: object) -> call_result.Authorize:
        return call_result.Authorize(id_token_info=_id_token_info(id_token))

    @on("TransactionEvent")
    def on_transaction_event(
        self,
        event_type: str,
        trigger_reason: str,
        seq_no: int,
        transaction_info: Json,
        id_token: Json | None = None,
        meter_value: list[Json] | None = None,
        offline: bool = False,
        **_: object,
    ) -> call_result.TransactionEvent:
        identity = str(transaction_info["transaction_id"])
        billed = self._csms.transactions.setdefault(identity, BilledTransaction(identity))
        billed.record(event_type, trigger_reason, seq_no, meter_value or [], offline=offline)
        return call_result.TransactionEvent(id_token_info=_id_token_info(id_token) if id_token is not None else None)

    @on("DataTransfer")
    def on_data_transfer(self, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(status=words.DataTransferStatusEnumType.unknown_vendor_id)

    @on("SignCertificate")
    def on_sign_certificate(self, **_: object) -> call_result.SignCertificate:
        return call_result.SignCertificate(status=words.GenericStatusEnumType.rejected)

    def _now(self) -> str:
        return self._csms.time_for(self.id).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _acknowledge(action: str, **_: object) -> object:
    return getattr(call_result, action)()


def _id_token_info(id_token: Json) -> types.IdTokenInfoType:
    card = str(id_token["id_token"]).upper()  # identifiers ignore case
    return types.IdTokenInfoType(status=words.AuthorizationStatusEnumType(REFUSED_CARDS.get(card, "Accepted")))


def _frame_error(text: str) -> tuple[str, str, str] | None:
    """Message id, error code and description for the answer to an invalid frame; None if it is valid."""
    try:
        parts: object = json.loads(text)
    except (ValueError, RecursionError):
        return _NO_ID, "RpcFrameworkError", "the frame is not valid JSON"
    if not isinstance(parts, list) or len(parts) < 2 or not isinstance(parts[1], str) or not parts[1]:
        return _NO_ID, "RpcFrameworkError", "the frame is not an array with a message id"
    frame = cast("list[object]", parts)
    kind, identity = frame[0], str(frame[1])
    if isinstance(kind, bool) or kind not in (2, 3, 4):
        return identity, "MessageTypeNotSupported", "the message type is not 2, 3 or 4"
    if kind == 2 and (len(frame) != 4 or not isinstance(frame[2], str) or not isinstance(frame[3], dict)):
        return identity, "RpcFrameworkError", "a CALL must be [2, id, action, payload]"
    return None
