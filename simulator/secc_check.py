"""Plays a station against an SECC in a process of its own, and finds what it breaks of the protocol (docs/secc.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.core.vehicle_link import (
    AuthorizationOrder,
    AuthorizationProgress,
    AuthorizationRequested,
    CertificateRequested,
    CertificateResponse,
    ChargeProgress,
    ChargingNeeds,
    ContactorOrder,
    CurrentLimit,
    EnergyTransferMode,
    PaymentOption,
    PowerDelivery,
    PowerPeriod,
    Renegotiate,
    ScheduleOffer,
    ScheduleSelected,
    ScheduleTuple,
    SeccCredentials,
    ServiceOffer,
    SessionEnd,
    SessionStarted,
    SessionStopped,
    VehicleEvent,
    VehicleLinkError,
    VehicleOrder,
)
from station.devices.secc.external_secc import open_secc
from station.devices.secc.secc_protocol import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    VERSION,
    Hello,
    HelloAnswer,
    Ping,
    Pong,
    SeccProtocolError,
    check_hello,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foundation.clock import Clock
    from station.devices.secc.external_secc import SeccConnection

_SCHEDULE: Final = ScheduleTuple(1, (PowerPeriod(0, 11_000.0), PowerPeriod(600, 4_200.0)), 3_600)
_OFFERED_A: Final = 16.0
_REDUCED_A: Final = 6.0
_PING: Final = 7
_EVSE_ID: Final = "FR*BRN*E00001"


class SeccFinding(Frozen):
    """What was checked, and what is wrong with it."""

    subject: str
    problem: str | None = None
    """None: nothing"""


class VehicleSession:
    """Follows one session: whether the events of an SECC come in an order that ISO 15118 allows, and what to answer."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.ended = False
        self._seen: set[type[VehicleEvent]] = set()
        self._negotiated = False
        """whether the vehicle was ordered to negotiate anew"""
        self._delivering = False

    def answers_to(self, event: VehicleEvent) -> list[VehicleOrder]:
        """Note an event, and return the orders that answer it."""
        if isinstance(event, SessionStarted):
            self._require(SessionStarted not in self._seen, "session_started: the session has begun already")
        else:
            self._require(SessionStarted in self._seen, f"{_tag(event)}: before session_started")
        self._seen.add(type(event))
        match event:
            case AuthorizationRequested():
                return [
                    AuthorizationOrder(AuthorizationProgress.ONGOING),
                    AuthorizationOrder(AuthorizationProgress.ACCEPTED),
                ]
            case CertificateRequested():
                return [CertificateResponse(accepted=False)]
            case ChargingNeeds():
                self._require(AuthorizationRequested in self._seen, "charging_needs: before authorization_requested")
                self._require(
                    event.min_current_a <= event.max_current_a, "charging_needs: min_current_a is above max_current_a"
                )
                return [ScheduleOffer((_SCHEDULE,), _OFFERED_A)]
            case ScheduleSelected():
                self._note_schedule(event)
                return []
            case PowerDelivery():
                return self._note_delivery(event.progress)
            case SessionStopped():
                unfinished = self._delivering and event.end is not SessionEnd.ERROR
                self._require(not unfinished, "session_stopped: before power_delivery stop")
                self.ended = True
                return [ContactorOrder(closed=False)]
            case _:
                return []

    def _note_schedule(self, selected: ScheduleSelected) -> None:
        self._require(ChargingNeeds in self._seen, "schedule_selected: before charging_needs")
        chosen = selected.tuple_id
        self._require(chosen == _SCHEDULE.id, f"schedule_selected: tuple_id {chosen} is not offered")
        starts = [period.start_s for period in selected.plan]
        self._require(len(starts) == len(set(starts)), "schedule_selected: two periods of plan begin at the same time")

    def _note_delivery(self, progress: ChargeProgress) -> list[VehicleOrder]:
        match progress:
            case ChargeProgress.START:
                self._require(ScheduleSelected in self._seen, "power_delivery: start before schedule_selected")
                self._delivering = True
                orders: list[VehicleOrder] = [ContactorOrder(closed=True), CurrentLimit(_REDUCED_A)]
                if not self._negotiated:  # once: each negotiation ends with another start
                    self._negotiated = True
                    orders.append(Renegotiate())
                return orders
            case ChargeProgress.STOP:
                self._delivering = False
                return [ContactorOrder(closed=False)]
            case ChargeProgress.RENEGOTIATE:
                self._require(self._delivering, "power_delivery: renegotiate before start")
                return []

    def _require(self, holds: bool, problem: str) -> None:
        if not holds and problem not in self.problems:
            self.problems.append(problem)


class SeccCheck:
    """Checks the SECC at a socket."""

    def __init__(self, socket: str, evse_id: int, clock: Clock, say: Callable[[str], None]) -> None:
        """`say` receives each event as it comes."""
        self._socket = socket
        self._evse_id = evse_id
        self._clock = clock
        self._say = say

    async def run(self, within_s: float) -> list[SeccFinding]:
        """Check the connection twice, then a session of a vehicle that comes within this time; returns all findings."""
        findings = [
            await self._check("hello and ping", self._answer_ping),
            await self._check("a second connection, after the first was lost", self._answer_ping),
        ]
        if all(finding.problem is None for finding in findings):
            session = VehicleSession()
            findings.append(await self._check("a session", lambda secc: self._follow(secc, session, within_s)))
            findings += [SeccFinding("order of events", problem) for problem in session.problems]
        return findings

    async def _check(self, subject: str, check: Callable[[SeccConnection], Awaitable[None]]) -> SeccFinding:
        try:
            secc = await open_secc(self._socket, self._clock)
            try:
                await self._greet(secc)
                await check(secc)
            finally:
                secc.close()
        except (VehicleLinkError, SeccProtocolError) as error:
            return SeccFinding(subject, str(error))
        return SeccFinding(subject)

    async def _greet(self, secc: SeccConnection) -> None:
        await secc.send(Hello(VERSION, self._evse_id))
        answer = await secc.read(CONNECT_TIMEOUT_S)
        if answer is None:
            raise SeccProtocolError(f"hello: not answered in {CONNECT_TIMEOUT_S:g} s")
        self._say(f"hello of {check_hello(answer, self._evse_id).name!r}")

    async def _answer_ping(self, secc: SeccConnection) -> None:
        """Send what a station sends at its start, and a ping, which other events may precede.

        Raises:
            SeccProtocolError: the ping is not answered in time, or by another number.
        """
        await self._send_start(secc)
        await secc.send(Ping(_PING))
        until_s = self._clock.monotonic() + ANSWER_TIMEOUT_S
        while (left_s := until_s - self._clock.monotonic()) > 0.0:
            line = await secc.read(left_s)
            if isinstance(line, Pong):
                if line.number != _PING:
                    raise SeccProtocolError(f"pong: number is {line.number}, and the ping had {_PING}")
                return
        raise SeccProtocolError(f"ping: not answered in {ANSWER_TIMEOUT_S:g} s")

    async def _send_start(self, secc: SeccConnection) -> None:
        await secc.send(SeccCredentials(""))
        modes = (EnergyTransferMode.AC_SINGLE_PHASE, EnergyTransferMode.AC_THREE_PHASE)
        await secc.send(ServiceOffer(_EVSE_ID, (PaymentOption.CONTRACT, PaymentOption.EIM), modes))

    async def _follow(self, secc: SeccConnection, session: VehicleSession, within_s: float) -> None:
        """Answer the events of a session until it ends.

        Raises:
            SeccProtocolError: no session begins and ends in time.
        """
        await self._send_start(secc)
        until_s = self._clock.monotonic() + within_s
        while not session.ended:
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0.0:
                raise SeccProtocolError(f"no session has begun and ended within {within_s:g} s")
            line = await secc.read(left_s)
            if isinstance(line, HelloAnswer):
                raise SeccProtocolError("hello: said twice")
            if line is None or isinstance(line, Pong):
                continue
            self._say(str(line))
            for order in session.answers_to(line):
                await secc.send(order)


def _tag(event: VehicleEvent) -> str:
    return str(event.__struct_config__.tag)
