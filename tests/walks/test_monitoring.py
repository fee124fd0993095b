"""Monitors of a whole station: events come in bursts, offline, from a station without a CSMS; accepted means kept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from station.core.model import Fault
from station.maintenance.monitoring import event_queue
from station.maintenance.monitoring.variable_monitoring import MAX_MONITORS
from tests.csms import NO_ANSWER, Csms, Payload, running_csms
from tests.hostile import charging
from tests.patience import until
from tests.programs import ProgramHost
from tests.walk import configuration, powered, walking
from tests.walks.station_process import StationProcess
from tests.walks.steps import charge

EVSE: Payload = {"name": "EVSE", "evse": {"id": 1}}
CONNECTOR: Payload = {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}
STATION: Payload = {"name": "ChargingStation"}


def monitor(component: Payload, variable: str, kind: str, value: float, severity: int = 5, **more: Any) -> Payload:
    """A SetMonitoringDataType."""
    place = {"component": component, "variable": {"name": variable}}
    return {**place, "type": kind, "value": value, "severity": severity, **more}


async def set_monitors(csms: Csms, *monitors: Payload) -> list[int]:
    """Set monitors, which must be accepted; returns their ids."""
    answer = await csms.call("SetVariableMonitoring", {"setMonitoringData": list(monitors)})
    results = answer["setMonitoringResult"]
    assert [result["status"] for result in results] == ["Accepted"] * len(monitors), results
    return [result["id"] for result in results]


def events(csms: Csms) -> list[Payload]:
    """All events that the CSMS has received, in order."""
    return [event for message in csms.received("NotifyEvent") for event in message["eventData"]]


def reported(csms: Csms, request_id: int) -> dict[int, Payload]:
    """The monitors of a report by id, with component and variable."""
    parts = [part for part in csms.received("NotifyMonitoringReport") if part["requestId"] == request_id]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    return {
        installed["id"]: {**installed, "component": data["component"], "variable": data["variable"]}
        for part in parts
        for data in part["monitor"]
        for installed in data["variableMonitoring"]
    }


def is_complete(csms: Csms, request_id: int) -> bool:
    """Whether the last part of a report has arrived."""
    parts = [part for part in csms.received("NotifyMonitoringReport") if part["requestId"] == request_id]
    return bool(parts) and not parts[-1].get("tbc", False)


def row_count(storage: Path, table: str) -> int:
    """How many rows a table on disk has."""
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        ((count,),) = database.execute(f"SELECT COUNT(*) FROM {table}")
    return int(count)


async def test_a_threshold_reported_online_is_cleared_after_a_power_cut(tmp_path: Path) -> None:
    """N07.FR.14: what the CSMS knows is on disk soon after its answer."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await set_monitors(walk.csms, monitor(EVSE, "Power", "UpperThreshold", 100.0))
        await charge(walk)
        await walk.until(lambda: events(walk.csms))
        await walk.advance(5)
        await walk.application.cut_power()
        walk.board.unplug()
        await walk.application.restore_power()
        await walk.until(lambda: len(events(walk.csms)) == 2, within_s=120.0)
        above, below = events(walk.csms)
        assert (above["cleared"], below["cleared"]) == (False, True)
        assert above["variableMonitoringId"] == below["variableMonitoringId"]


async def test_what_one_plug_triggers_comes_in_one_message(tmp_path: Path) -> None:
    """N07: each event once, with seqNo 0 and an id of its own."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await set_monitors(
            walk.csms, *(monitor(place, "AvailabilityState", "Delta", 1) for place in (EVSE, CONNECTOR, STATION))
        )
        await walk.plug()
        await walk.until(lambda: events(walk.csms), within_s=5.0, step_s=0.1)
        (message,) = walk.csms.received("NotifyEvent")
        assert message["seqNo"] == 0
        assert {event["component"]["name"] for event in message["eventData"]} == {
            "EVSE",
            "Connector",
            "ChargingStation",
        }
        assert {event["actualValue"] for event in message["eventData"]} == {"Occupied"}
        assert len({event["eventId"] for event in message["eventData"]}) == 3


async def test_offline_events_arrive_in_order_and_those_of_no_weight_are_not_queued(tmp_path: Path) -> None:
    """N07.FR.04, TC_N_22_CS, TC_N_23_CS."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.set_variable("MonitoringCtrlr", "OfflineQueuingSeverity", "4")
        await set_monitors(
            walk.csms,
            monitor(EVSE, "AvailabilityState", "Delta", 1, 4),
            monitor(CONNECTOR, "AvailabilityState", "Delta", 1, 5),
        )
        walk.stack.cut_network()
        for _ in range(3):
            await walk.plug()
            await walk.advance(2)
            await walk.unplug()
            await walk.advance(2)
        walk.stack.restore_network()
        await walk.until(lambda: len(events(walk.csms)) >= 6)
        await walk.advance(30)
        received = events(walk.csms)
        assert {event["component"]["name"] for event in received} == {"EVSE"}
        assert [event["actualValue"] for event in received] == ["Occupied", "Available"] * 3
        times = [event["timestamp"] for event in received]
        assert times == sorted(times)
        await walk.until(lambda: row_count(tmp_path, "monitoring_events") == 0)
        await walk.until(lambda: row_count(tmp_path, "monitor_states") >= 1)


async def test_dropped_events_are_reported_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """N07.FR.04: the highest severity number goes first; a hard-wired monitor reports how many went."""
    monkeypatch.setattr(event_queue, "MAX_WAITING", 10)
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await set_monitors(
            walk.csms,
            monitor(EVSE, "AvailabilityState", "Delta", 1, 3),
            monitor(CONNECTOR, "AvailabilityState", "Delta", 1, 5),
        )
        walk.stack.cut_network()
        for _ in range(4):
            await walk.plug()
            await walk.advance(2)
            await walk.unplug()
            await walk.advance(2)
        walk.stack.restore_network()
        await walk.until(lambda: len(events(walk.csms)) >= 11)
        await walk.advance(60)
        *retained, dropped = events(walk.csms)
        assert [event["component"]["name"] for event in retained].count("EVSE") == 8
        assert len(retained) == 10
        assert (dropped["component"]["name"], dropped["variable"]["name"]) == ("MonitoringCtrlr", "DroppedEvents")
        assert (dropped["actualValue"], dropped["eventNotificationType"]) == ("6", "HardWiredMonitor")


async def test_events_that_are_not_answered_are_sent_until_they_are(tmp_path: Path) -> None:
    """N07.FR.04: also beyond MessageAttempts, and over a reboot of the CSMS; the other messages are not held up."""
    csms = Csms()
    csms.answers["NotifyEvent"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.set_variable("OCPPCommCtrlr", "MessageAttempts", "2", "TransactionEvent")
        await walk.set_variable("OCPPCommCtrlr", "MessageAttemptInterval", "0", "TransactionEvent")
        await set_monitors(csms, monitor(EVSE, "AvailabilityState", "Delta", 1))
        await walk.plug()
        await walk.until(lambda: len(csms.received("NotifyEvent")) == 4, within_s=900.0, step_s=5.0)
        assert walk.events()[0]["eventType"] == "Started"
        walk.stack.cut_network()
        await walk.until(lambda: not walk.stack.connected)
        walk.stack.restore_network()
        await walk.until(lambda: len(csms.received("NotifyEvent")) == 5, within_s=900.0, step_s=5.0)
        del csms.answers["NotifyEvent"]
        await walk.until(lambda: len(csms.received("NotifyEvent")) == 6, within_s=900.0, step_s=5.0)
        await walk.advance(900)
        assert [event["eventId"] for event in events(csms)] == [events(csms)[0]["eventId"]] * 6
        assert len(walk.parts.monitoring.queue) == 0


async def test_the_power_of_a_charge_is_monitored_within_its_transaction(tmp_path: Path) -> None:
    """N07.FR.02, N07.FR.16, TC_N_20_CS."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        (identity,) = await set_monitors(walk.csms, monitor(EVSE, "Power", "UpperThreshold", 100.0))
        transaction_id = await charge(walk)
        await walk.until(lambda: events(walk.csms))
        await walk.present()
        await walk.until(lambda: len(events(walk.csms)) == 2)
        above, below = events(walk.csms)
        assert float(above["actualValue"]) > 100.0 >= float(below["actualValue"])
        assert (above.get("cleared"), below["cleared"]) == (False, True)
        assert {event["transactionId"] for event in (above, below)} == {transaction_id}
        assert {event["variableMonitoringId"] for event in (above, below)} == {identity}


async def test_after_the_end_of_a_transaction_an_event_does_not_name_it(tmp_path: Path) -> None:
    """But a measured value does, which is late (TC_N_20_CS)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        connector = {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}
        await set_monitors(walk.csms, monitor(connector, "AvailabilityState", "Delta", 1.0))
        await charge(walk)
        await walk.present()
        await walk.until(lambda: walk.types_and_triggers()[-1][0] == "Ended")
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await walk.until(lambda: any(event["actualValue"] == "Available" for event in events(walk.csms)), within_s=5)
        available = [event for event in events(walk.csms) if event["actualValue"] == "Available"]
        assert not any("transactionId" in event for event in available), available


async def test_a_station_without_a_csms_knows_its_events(tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk:
        await walk.advance(10)
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await walk.advance(10)
        monitoring = walk.parts.monitoring
        (event,) = [
            recent_event for recent_event in monitoring.detection.recent if recent_event.address.component == "RCD"
        ]
        assert (event.value, event.tech_code) == ("true", "ground-fault")
        assert len(monitoring.queue) == 0


# What a hostile CSMS can do


def at_their_bounds() -> Iterator[Payload]:
    """Monitors of as many types and severities as there are, on variables that change."""
    places = [(EVSE, "Power"), (EVSE, "AvailabilityState"), (CONNECTOR, "AvailabilityState"), (STATION, "Problem")]
    for (place, variable), severity in itertools.product(places, range(10)):
        yield monitor(place, variable, "Delta", 0, severity)
        yield monitor(place, variable, "Periodic", 1, severity)
        yield monitor(place, variable, "PeriodicClockAligned", 1, severity)


async def test_a_flood_of_monitors_and_their_events_does_not_disturb_a_charge(tmp_path: Path) -> None:
    """120 monitors that trigger every second, replaced again and again."""
    async with charging(tmp_path) as (walk, csms):
        monitors = list(at_their_bounds())
        ids: list[int] = []
        for start in range(0, len(monitors), 50):
            ids += await set_monitors(csms, *monitors[start : start + 50])
        longest_s, stop = 0.0, asyncio.Event()

        async def measure() -> None:
            nonlocal longest_s
            while not stop.is_set():
                before_s = time.thread_time()
                await asyncio.sleep(0.001)  # with 0 the loop is never idle, for which the virtual clock waits
                longest_s = max(longest_s, time.thread_time() - before_s)

        measuring = asyncio.create_task(measure())
        for number in range(60):
            start = number % 2 * 50
            items = [{**data, "id": identity} for data, identity in zip(monitors[start:], ids[start:], strict=True)]
            await set_monitors(csms, *items[:50])
            if number % 10 == 0:
                await walk.advance(1)
        stop.set()
        await measuring
        assert longest_s < 0.5
        answer = await csms.request("SetVariableMonitoring", {"setMonitoringData": monitors[:51]})
        assert answer[2] == "OccurrenceConstraintViolation"
        assert events(csms)
        assert len(walk.parts.monitoring.monitors()) < MAX_MONITORS
        await csms.call("SetMonitoringBase", {"monitoringBase": "HardWiredOnly"})


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (monitor(EVSE, "Power", "UpperThreshold", 1e9), "Rejected"),
        (monitor(EVSE, "Power", "Periodic", 1e-9), "Rejected"),
        (monitor(EVSE, "Power", "Delta", 1, 10), "Rejected"),
        (monitor(EVSE, "Power", "Delta", 1, id=-5), "Rejected"),
        (monitor(EVSE, "AvailabilityState", "UpperThreshold", 1), "UnsupportedMonitorType"),
        (monitor({**EVSE, "instance": "x" * 50}, "Power", "Delta", 1), "UnknownComponent"),
    ],
)
async def test_monitors_of_nonsense_are_refused_by_their_status(tmp_path: Path, data: Payload, status: str) -> None:
    """N04.FR.03 to N04.FR.06, N04.FR.13."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.call("SetVariableMonitoring", {"setMonitoringData": [data]})
        (result,) = answer["setMonitoringResult"]
        assert result["status"] == status
        assert "id" not in result


async def test_a_threshold_that_no_double_can_hold_is_refused_by_the_name_of_its_field(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        beyond = monitor(EVSE, "Power", "UpperThreshold", 10**400)
        answer = await walk.csms.request("SetVariableMonitoring", {"setMonitoringData": [beyond]})
        assert answer[0] == 4
        assert answer[2] == "PropertyConstraintViolation"
        assert "setMonitoringData[0].value" in answer[3]


# Power cuts


class Accepted:
    """The monitors that a station has accepted, and those of the request whose response a power cut left open."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.accepted: dict[int, Payload] = {}
        self.open: Sequence[Payload] = ()
        self._numbers = itertools.count()

    async def set_some(self, csms: Csms) -> None:
        """Set new monitors, or replace one, again and again."""
        while True:
            some = [self._next() for _ in range(self.chance.randint(1, 4))]
            self.open = some
            answer = await csms.call("SetVariableMonitoring", {"setMonitoringData": some})
            for data, result in zip(some, answer["setMonitoringResult"], strict=True):
                if result["status"] == "Accepted":
                    self.accepted[result["id"]] = {**data, "id": result["id"]}
            self.open = ()

    def _next(self) -> Payload:
        value = float(next(self._numbers))
        if self.accepted and self.chance.random() < 0.4:
            return {**self.chance.choice(list(self.accepted.values())), "value": value}
        return monitor(EVSE, "Power", self.chance.choice(["UpperThreshold", "Delta"]), value, self.chance.randint(0, 9))

    def check(self, found: dict[int, Payload]) -> None:
        """Check that all accepted monitors exist; those of the open request may exist."""
        open_values = {data["value"] for data in self.open}
        for identity, data in self.accepted.items():
            assert identity in found, f"monitor {identity} was accepted and is lost"
            values = {data["value"]} | {request["value"] for request in self.open if request.get("id") == identity}
            assert found[identity]["value"] in values
            assert found[identity]["severity"] == data["severity"]
        unconfirmed = {identity: data for identity, data in found.items() if identity not in self.accepted}
        assert all(data["value"] in open_values for data in unconfirmed.values() if data["component"]["name"] == "EVSE")
        self.accepted = {
            data["id"]: {**data, "id": data["id"]} for data in found.values() if data["component"]["name"] == "EVSE"
        }


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_accepted_monitor_outlives_a_power_cut_at_any_moment(
    tmp_path: Path, seed: int, program_host: ProgramHost
) -> None:
    """N07.FR.13"""
    chance = random.Random(seed)
    accepted = Accepted(chance)
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url, launch=program_host.launch)
        try:
            for round_number in range(3):
                boots = len(csms.received("BootNotification"))
                station.start()
                await until(lambda boots=boots: len(csms.received("BootNotification")) > boots and csms.connected)
                await _check_report(csms, accepted, round_number)
                setting = asyncio.create_task(accepted.set_some(csms))
                await asyncio.sleep(chance.uniform(0.0, 0.2))
                station.kill()
                await station.ended()
                setting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await setting
        finally:
            await station.aclose()
    assert accepted.accepted


async def _check_report(csms: Csms, accepted: Accepted, request_id: int) -> None:
    answer = await csms.call("GetMonitoringReport", {"requestId": request_id})
    assert answer["status"] == "Accepted"
    await until(lambda: is_complete(csms, request_id))
    accepted.check(reported(csms, request_id))
