"""`borne secc-check`: a right SECC passes, and what a wrong one breaks is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne import cli
from foundation.clock import SystemClock
from simulator.secc import SimulatedSecc
from simulator.secc_check import SeccCheck, SeccFinding, VehicleSession
from simulator.secc_server import SeccServer
from station.core.vehicle_link import (
    AuthorizationRequested,
    ChargeProgress,
    ChargingNeeds,
    EnergyTransferMode,
    PowerDelivery,
    PowerPeriod,
    ScheduleSelected,
    ServiceOffer,
    SessionEnd,
    SessionStarted,
    SessionStopped,
    VehicleEvent,
    VehicleOrder,
)
from station.devices.secc.secc_protocol import (
    VERSION,
    HelloAnswer,
    SeccProtocolError,
    decode_secc_line,
    decode_station_line,
    encode_line,
    protocol_schema,
)

STARTED, AUTHORIZATION = SessionStarted("020304050607"), AuthorizationRequested()
NEEDS = ChargingNeeds(EnergyTransferMode.AC_THREE_PHASE, 10_000.0, 32.0, 6.0)
SELECTED = ScheduleSelected(1)
START, STOP = PowerDelivery(ChargeProgress.START), PowerDelivery(ChargeProgress.STOP)
ENDED = SessionStopped(SessionEnd.TERMINATE)
CHARGE: list[VehicleEvent] = [STARTED, AUTHORIZATION, NEEDS, SELECTED, START, STOP, ENDED]


class ScriptedSecc(SimulatedSecc):
    """Reports its events once it has the offer of the third connection: that of the session."""

    def __init__(self, events: list[VehicleEvent]) -> None:
        super().__init__(SystemClock())
        self._script = events
        self._offers = 0

    async def send(self, order: VehicleOrder, /) -> None:
        """Count the offers, beside what the simulated SECC does."""
        await super().send(order)
        if isinstance(order, ServiceOffer):
            self._offers += 1
            if self._offers == 3:
                assert all(self.report(event) for event in self._script)


async def checked(tmp_path: Path, events: list[VehicleEvent], *, hello: HelloAnswer | None = None) -> list[SeccFinding]:
    """Check an SECC that reports these events on its third connection."""
    socket = str(tmp_path / "secc.sock")
    server = SeccServer(ScriptedSecc(events), 1, socket)
    server.faults.hello = hello
    await server.start()
    try:
        return await SeccCheck(socket, 1, SystemClock(), lambda _: None).run(2.0)
    finally:
        await server.stop()


async def test_a_right_secc_passes(tmp_path: Path) -> None:
    findings = await checked(tmp_path, CHARGE)
    assert len(findings) == 3
    assert all(finding.problem is None for finding in findings), findings


async def test_an_secc_of_another_version_fails_at_once(tmp_path: Path) -> None:
    findings = await checked(tmp_path, CHARGE, hello=HelloAnswer(VERSION + 1, 1))
    problem = f"version: the SECC speaks {VERSION + 1}, the station {VERSION}"
    assert [finding.problem for finding in findings] == [problem, problem]


async def test_without_a_vehicle_the_check_fails_in_time(tmp_path: Path) -> None:
    findings = await checked(tmp_path, [])
    assert findings[-1].problem == "no session has begun and ended within 2 s"


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([AUTHORIZATION], "authorization_requested: before session_started"),
        ([STARTED, STARTED], "session_started: the session has begun already"),
        ([STARTED, NEEDS], "charging_needs: before authorization_requested"),
        ([STARTED, AUTHORIZATION, SELECTED], "schedule_selected: before charging_needs"),
        ([STARTED, AUTHORIZATION, NEEDS, ScheduleSelected(2)], "schedule_selected: tuple_id 2 is not offered"),
        (
            [STARTED, AUTHORIZATION, NEEDS, ScheduleSelected(1, (PowerPeriod(0, 1.0), PowerPeriod(0, 2.0)))],
            "schedule_selected: two periods of plan begin at the same time",
        ),
        ([STARTED, AUTHORIZATION, NEEDS, START], "power_delivery: start before schedule_selected"),
        (
            [STARTED, AUTHORIZATION, NEEDS, SELECTED, PowerDelivery(ChargeProgress.RENEGOTIATE)],
            "power_delivery: renegotiate before start",
        ),
        ([STARTED, AUTHORIZATION, NEEDS, SELECTED, START, ENDED], "session_stopped: before power_delivery stop"),
        (
            [STARTED, AUTHORIZATION, ChargingNeeds(EnergyTransferMode.AC_SINGLE_PHASE, 1.0, 6.0, 8.0)],
            "charging_needs: min_current_a is above max_current_a",
        ),
    ],
)
def test_events_in_a_wrong_order_are_found(events: list[VehicleEvent], problem: str) -> None:
    session = VehicleSession()
    for event in events:
        session.answers_to(event)
    assert session.problems == [problem]


@pytest.mark.parametrize("event", CHARGE)
def test_every_event_survives_its_line_and_no_key_may_be_added(event: VehicleEvent) -> None:
    line = encode_line(event)
    assert decode_secc_line(line) == event
    with pytest.raises(SeccProtocolError, match="unknown field `later`"):
        decode_secc_line(line.replace(b"{", b'{"later":[1],', 1))
    with pytest.raises(SeccProtocolError, match="line of the station"):
        decode_station_line(line)


def test_the_schema_has_every_line_of_both_directions() -> None:
    definitions = protocol_schema()["$defs"]
    assert isinstance(definitions, dict)
    lines = {"Hello", "Ping", "ScheduleOffer", "HelloAnswer", "Pong", "SessionStarted"}
    assert lines | {"station", "secc"} <= definitions.keys()


def test_the_command_prints_the_schema_and_refuses_a_missing_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["secc-check", "--schema"]) == 0
    assert '"$schema"' in capsys.readouterr().out
    assert cli.main(["secc-check", str(tmp_path / "none.sock"), "--within", "1"]) == 1
    assert "No such file" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["secc-check"])
    assert "SOCKET: is missing" in capsys.readouterr().err
