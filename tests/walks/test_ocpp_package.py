"""A whole charge with a CSMS on the package `ocpp`, whose sessions, classes and schema checks are not the station's."""

# The package is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingParameterType=false, reportUnknownParameterType=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201 import datatypes as types
from ocpp.v201 import enums as words
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from station.charging.tokens.admission import TokenOutcome
from tests.csms import Csms
from tests.patience import PATIENCE_S
from tests.walk import configuration, powered


class Session(ChargePoint):
    """A session of the package `ocpp` with the station; records the received messages."""

    def __init__(self, websocket: ServerConnection) -> None:
        super().__init__("BORNE-TEST", websocket, response_timeout=int(PATIENCE_S))
        self.events: list[tuple[str, int]] = []
        self.statuses: list[str] = []

    @on("BootNotification")
    def on_boot(self, **_: object) -> call_result.BootNotification:
        return call_result.BootNotification(
            datetime.now(UTC).isoformat(), 300, words.RegistrationStatusEnumType.accepted
        )

    @on("Heartbeat")
    def on_heartbeat(self, **_: object) -> call_result.Heartbeat:
        return call_result.Heartbeat(datetime.now(UTC).isoformat())

    @on("StatusNotification")
    def on_status(self, connector_status: str, **_: object) -> call_result.StatusNotification:
        self.statuses.append(connector_status)
        return call_result.StatusNotification()

    @on("NotifyEvent")
    def on_notify_event(self, **_: object) -> call_result.NotifyEvent:
        return call_result.NotifyEvent()

    @on("SecurityEventNotification")
    def on_security_event(self, **_: object) -> call_result.SecurityEventNotification:
        return call_result.SecurityEventNotification()

    @on("NotifyChargingLimit")
    def on_charging_limit(self, **_: object) -> call_result.NotifyChargingLimit:
        return call_result.NotifyChargingLimit()

    @on("Authorize")
    def on_authorize(self, **_: object) -> call_result.Authorize:
        return call_result.Authorize(types.IdTokenInfoType(words.AuthorizationStatusEnumType.accepted))

    @on("TransactionEvent")
    def on_transaction_event(self, event_type: str, seq_no: int, **_: object) -> call_result.TransactionEvent:
        self.events.append((event_type, seq_no))
        return call_result.TransactionEvent()


@asynccontextmanager
async def running_csms(sessions: list[Session]) -> AsyncGenerator[str]:
    """Run a CSMS on the package; yields its URL, and appends each session to the list."""

    async def run(websocket: ServerConnection) -> None:
        sessions.append(session := Session(websocket))
        try:
            await session.start()
        except ConnectionClosed:
            return

    async with serve(run, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp2.0.1")]) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"


async def test_the_package_and_the_station_understand_each_other_through_a_charge(tmp_path: Path) -> None:
    """The package checks every payload of both sides; an invalid one would be answered with a CALLERROR."""
    sessions: list[Session] = []
    async with running_csms(sessions) as url, powered(configuration(tmp_path, url), Csms()) as walk:
        await walk.until(lambda: sessions and "Available" in sessions[0].statuses)
        session = sessions[0]
        names = types.GetVariableDataType(types.ComponentType("OCPPCommCtrlr"), types.VariableType("HeartbeatInterval"))
        answer = asyncio.create_task(session.call(call.GetVariables([names]), suppress=False))
        await walk.until(answer.done)
        result = answer.result()
        assert result is not None
        assert result.get_variable_result[0]["attribute_value"] == "300"
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        await walk.advance(120)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.until(lambda: session.events and session.events[-1][0] == "Ended")
        assert [seq_no for _, seq_no in session.events] == list(range(len(session.events)))
        assert session.events[0][0] == "Started"
