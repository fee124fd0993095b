"""A small CSMS for demonstrations, tests and fleets.

Its frames, sessions and schema checks are not those of the station (`ocpp_handlers`), so that each tests the other;
only the format of timestamps is shared. It accepts every station, keeps the bills of all transactions, gives them by
HTTP on the same port, and can simulate a network failure.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from foundation.frozen import Frozen
from simulator.csms.bill_store import BillStore, MemoryBillStore
from simulator.csms.billed_transactions import BilledTransaction
from simulator.csms.bills_api import BILLS_PATH, answer_bills_request
from simulator.csms.bounded_connection import bounded_connection
from simulator.csms.messages import ErrorFrame, Payload, RequestSchemas
from simulator.csms.orders import CallAnswer, ChosenAnswers
from simulator.csms.station_connection import NotConnectedError, StationConnection
from simulator.csms.station_overviews import StationOverviews
from simulator.csms.station_time import EstimatedStationTime
from simulator.csms.vehicle_answers import CertificatePki, VehicleAnswers

_log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""connections that the kernel queues until they are accepted, if net.core.somaxconn allows it: a fleet comes at once"""
_HANDSHAKE_TIMEOUT_S: Final = 60.0
"""when a whole fleet connects, the last station waits for the others"""

FrameListener = Callable[[str, str, str], None]
"""called with each frame: identity of the station, direction (`in`: from the station; `out`: to it) and text"""


class CsmsSettings(Frozen):
    """Settings of the bundled CSMS."""

    time_of_station: bool = False
    """send each station its own estimated time (EstimatedStationTime) instead of the real time"""
    heartbeat_interval_s: int = 20
    """interval in the response to BootNotification"""
    most_connections: int = 10_000
    """further ones are refused with HTTP 503"""
    first_byte_s: float = 10.0
    """real seconds after which a connection is aborted on which nothing has arrived"""
    pki: CertificatePki | None = None
    """the PKI with which it signs certificates and checks contracts; None: it has none"""
    tls: ssl.SSLContext | None = None
    """its certificate, and the authorities of those of stations; None: without TLS"""

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""
        return "ws" if self.tls is None else "wss"


class DemoCsms:
    """The bundled CSMS: accepts every station, answers it, records its transactions, and sends it requests.

    It listens on a websocket within `listening`.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        on_frame: FrameListener | None = None,
        *,
        settings: CsmsSettings | None = None,
        bills: BillStore | None = None,
    ) -> None:
        """`now` returns the time sent to stations, unless `settings` say otherwise.

        `on_frame` is called with each frame that is received or sent. `bills` is where transactions are stored; without
        it they are kept in memory. The caller closes it.
        """
        self.now = now
        self.on_frame = on_frame
        self.bills: BillStore = bills or MemoryBillStore()
        self.schemas = RequestSchemas()
        self.chosen_answers = ChosenAnswers()
        """how it answers next, in place of the usual answers"""
        self.overviews = StationOverviews()
        """what it knows of its stations"""
        self.port = 0
        """the TCP port on which it listens; 0 before `listening`"""
        self.host = "127.0.0.1"
        self._settings = settings or CsmsSettings()
        self.vehicle_answers = VehicleAnswers(self._settings.pki)
        self._station_times: dict[str, EstimatedStationTime] = {}
        self._stations: dict[str, StationConnection] = {}
        self._connections = 0
        self._refuses_new_stations = False
        self._network_cut = False
        self._remote_starts = itertools.count(1)

    @property
    def url(self) -> str:
        """The URL on which it listens, to be configured in stations, which append their identity."""
        return f"{self._settings.scheme}://{self.host}:{self.port}/ocpp"

    @property
    def stations(self) -> list[str]:
        """The identities of the stations connected now, sorted."""
        return sorted(self._stations)

    @property
    def transactions(self) -> Mapping[str, BilledTransaction]:
        """The transactions in memory since this CSMS was created, by transactionId; empty with a file."""
        return self.bills.by_id() if isinstance(self.bills, MemoryBillStore) else {}

    @property
    def heartbeat_interval_s(self) -> int:
        """The heartbeat interval that stations are sent."""
        return self._settings.heartbeat_interval_s

    @property
    def reads_station_clocks(self) -> bool:
        """Whether connections read ClockCtrlr.DateTime after each response with a currentTime.

        Hours of simulated time may pass between two timestamps.
        """
        return self._settings.time_of_station

    @property
    def is_cut(self) -> bool:
        """Whether the simulated network failure of `cut_network` lasts."""
        return self._network_cut

    @contextlib.asynccontextmanager
    async def listening(
        self, host: str = "127.0.0.1", port: int = 0, *, listener: socket.socket | None = None
    ) -> AsyncGenerator[DemoCsms]:
        """Accept connections of stations while the `with` block runs; port 0 is any free port.

        `listener` is a bound socket to listen on instead of `host` and `port`.

        Raises:
            OSError: it cannot listen on this address.
        """
        server: Server = await serve(
            self._serve,
            host if listener is None else None,
            port if listener is None else None,
            sock=listener,
            backlog=BACKLOG,
            ssl=self._settings.tls,
            subprotocols=[Subprotocol("ocpp2.0.1")],
            compression=None,
            create_connection=bounded_connection(self._settings.most_connections, self._settings.first_byte_s),
            process_request=self._process_request,
            open_timeout=_HANDSHAKE_TIMEOUT_S,
            ping_interval=None,
            close_timeout=1.0,
        )
        self.host, self.port = host, int(next(iter(server.sockets)).getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    def time_for(self, identity: str) -> datetime:
        """The currentTime to send to a station: what `now` returns, or with `time_of_station` its estimated time."""
        return self._time_of(identity).now() if self._settings.time_of_station else self.now()

    def _time_of(self, identity: str) -> EstimatedStationTime:
        return self._station_times.setdefault(identity, EstimatedStationTime(self.now))

    # The network

    def cut_network(self) -> None:
        """Simulate a network failure: abort all connections without a close frame.

        New ones are rejected until `restore_network`.
        """
        self._network_cut = True
        for station in self._stations.values():
            station.abort()

    def restore_network(self) -> None:
        """End the simulated network failure: accept connections again."""
        self._network_cut = False

    # Requests to a station; each returns the status of the response

    async def start_transaction(self, identity: str, id_token: str, evse_id: int = 1) -> str:
        """Send RequestStartTransaction to a station, with a token of type Central; returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        return await self.send_request(
            identity,
            "RequestStartTransaction",
            {
                "idToken": {"idToken": id_token, "type": "Central"},
                "remoteStartId": next(self._remote_starts),
                "evseId": evse_id,
            },
        )

    async def stop_transaction(self, identity: str, transaction_id: str) -> str:
        """Send RequestStopTransaction to a station; returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        return await self.send_request(identity, "RequestStopTransaction", {"transactionId": transaction_id})

    async def set_current_limit(self, identity: str, transaction_id: str, current_a: float, evse_id: int = 1) -> str:
        """Limit a running transaction to `current_a` A per phase (SetChargingProfile, TxProfile); returns the status.

        The profile replaces the one of an earlier call.

        Raises:
            NotConnectedError: the station is not connected, does not answer, or answers with a CALLERROR.
        """
        schedule = {
            "id": 1,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": current_a}],
        }
        profile = {
            "id": 1,
            "stackLevel": 1,  # above the profile with which it answers the needs of a vehicle
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": [schedule],
            "transactionId": transaction_id,
        }
        return await self.send_request(identity, "SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})

    async def clear_current_limit(self, identity: str) -> str:
        """Remove the profile of `set_current_limit` (ClearChargingProfile); returns the status of the response.

        Raises:
            NotConnectedError: there is no answer.
        """
        return await self.send_request(identity, "ClearChargingProfile", {"chargingProfileId": 1})

    async def send_request(self, identity: str, action: str, payload: Payload) -> str:
        """Send any request to a station; returns the status of the response, "" if it has none.

        Raises:
            NotConnectedError: the station is not connected, does not answer, or answers with a CALLERROR.
        """
        answer = await self.call(identity, action, payload)
        if answer.error_code is not None:
            raise NotConnectedError(f"station {identity}: {answer.error_code}: {answer.error_description[:255]}")
        return str(answer.payload.get("status", ""))

    async def call(self, identity: str, action: str, payload: Payload) -> CallAnswer:
        """Send any request to a station, unchecked; returns the answer.

        Raises:
            NotConnectedError: the station is not connected, or does not answer.
        """
        station = self._stations.get(identity)
        if station is None:
            raise NotConnectedError(f"station {identity} is not connected")
        answer = await station.call(action, payload)
        if isinstance(answer, ErrorFrame):
            return CallAnswer({}, answer.code, answer.description)
        return CallAnswer(answer.payload)

    # Called by the connections

    def note_request(self, identity: str, action: str, payload: Payload) -> None:
        """Update the estimated time of a station from a request received from it, with `time_of_station`."""
        if self._settings.time_of_station:
            self._time_of(identity).update_from(action, payload)

    def note_station_clock(self, identity: str, moment: datetime) -> None:
        """Update the estimated time of a station from its clock."""
        self._time_of(identity).note_time(moment)

    def report_frame(self, identity: str, direction: str, text: str) -> None:
        """Pass a frame to `on_frame`."""
        if self.on_frame is not None:
            self.on_frame(identity, direction, text)

    # One connection

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer requests of the bills, and refuse stations while the network is cut or too many are connected."""
        if request.path.startswith(BILLS_PATH):
            return await answer_bills_request(request, self.bills)
        if self._network_cut:
            return connection.respond(503, "the simulated network is interrupted\n")
        most = self._settings.most_connections
        if self._connections < most:
            self._refuses_new_stations = False
            return None
        if not self._refuses_new_stations:
            self._refuses_new_stations = True
            _log.warning("stations are refused: %d are connected, the most for the open files of a process", most)
        return connection.respond(503, f"{most} stations are connected\n")

    async def _serve(self, websocket: ServerConnection) -> None:
        path = websocket.request.path if websocket.request is not None else ""
        identity = unquote(path.rpartition("/")[2])
        station = StationConnection(identity, websocket, self)
        if (replaced := self._stations.get(identity)) is not None:
            replaced.abort()  # its peer is gone, or it would not have connected again
        self._stations[identity] = station
        self._connections += 1
        try:
            await station.serve()
        finally:
            self._connections -= 1
            if self._stations.get(identity) is station:
                del self._stations[identity]
