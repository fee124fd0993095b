"""The bench: a station, the test system's CSMS, and the time that passes for both; what every test works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.conformance.csms import CallError, Csms, Journal, Received, Rule
from tests.conformance.frames import Frame, Payload
from tests.conformance.pki import Pki
from tests.conformance.station_process import StationProcess
from tests.conformance.station_under_test import IDENTITY, SERIAL_NUMBER, Setup, Station

VALID_TOKEN: Payload = {"idToken": "04A3B2C1D5E680", "type": "ISO14443"}
OTHER_TOKEN: Payload = {"idToken": "04B1B2B3B4B580", "type": "ISO14443"}
"""valid too, of another driver"""
GROUP: Payload = {"idToken": "GROUP-1", "type": "Central"}

_STEP_S = 0.5
LONGEST_STEP_S = 1.5
"""the CSMS knows the station's time only between steps; a station whose clock it corrects must not notice"""
DEVIATION_S = 4.0
"""the certification labs' deviation of times"""
PERIODIC = frozenset({"MeterValuePeriodic", "MeterValueClock", "ChargingRateChanged"})
"""events that may come between any two steps of a case: samples, and what other EVSEs do to the share of this one"""
UNSOLICITED = frozenset({"Heartbeat", "MeterValues", "StatusNotification"})
"""what the station may send at any time besides periodic events"""


def _unsolicited(received: Received) -> bool:
    """Whether the station may send this at any time, so that it may be unread at the end of a case."""
    if received.action == "TransactionEvent":
        return received.payload["eventType"] == "Updated" and received.payload["triggerReason"] in PERIODIC
    return received.action in UNSOLICITED


@dataclass
class DriverAction:
    """Something that a driver did, for the general rules (rules.py)."""

    action: str
    """connected, disconnected, presented, remote-start"""
    evse_id: int
    at: datetime
    id_token: Payload | None = None


@dataclass
class Session:
    """The state of a charging session on one EVSE, as the reusable states left it."""

    bay_occupied: bool = False
    connected: bool = False
    authorized: bool = False
    remote: bool = False
    """authorized with RequestStartTransaction"""
    charging: bool = False
    stop_authorized: bool = False
    post_session: bool = False
    id_token: Payload = field(default_factory=lambda: dict(VALID_TOKEN))
    transaction_id: str | None = None
    """of the transaction that has started"""
    ended: bool = False
    remote_start_id: int = 0
    events: list[Payload] = field(default_factory=list[Payload])
    """the TransactionEvents that steps have looked at"""

    @property
    def started(self) -> bool:
        """Whether a transaction runs."""
        return self.transaction_id is not None and not self.ended


class Bench:
    """A station under test, its CSMS and its clock."""

    def __init__(self, station: Station, csms: Csms, journal: Journal, setup: Setup, pki: Pki) -> None:
        self.station = station
        self.csms = csms
        self.journal = journal
        self.setup = setup
        self.pki = pki
        self.identity = IDENTITY
        """the station's, at the CSMS"""
        self.serial_number = SERIAL_NUMBER
        """the common name of the station's certificate (A00.FR.511)"""
        self.process: StationProcess | None = None
        """the station's process; None when somebody else started it"""
        self.other_endpoints: list[Csms] = []
        self.evse_id = 1
        self.connector_id = 1
        self.sessions: dict[int, Session] = {}
        self.driver_actions: list[DriverAction] = []
        self.local = True
        """whether authorizing and stopping are local (else remote), where a case does not say"""
        self.start_points: frozenset[str] = frozenset()
        self.stop_points: frozenset[str] = frozenset()
        self.authorize_expected = True
        """whether presenting a token makes the station ask (not when the id token is cached)"""
        journal.now = self.now

    # Time

    def now(self) -> datetime:
        """The time of the station and its CSMS."""
        now = self.station.now
        return now if now is not None and self.station.virtual else datetime.now(UTC)

    def iso(self, offset_s: float = 0.0) -> str:
        """The present moment, plus some seconds, as OCPP writes it."""
        moment = datetime.fromtimestamp(self.now().timestamp() + offset_s, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def advance(self, seconds: float) -> None:
        """Let time pass, in steps, as a real clock does."""
        remaining_s = seconds
        while remaining_s > 0.0:
            step_s = min(remaining_s, LONGEST_STEP_S)
            await self.station.advance(step_s)
            remaining_s -= step_s

    async def settle(self) -> None:
        """Let the station finish what it does at this moment."""
        for _ in range(2):
            await self.station.advance(0.0)
            await asyncio.sleep(0.002)

    async def until(
        self, condition: Callable[[], Any], *, within_s: float = 30.0, why: str = "it did not happen"
    ) -> Any:
        """Let time pass until `condition` returns a true value, and return it; fails after `within_s` seconds."""
        await self.settle()
        waited_s = 0.0
        while not (found := condition()):
            assert waited_s < within_s, f"{why} within {within_s:g} s"
            await self.station.advance(_STEP_S)
            await asyncio.sleep(0.002)
            waited_s += _STEP_S
        return found

    # Messages

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL to the station; the payload of its CALLRESULT."""
        return await self.csms.call(action, payload)

    async def send_call(self, action: str, payload: Payload) -> Frame:
        """Send a CALL to the station; its answer, which may be a CALLERROR (kind 4)."""
        return await self.csms.send_call(action, payload)

    async def call_outside_schema(self, action: str, payload: Payload) -> Payload:
        """Send a CALL that its schema does not allow, on purpose; the payload of its CALLRESULT."""
        known = len(self.journal.faults)
        answer = await self.call(action, payload)
        del self.journal.faults[known]
        return answer

    def on(self, action: str, rule: Rule | Payload | CallError) -> None:
        """Answer the station's CALLs of this action by this rule from now on."""
        self.csms.rules[action] = rule if callable(rule) else (lambda _: rule)

    def restore_default_reply(self, action: str) -> None:
        """Answer this action with the default reply again."""
        self.csms.rules.pop(action, None)

    async def expect(
        self,
        action: str,
        *,
        within_s: float = 30.0,
        where: Callable[[Payload], bool] = lambda _: True,
        csms: Csms | None = None,
    ) -> Payload:
        """The next CALL of this action that no step has looked at; others stay unread. Time passes until it comes."""
        endpoint = csms if csms is not None else self.csms
        received: Received = await self.until(
            lambda: self._find(endpoint, action, where), within_s=within_s, why=f"no {action}"
        )
        endpoint.unread.remove(received)
        return received.payload

    @staticmethod
    def _find(csms: Csms, action: str, where: Callable[[Payload], bool]) -> Received | None:
        return next(
            (received for received in csms.unread if received.action == action and where(received.payload)), None
        )

    async def silence(self, action: str, *, for_s: float, where: Callable[[Payload], bool] = lambda _: True) -> None:
        """No unread CALL of this action, now or in the next seconds."""
        await self.settle()
        remaining_s = for_s
        while True:
            found = self._find(self.csms, action, where)
            assert found is None, f"unexpected {action}: {found.payload if found else ''}"
            if remaining_s <= 0.0:
                return
            await self.station.advance(min(remaining_s, LONGEST_STEP_S))
            remaining_s -= LONGEST_STEP_S

    @staticmethod
    def unread(csms: Csms) -> list[Received]:
        """CALLs that no step has read, except those that the station may send at any time."""
        return [received for received in csms.unread if not _unsolicited(received)]

    def drop_unsolicited(self) -> None:
        """Drop unread CALLs that may come at any time: statuses, heartbeats, periodic values."""
        self.csms.unread = self.unread(self.csms)

    def take(self, action: str, where: Callable[[Frame], bool] = lambda _: True) -> list[Frame]:
        """All unread CALLs of this action that have come so far, for a step that judges them together."""
        matching = [
            received.frame for received in self.csms.unread if received.action == action and where(received.frame)
        ]
        self.csms.unread = [received for received in self.csms.unread if received.frame not in matching]
        return matching

    async def drain_messages(self) -> None:
        """Let the station send all that it has to send at this moment, and receive it."""
        frame_count = -1
        while frame_count != len(self.journal.frames):
            frame_count = len(self.journal.frames)
            await self.settle()
            for endpoint in (self.csms, *self.other_endpoints):
                await endpoint.caught_up()

    async def expect_event(self, *, within_s: float = 60.0, evse_id: int | None = None) -> Payload:
        """The next TransactionEvent, besides periodic meter values; the session of its EVSE takes note of it."""
        event = await self.expect(
            "TransactionEvent", within_s=within_s, where=lambda e: e["triggerReason"] not in PERIODIC
        )
        session, evse = self.session(evse_id), evse_id or self.evse_id
        assert event.get("evse", {}).get("id", evse) == evse, f"an event of another EVSE than {evse}: {event}"
        if session.started:
            identity = event["transactionInfo"]["transactionId"]
            assert identity == session.transaction_id, f"{session.transaction_id} goes on: {event}"
        self.note_event(event, evse_id)
        return event

    async def expect_timeout(self, wait_s: float, *, evse_id: int | None = None) -> Payload:
        """The TransactionEvent of EVConnectionTimeOut, when that has passed from now (within the labs' deviation)."""
        since = self.now()
        event = await self.expect_event(within_s=wait_s + DEVIATION_S, evse_id=evse_id)
        assert event["triggerReason"] == "EVConnectTimeout", event
        waited_s = (self.now() - since).total_seconds()
        assert waited_s >= wait_s - DEVIATION_S, f"after {waited_s:g} s"
        return event

    def note_event(self, event: Payload, evse_id: int | None = None) -> None:
        """Update the session of an EVSE from an event."""
        session = self.session(evse_id)
        if event["eventType"] == "Started":
            session.transaction_id, session.ended = event["transactionInfo"]["transactionId"], False
        if event["eventType"] == "Ended":
            session.ended = True
        session.events.append(event)

    async def expect_status(
        self, status: str, *, evse_id: int | None = None, connector_id: int | None = None, within_s: float = 30.0
    ) -> Payload:
        """The next notification of a connector's status, StatusNotification or NotifyEvent, is this one."""
        evse, connector = evse_id or self.evse_id, connector_id or self.connector_id
        notification = await self.expect("StatusNotification", within_s=within_s, where=lambda p: p["evseId"] == evse)
        assert notification["connectorStatus"] == status, notification
        assert notification["connectorId"] == connector, notification
        return notification

    async def expect_all_statuses(self, status: str, *, within_s: float = 60.0) -> None:
        """Expect a StatusNotification of every connector, each with this status."""
        for number in range(1, self.setup.evses + 1):
            await self.expect_status(status, evse_id=number, connector_id=1, within_s=within_s)

    # The device model

    async def set_variable(
        self, component: str, variable: str, value: str, *, instance: str | None = None, evse_id: int | None = None
    ) -> str:
        """SetVariables of one variable; the attributeStatus."""
        named: Payload = {"name": variable} | ({"instance": instance} if instance else {})
        place: Payload = {"name": component} | ({"evse": {"id": evse_id}} if evse_id else {})
        item: Payload = {"component": place, "variable": named, "attributeValue": value}
        answer = await self.call("SetVariables", {"setVariableData": [item]})
        if component == "TxCtrlr" and variable in {"TxStartPoint", "TxStopPoint"}:
            await self.learn_points()
        return answer["setVariableResult"][0]["attributeStatus"]

    async def configure(self, component: str, variable: str, value: str, *, instance: str | None = None) -> None:
        """A *Configuration state*: SetVariables, which must be accepted."""
        status = await self.set_variable(component, variable, value, instance=instance)
        assert status == "Accepted", f"{component}.{variable} = {value}: {status}"

    async def get_variable(self, component: str, variable: str, *, instance: str | None = None) -> str:
        """GetVariables of one variable; its Actual value."""
        named: Payload = {"name": variable} | ({"instance": instance} if instance else {})
        item: Payload = {"component": {"name": component}, "variable": named}
        answer = await self.call("GetVariables", {"getVariableData": [item]})
        result = answer["getVariableResult"][0]
        assert result["attributeStatus"] == "Accepted", result
        return result["attributeValue"]

    async def learn_points(self) -> None:
        """Ask for the start and stop points in force, which the reusable states go by."""
        self.start_points = frozenset((await self.get_variable("TxCtrlr", "TxStartPoint")).split(","))
        self.stop_points = frozenset((await self.get_variable("TxCtrlr", "TxStopPoint")).split(","))

    # Sessions and drivers

    def session(self, evse_id: int | None = None) -> Session:
        """The charging session on an EVSE."""
        return self.sessions.setdefault(evse_id or self.evse_id, Session())

    def new_session(self, evse_id: int | None = None) -> Session:
        """Forget the session of an EVSE; the next driver comes."""
        self.sessions.pop(evse_id or self.evse_id, None)
        return self.session(evse_id)

    async def note_action(self, action: str, evse_id: int, id_token: Payload | None = None) -> None:
        """Record a driver's action for the general rules, with its time."""
        await self.station.advance(0.002)  # so that this action has a later time than what happened before
        at = self.now()
        self.driver_actions.append(
            DriverAction(action, evse_id, at.replace(microsecond=at.microsecond // 1000 * 1000), id_token)
        )

    async def connect_ev(self, *, evse_id: int | None = None, connector_id: int | None = None, **ev: Any) -> None:
        """Manual action: connect the EV and EVSE."""
        evse = evse_id or self.evse_id
        await self.note_action("connected", evse)
        await self.station.plug(evse, connector_id or self.connector_id, **ev)
        self.session(evse).connected = True

    async def disconnect_ev(self, *, evse_id: int | None = None, ev_side: bool = False) -> None:
        """Manual action: disconnect them, at the station, or at the EV so that the cable stays in the socket."""
        if not ev_side:
            await self.note_action("disconnected", evse_id or self.evse_id)
        await self.station.unplug(evse_id or self.evse_id, self.connector_id, ev_side=ev_side)
        self.session(evse_id).connected = False

    async def present(self, id_token: Payload | None = None, *, evse_id: int | None = None) -> None:
        """Manual action: present an id token."""
        token = id_token if id_token is not None else self.session(evse_id).id_token
        await self.note_action("presented", evse_id or self.evse_id, token)
        await self.station.present(evse_id or self.evse_id, token)

    # The link

    async def go_offline(self) -> None:
        """The test system closes the websocket and does not accept a reconnect."""
        await self.csms.close()
        await self.settle()

    async def accept_reconnect(self, *, within_s: float = 120.0) -> None:
        """Accept connections again, and wait for the station to reconnect."""
        self.csms.accepting = True
        await self.until(self.csms.connected.is_set, within_s=within_s, why="no reconnect")

    async def accepted(self, csms: Csms | None = None) -> None:
        """Wait until the station is connected and accepted and has sent its statuses; mark all CALLs as read."""
        endpoint = csms if csms is not None else self.csms
        await self.until(endpoint.connected.is_set, within_s=120.0, why="the station did not connect")
        await self.until(
            lambda: len({f.payload["evseId"] for f in self.journal.sent("StatusNotification")}) >= self.setup.evses,
            why="no StatusNotification of each EVSE",
        )
        await self.settle()
        endpoint.unread.clear()
