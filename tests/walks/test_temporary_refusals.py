"""Notifications that the CSMS refuses temporarily are sent again; whole station."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.core.model import Fault
from tests.csms import Answer, CallErrorAnswer, Csms, Payload
from tests.walk import Walk, walking
from tests.walks.reservations import ends, pending, reserve
from tests.walks.steps import statuses, variables
from tests.walks.test_smart_charging import impose_limit

REPETITIONS = 7
PASSING = pytest.mark.parametrize("code", ["InternalError", "GenericError", "RpcFrameworkError"])


class Refusals:
    """A rule that refuses messages of one action: the first `count` that match `fields`, and no others."""

    def __init__(self, csms: Csms, action: str, count: int, *, code: str = "InternalError", **fields: object) -> None:
        self._fields = fields
        self._code = code
        self._left = count
        self.refused: list[Payload] = []
        csms.answers[action] = self._answer

    def _answer(self, payload: Payload) -> Answer:
        if not self._left or any(payload.get(name) != value for name, value in self._fields.items()):
            return {}
        self._left -= 1
        self.refused.append(payload)
        return CallErrorAnswer(self._code)


@PASSING
async def test_a_status_is_sent_again_until_the_csms_accepts_it(tmp_path: Path, code: str) -> None:
    csms = Csms()
    Refusals(csms, "StatusNotification", 2, code=code, connectorStatus="Occupied")
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: statuses(walk) == ["Available", *["Occupied"] * 3])
        await walk.advance(1_000)
        assert statuses(walk) == ["Available", *["Occupied"] * 3]


async def test_the_newer_status_is_sent_in_place_of_a_refused_one(tmp_path: Path) -> None:
    csms = Csms()
    refusals = Refusals(csms, "StatusNotification", 2, connectorStatus="Occupied")
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: len(refusals.refused) == 2)
        await walk.unplug()
        await walk.until(lambda: statuses(walk)[-1] == "Available", within_s=2)
        await walk.advance(1_000)
        assert statuses(walk) == ["Available", "Occupied", "Occupied", "Available"]


async def test_a_status_that_is_always_refused_is_given_up_after_ten_minutes_and_a_newer_one_is_not(
    tmp_path: Path,
) -> None:
    csms = Csms()
    Refusals(csms, "StatusNotification", 100, connectorStatus="Occupied")
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.advance(400)
        assert statuses(walk).count("Occupied") < 1 + REPETITIONS, "the last repetition comes later"
        await walk.advance(1_000)
        assert statuses(walk) == ["Available", *["Occupied"] * (1 + REPETITIONS)]
        await walk.unplug()
        await walk.until(lambda: statuses(walk)[-1] == "Available", within_s=2)


async def test_a_triggered_status_that_is_refused_is_sent_again(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        Refusals(walk.csms, "StatusNotification", 1)
        request = {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}
        assert (await walk.csms.call("TriggerMessage", request))["status"] == "Accepted"
        await walk.until(lambda: statuses(walk) == ["Available"] * 3)
        await walk.advance(1_000)
        assert len(statuses(walk)) == 3


async def test_a_new_boot_reports_all_statuses_and_ends_the_repetitions(tmp_path: Path) -> None:
    """B01.FR.05"""
    csms = Csms()
    refusals = Refusals(csms, "StatusNotification", 3, connectorStatus="Occupied")
    rows = variables(OCPPCommCtrlr__OfflineThreshold=0, OCPPCommCtrlr__RetryBackOffWaitMinimum=1)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: len(refusals.refused) == 3)
        csms.drop()
        await walk.until(lambda: csms.connections == 2 and walk.stack.link.online)
        await walk.until(lambda: len(statuses(walk)) == 5, within_s=2)
        await walk.advance(1_000)
        assert statuses(walk) == ["Available", *["Occupied"] * 4]


async def test_the_end_of_a_reservation_is_sent_again(tmp_path: Path) -> None:
    csms = Csms()
    refusals = Refusals(csms, "ReservationStatusUpdate", 2)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        assert await reserve(walk, for_s=30.0) == "Accepted"
        await walk.until(lambda: len(ends(walk)) == 3)
        await walk.advance(1_000)
        assert (ends(walk), len(refusals.refused), pending(walk)) == ([(1, "Expired")] * 3, 2, [])


async def test_an_event_of_a_monitor_is_sent_again_before_the_next_one(tmp_path: Path) -> None:
    csms = Csms()
    Refusals(csms, "NotifyEvent", 2)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        before = len(notified_events(walk))
        walk.board.raise_fault(Fault.LOCK)
        await walk.until(lambda: len(notified_events(walk)) >= before + 3)
        walk.board.clear_fault(Fault.LOCK)
        await walk.advance(1_000)
        sent = [(event_data["eventId"], event_data["actualValue"]) for event_data in notified_events(walk)]
        first = sent[before]
        assert sent.count(first) == 3
        assert [number for number, _ in sent] == sorted(number for number, _ in sent), "in their order"


async def test_the_then_current_limit_is_sent_in_place_of_a_refused_one(tmp_path: Path) -> None:
    """K12.FR.02, K13.FR.02"""
    csms = Csms()
    Refusals(csms, "NotifyChargingLimit", 2)
    Refusals(csms, "ClearedChargingLimit", 2)
    rows = variables(SmartChargingCtrlr__NotifyChargingLimitWithSchedules=True)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        impose_limit(walk, 10.0)
        await walk.until(lambda: notified_limits_a(walk) == [10.0, 10.0])
        impose_limit(walk, 8.0)
        await walk.until(lambda: notified_limits_a(walk) == [10.0, 10.0, 8.0], within_s=2)
        impose_limit(walk, None)
        await walk.until(lambda: len(csms.received("ClearedChargingLimit")) == 3)
        await walk.advance(1_000)
        assert (len(notified_limits_a(walk)), len(csms.received("ClearedChargingLimit"))) == (3, 3)


async def test_a_part_of_a_report_is_sent_again_before_the_next_one(tmp_path: Path) -> None:
    """B07.FR.04"""
    csms = Csms()
    Refusals(csms, "NotifyReport", 2, seqNo=1)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        request = {"requestId": 5, "reportBase": "FullInventory"}
        assert (await csms.call("GetBaseReport", request))["status"] == "Accepted"
        await walk.until(lambda: report_parts(walk) and not report_parts(walk)[-1]["tbc"], within_s=120)
        numbers = [part["seqNo"] for part in report_parts(walk)]
        assert numbers == [0, 1, 1, 1, *range(2, numbers[-1] + 1)]
        assert report_parts(walk)[1]["reportData"] == report_parts(walk)[3]["reportData"]


async def test_a_report_that_is_refused_for_ten_minutes_ends(tmp_path: Path) -> None:
    """All parts share the repetitions, so that few reports cannot take the place of later ones for hours."""
    csms = Csms()
    Refusals(csms, "NotifyReport", 10_000)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        request = {"requestId": 5, "reportBase": "FullInventory"}
        assert (await csms.call("GetBaseReport", request))["status"] == "Accepted"
        await walk.advance(700)
        assert not report_parts(walk)[-1]["tbc"]
        assert [part["seqNo"] for part in report_parts(walk)].count(0) == 1 + REPETITIONS


async def test_the_parts_of_a_report_are_not_repeated_on_another_link(tmp_path: Path) -> None:
    csms = Csms()
    Refusals(csms, "NotifyReport", 10_000)
    rows = variables(OCPPCommCtrlr__RetryBackOffWaitMinimum=1, OCPPCommCtrlr__RetryBackOffRandomRange=0)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        request = {"requestId": 5, "reportBase": "FullInventory"}
        assert (await csms.call("GetBaseReport", request))["status"] == "Accepted"
        await walk.until(lambda: len(report_parts(walk)) == 3)
        csms.drop()
        await walk.until(lambda: csms.connections == 2 and walk.stack.link.online)
        await walk.advance(1_000)
        assert len(report_parts(walk)) == 3


def notified_limits_a(walk: Walk) -> list[float]:
    """Return the limits of all received NotifyChargingLimit messages."""
    sent = walk.csms.received("NotifyChargingLimit")
    return [notification["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] for notification in sent]


def notified_events(walk: Walk) -> list[Any]:
    """Return the event data of all received NotifyEvent messages."""
    return [event for message in walk.csms.received("NotifyEvent") for event in message["eventData"]]


def report_parts(walk: Walk) -> list[Payload]:
    """Return the parts of device model reports that the CSMS has received."""
    return walk.csms.received("NotifyReport")
