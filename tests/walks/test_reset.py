"""Resets of one EVSE and of the station, and what hinders them (B11, B12)."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from simulator.board import MeterOverride
from simulator.vehicle import VehicleModel
from station.charging.tokens.admission import TokenOutcome
from station.core.model import ConnectorStatus, Fault
from station.maintenance.logs.frame_log import FrameLog
from tests.csms import NO_ANSWER, Csms
from tests.walk import OTHER_CARD, Walk, walking
from tests.walks.steps import event, tx_points

EVSE_1 = {"evseId": 1}


async def _reset(walk: Walk, kind: str, **more: Any) -> dict[str, Any]:
    return await walk.csms.call("Reset", {"type": kind, **more})


async def _charge(walk: Walk) -> None:
    await walk.accepted()
    await walk.plug()
    await walk.present()
    await walk.charging()


def _statuses(walk: Walk, evse_id: int) -> list[str]:
    notifications = walk.csms.received("StatusNotification")
    return [status["connectorStatus"] for status in notifications if status["evseId"] == evse_id]


async def test_an_evse_that_is_reset_again_and_again_is_reset_once_at_a_time(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for _ in range(10):
            assert (await _reset(walk, "Immediate", **EVSE_1))["status"] == "Accepted"
        await walk.advance(10)
        assert _statuses(walk, 1) == ["Available", "Unavailable", "Available"]


async def test_the_ocpp_messages_before_a_reset_are_there_after_it_without_the_card(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.present(OTHER_CARD)
        before = walk.application.parts.get(FrameLog).frames_after(0)
        assert any(OTHER_CARD.value in frame.text for frame in before)
        assert (await _reset(walk, "Immediate"))["status"] == "Accepted"
        await walk.until(lambda: walk.csms.connections == 2 and walk.stack.link.online)
        after = walk.application.parts.get(FrameLog).frames_after(0)
        assert [(frame.number, frame.at, frame.direction) for frame in after[: len(before)]] == [
            (frame.number, frame.at, frame.direction) for frame in before
        ]
        assert [frame.number for frame in after] == list(range(1, len(after) + 1))
        assert any('"Authorize"' in frame.text for frame in after)
        assert not any(OTHER_CARD.value in frame.text for frame in after)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: walk.application.parts.get(FrameLog).last_number > after[-1].number)


@pytest.mark.parametrize("kind", ["OnIdle", "Immediate"])
async def test_an_idle_evse_is_reset_at_once_and_no_other(tmp_path: Path, kind: str) -> None:
    """B11.FR.08."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        assert (await _reset(walk, kind, **EVSE_1))["status"] == "Accepted"
        await walk.advance(10)
        assert _statuses(walk, 1)[-2:] == ["Unavailable", "Available"]
        assert _statuses(walk, 2) == ["Available"]
        assert len(walk.csms.received("BootNotification")) == 1
        await _charge(walk)


async def test_an_immediate_reset_of_an_evse_ends_its_transaction_and_leaves_the_others(tmp_path: Path) -> None:
    """B12.FR.02, B12.FR.08."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charge(walk)
        assert (await _reset(walk, "Immediate", evseId=2))["status"] == "Accepted"
        await walk.advance(10)
        assert sum(walk.board.currents_a) > 0
        assert (await _reset(walk, "Immediate", **EVSE_1))["status"] == "Accepted"
        await walk.until(lambda: walk.events()[-1]["eventType"] == "Ended")
        ended = walk.events()[-1]
        assert ended["triggerReason"] == "ResetCommand"
        assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        await walk.advance(10)
        assert walk.evse.connector_status is ConnectorStatus.OCCUPIED


async def test_an_immediate_reset_is_the_reason_also_where_the_driver_has_stopped_before(tmp_path: Path) -> None:
    """B12.FR.04, B12.FR.08: with EVConnected as the only stop point the transaction goes on until then."""
    async with walking(tmp_path, variable=tx_points("Authorized", "EVConnected")) as walk:
        await _charge(walk)
        await walk.present()
        await event(walk, "Updated", "StopAuthorized")
        assert (await _reset(walk, "Immediate", **EVSE_1))["status"] == "Accepted"
        await event(walk, "Ended", "ResetCommand", stoppedReason="ImmediateReset")


async def test_a_reset_of_an_evse_on_idle_waits_for_its_transaction(tmp_path: Path) -> None:
    """B12.FR.01, B12.FR.07."""
    async with walking(tmp_path) as walk:
        await _charge(walk)
        assert (await _reset(walk, "OnIdle", **EVSE_1))["status"] == "Scheduled"
        await walk.advance(60)
        assert sum(walk.board.currents_a) > 0
        assert "Unavailable" not in _statuses(walk, 1)
        await walk.present()
        await walk.until(lambda: "Unavailable" in _statuses(walk, 1))
        ended = [event for event in walk.events() if event["eventType"] == "Ended"]
        assert [event["triggerReason"] for event in ended] == ["StopAuthorized"]
        await walk.until(lambda: _statuses(walk, 1)[-1] == "Occupied")


async def test_a_reset_of_an_evse_that_is_out_of_service_leaves_it_so(tmp_path: Path) -> None:
    """B12.FR.06."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        order = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
        assert (await walk.csms.call("ChangeAvailability", order))["status"] == "Accepted"
        assert (await _reset(walk, "Immediate", **EVSE_1))["status"] == "Accepted"
        await walk.advance(10)
        assert walk.evse.connector_status is ConnectorStatus.UNAVAILABLE


async def test_a_reset_of_an_evse_ends_a_fault_that_was_kept_and_is_gone(tmp_path: Path) -> None:
    """B11: the objective of a reset is an EVSE that works again."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.evse.report_fault(Fault.CONTACTOR_WELDED, True)
        await walk.advance(60)
        assert walk.evse.connector_status is ConnectorStatus.FAULTED
        assert (await _reset(walk, "OnIdle", **EVSE_1))["status"] == "Accepted"
        await walk.advance(10)
        assert walk.evse.connector_status is ConnectorStatus.AVAILABLE


async def test_what_cannot_be_reset_is_rejected(tmp_path: Path) -> None:
    """B11.FR.09, B12.FR.09; the variable says so (B11.FR.10)."""
    rows = [{"component": "EVSE", "evse": 1, "variable": "AllowReset", "value": "false"}]
    async with walking(tmp_path, variable=rows, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        for kind in ("OnIdle", "Immediate"):
            for evse_id in (0, 1, 3):
                assert (await _reset(walk, kind, evseId=evse_id))["status"] == "Rejected"
            assert (await _reset(walk, kind, evseId=2))["status"] == "Accepted"
        allowed = {row.evse: row.value for row in walk.parts.variables.rows() if row.variable == "AllowReset"}
        assert allowed == {1: "false", 2: "true"}


async def test_what_may_not_be_interrupted_rejects_every_reset(tmp_path: Path) -> None:
    """B11.FR.06, B12.FR.10."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.parts.station.restart.refuse_while(lambda: "FwUpdateInProgress")
        for kind in ("OnIdle", "Immediate"):
            answer = await _reset(walk, kind)
            assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "FwUpdateInProgress"}}
            assert (await _reset(walk, kind, **EVSE_1))["status"] == "Rejected"


async def test_what_has_begun_meanwhile_and_may_not_be_interrupted_delays_the_restart(tmp_path: Path) -> None:
    """B11.FR.06, B12.FR.10."""
    installing: list[bool] = []
    csms = Csms()
    async with walking(tmp_path, csms) as walk:
        await _charge(walk)
        walk.parts.station.restart.refuse_while(lambda: "FwUpdateInProgress" if installing else None)
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER  # the restart waits a while for the answer to the end
        assert (await _reset(walk, "Immediate"))["status"] == "Accepted"
        await walk.until(lambda: walk.events()[-1]["eventType"] == "Ended")
        installing.append(True)
        for _ in range(120):
            await walk.advance(1)
            await walk.settle()
        assert len(csms.received("BootNotification")) == 1
        installing.clear()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)


async def test_what_goes_on_delays_a_reset_on_idle_and_not_an_immediate_one(tmp_path: Path) -> None:
    """B11, errata 2025-09 2.14; while that is all it waits for, the station serves (B12, scenario 3a)."""
    uploading = True
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        walk.parts.station.restart.delay_while(lambda: uploading)
        assert (await _reset(walk, "OnIdle"))["status"] == "Scheduled"
        await walk.advance(60)
        assert len(walk.csms.received("BootNotification")) == 1
        assert _statuses(walk, 1) == _statuses(walk, 2) == ["Available"]
        await _charge(walk)
        assert _statuses(walk, 2) == ["Available"]
        uploading = False
        await walk.until(lambda: _statuses(walk, 2)[-1] == "Unavailable")
        await walk.present()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        assert walk.csms.received("BootNotification")[-1]["reason"] == "ScheduledReset"
        await walk.until(lambda: _statuses(walk, 2)[-1] == "Available")
        walk.parts.station.restart.delay_while(lambda: True)
        assert (await _reset(walk, "Immediate"))["status"] == "Accepted"
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 3)
        assert walk.csms.received("BootNotification")[-1]["reason"] == "RemoteReset"


async def test_while_a_reset_is_scheduled_free_evses_are_out_of_use_and_nobody_starts(tmp_path: Path) -> None:
    """B12, scenario 3a."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charge(walk)
        assert (await _reset(walk, "OnIdle"))["status"] == "Scheduled"
        await walk.until(lambda: _statuses(walk, 2)[-1] == "Unavailable")
        assert _statuses(walk, 1)[-1] == "Occupied"
        id_token = {"idToken": "04FFFFFFFFFF80", "type": "ISO14443"}
        start = {"idToken": id_token, "remoteStartId": 1, "evseId": 2}
        assert (await walk.csms.call("RequestStartTransaction", start))["status"] == "Rejected"
        await walk.present()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: _statuses(walk, 2)[-1] == "Available")


async def test_an_evse_that_is_reset_while_the_station_is_to_restart_stays_out_of_use(tmp_path: Path) -> None:
    """B12, scenario 3a: that its own reset is over is no reason to offer it again."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charge(walk)
        assert (await _reset(walk, "OnIdle"))["status"] == "Scheduled"
        await walk.until(lambda: _statuses(walk, 2)[-1] == "Unavailable")
        assert (await _reset(walk, "Immediate", evseId=2))["status"] == "Accepted"
        await walk.advance(20)
        assert _statuses(walk, 2) == ["Available", "Unavailable"]


async def test_an_evse_that_becomes_free_while_a_reset_is_scheduled_is_out_of_use_too(tmp_path: Path) -> None:
    """B12, scenario 3a."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charge(walk)
        walk.world.boards[2].plug(VehicleModel())
        outcome = walk.parts.station.present_token(OTHER_CARD, 2)
        await walk.until(outcome.done)
        await walk.until(lambda: walk.parts.station.evses[2].state.transaction is not None)
        assert (await _reset(walk, "OnIdle"))["status"] == "Scheduled"
        await walk.present()
        await walk.advance(5)
        await walk.unplug()
        for second in range(12):
            walk.board.meter_override = MeterOverride(current_a=0.01 * (second % 2))  # a meter that is never still
            await walk.advance(1)
        assert _statuses(walk, 1)[-2:] == ["Available", "Unavailable"]
        assert len(walk.csms.received("BootNotification")) == 1


async def test_what_the_csms_does_not_answer_before_a_reset_is_sent_after_it(tmp_path: Path) -> None:
    """B12.FR.05."""
    csms = Csms()
    async with walking(tmp_path, csms) as walk:
        await _charge(walk)
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        assert (await _reset(walk, "Immediate"))["status"] == "Accepted"
        await walk.until(lambda: len(csms.received("BootNotification")) == 2, within_s=120)
        del csms.answers["TransactionEvent"]
        before = len(walk.events())
        await walk.until(lambda: len(walk.events()) > before)
        second_ends = [event for event in walk.events()[before:] if event["eventType"] == "Ended"]
        assert [event["triggerReason"] for event in second_ends] == ["ResetCommand"]


async def test_a_reset_whose_answer_did_not_leave_keeps_nobody_out(tmp_path: Path) -> None:
    """B12.FR.02: the CSMS closes the link while it asks; neither the charge that runs nor the next one hears of it."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charge(walk)
        await walk.csms.send_raw(json.dumps([2, "lost", "Reset", {"type": "Immediate"}]))
        await walk.csms.close()
        await walk.until(lambda: walk.csms.connections > 1 and walk.csms.connected)
        await walk.advance(60)
        assert _statuses(walk, 2) == ["Available"]
        walk.world.boards[2].plug(VehicleModel())
        outcome = walk.parts.station.present_token(OTHER_CARD, 2)
        await walk.until(outcome.done)
        assert outcome.result() is TokenOutcome.AUTHORIZED
        assert sum(walk.board.currents_a) > 0
        assert len(walk.csms.received("BootNotification")) == 1


async def test_a_station_that_is_reset_every_night_keeps_nothing_of_the_lives_before(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        former_parts: list[weakref.ref[object]] = []
        for boots in (2, 3, 4):
            await walk.accepted()
            former_parts.append(weakref.ref(walk.parts.station))
            assert (await _reset(walk, "Immediate"))["status"] == "Accepted"
            await walk.until(lambda boots=boots: len(walk.csms.received("BootNotification")) == boots)
        gc.collect()
        assert [reference() is None for reference in former_parts] == [True, True, True]
