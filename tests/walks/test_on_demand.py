"""What the CSMS asks for at any time: messages on demand, unlocking; and a lock that fails (F05, F06, G05)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from station.core.model import Fault
from station.security.network_profile import NetworkProfile
from tests.csms import CallErrorAnswer, Csms, running_csms
from tests.walk import Walk, walking
from tests.walks.steps import charge, event, request_stop, statuses, tx_points

BOTH = [{"id": 1}, {"id": 2}]
UNLOCK = {"evseId": 1, "connectorId": 1}


async def trigger(walk: Walk, message: str, **more: Any) -> str:
    """Send TriggerMessage; returns the status of the response."""
    answer = await walk.csms.call("TriggerMessage", {"requestedMessage": message, **more})
    return str(answer["status"])


def lock_problems(walk: Walk) -> list[tuple[str, bool]]:
    """Return value and cleared of the notified problems of the lock."""
    rows = [row for notification in walk.csms.received("NotifyEvent") for row in notification["eventData"]]
    assert all(row["component"]["name"] == "ConnectorPlugRetentionLock" for row in rows)
    assert all(row["component"]["evse"] == {"id": 1, "connectorId": 1} for row in rows)
    assert all(row["variable"] == {"name": "Problem"} for row in rows)
    return [(row["actualValue"], row["cleared"]) for row in rows]


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Heartbeat", "Heartbeat"),
        ("LogStatusNotification", "LogStatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
    ],
)
async def test_a_message_of_the_whole_station_comes_whatever_evse_is_named(
    tmp_path: Path, message: str, action: str
) -> None:
    """TC_F_17_CS, F06.FR.03"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        count_before = len(walk.csms.received(action))
        assert await trigger(walk, message, evse={"id": 99, "connectorId": 7}) == "Accepted"
        await walk.until(lambda: len(walk.csms.received(action)) == count_before + 1, within_s=5.0)


@pytest.mark.parametrize("message", ["StatusNotification", "MeterValues", "TransactionEvent"])
@pytest.mark.parametrize("evse", [{"id": 9}, {"id": 1, "connectorId": 2}])
async def test_a_message_about_an_evse_that_does_not_exist_is_rejected(
    tmp_path: Path, message: str, evse: dict[str, int]
) -> None:
    async with walking(tmp_path) as walk:
        await charge(walk)
        count_before = len(walk.csms.calls)
        assert await trigger(walk, message, evse=evse) == "Rejected"
        await walk.advance(5)
        assert len(walk.csms.calls) == count_before


async def test_events_on_demand_name_their_evse_and_leave_idle_ones_out(tmp_path: Path) -> None:
    """TC_F_14_CS, F06.FR.07, F06.FR.11"""
    async with walking(tmp_path, evse=BOTH) as walk:
        await charge(walk)
        assert await trigger(walk, "TransactionEvent") == "Accepted"
        triggered = await event(walk, "Updated", "Trigger")
        assert triggered["evse"] == {"id": 1, "connectorId": 1}
        assert triggered["transactionInfo"]["chargingState"] == "Charging"
        assert {sample["context"] for sample in triggered["meterValue"][0]["sampledValue"]} == {"Trigger"}
        assert await trigger(walk, "TransactionEvent", evse={"id": 2}) == "Rejected"
        await walk.advance(2)
        assert sum(sent_event["triggerReason"] == "Trigger" for sent_event in walk.events()) == 1


async def test_while_pending_current_states_are_reported_on_demand_but_no_transaction(tmp_path: Path) -> None:
    """B02.FR.02, F06.FR.10: what the CSMS asks for passes before it has accepted the station."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": csms.now().isoformat(),
        "interval": 3600,
        "status": "Pending",
    }
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        assert await trigger(walk, "StatusNotification") == "Accepted"
        assert await trigger(walk, "MeterValues") == "Accepted"
        assert await trigger(walk, "Heartbeat") == "Accepted"
        await walk.until(
            lambda: statuses(walk) == ["Available"] and csms.received("MeterValues") and csms.received("Heartbeat")
        )
        await walk.plug()
        assert await trigger(walk, "TransactionEvent") == "Rejected"
        await walk.advance(5)
        assert csms.received("TransactionEvent") == []


async def test_meter_values_of_a_silent_meter_are_not_promised(tmp_path: Path) -> None:
    """F06.FR.10"""
    async with walking(tmp_path, evse=BOTH) as walk:
        await walk.accepted()
        walk.world.fail_meter(1, True)
        await walk.until(lambda: Fault.METER in walk.evse.state.faults)
        assert await trigger(walk, "MeterValues", evse={"id": 1}) == "Rejected"
        assert await trigger(walk, "MeterValues") == "Accepted"
        await walk.until(lambda: [message["evseId"] for message in walk.csms.received("MeterValues")] == [2])


async def test_a_second_stop_while_the_energy_runs_out_is_accepted_and_changes_nothing(tmp_path: Path) -> None:
    """F03.FR.07: for the CSMS the transaction is active until it hears of its end."""
    async with walking(tmp_path) as walk:
        transaction_id = await charge(walk)
        assert await request_stop(walk, transaction_id) == "Accepted"
        assert walk.events()[-1]["eventType"] != "Ended"
        assert await request_stop(walk, transaction_id) == "Accepted"
        await event(walk, "Ended", "RemoteStop", stoppedReason="Remote")
        assert await request_stop(walk, transaction_id) == "Rejected"
        assert sum(sent_event["eventType"] == "Ended" for sent_event in walk.events()) == 1


async def test_a_lock_that_does_not_close_lets_nobody_charge_and_is_reported(tmp_path: Path) -> None:
    """G05.FR.01, G05.FR.02; once it is mended the charge begins, and that is reported too."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.raise_fault(Fault.LOCK)
        await walk.present()
        await walk.plug()
        suspended = await event(walk, "Updated", "CablePluggedIn")
        assert suspended["transactionInfo"]["chargingState"] == "SuspendedEVSE"
        await walk.advance(60)
        assert sum(walk.board.currents_a) == 0
        assert lock_problems(walk) == [("true", False)]
        walk.board.clear_fault(Fault.LOCK)
        await walk.charging()
        await walk.until(lambda: lock_problems(walk) == [("true", False), ("false", True)])


async def test_a_lock_that_fails_offline_is_reported_afterwards_but_not_to_a_csms_that_takes_no_events(
    tmp_path: Path,
) -> None:
    csms = Csms()
    csms.answers["NotifyEvent"] = lambda _: CallErrorAnswer("NotImplemented")
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        walk.board.raise_fault(Fault.LOCK)
        await walk.advance(10)
        walk.stack.restore_network()
        await walk.until(lambda: lock_problems(walk) == [("true", False)])
        await walk.advance(3600)
        assert len(csms.received("NotifyEvent")) == 1


async def test_another_csms_hears_of_a_lock_that_has_failed(tmp_path: Path) -> None:
    """B10.FR.10, G05.FR.02"""
    async with running_csms() as other_csms, walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.network.store(2, NetworkProfile(other_csms.url, 0, 30.0))
        await walk.parts.network.set_priority("1,2")
        walk.board.raise_fault(Fault.LOCK)
        await walk.until(lambda: lock_problems(walk) == [("true", False)])
        walk.csms.http_status = 503
        await walk.csms.close()
        await walk.until(lambda: other_csms.received("NotifyEvent"), within_s=600.0, step_s=5.0)
        (problem,) = other_csms.received("NotifyEvent")[0]["eventData"]
        assert (problem["component"]["name"], problem["actualValue"]) == ("ConnectorPlugRetentionLock", "true")


async def test_a_lock_that_fails_during_a_charge_does_not_end_it_but_keeps_the_cable(tmp_path: Path) -> None:
    """F05.FR.05"""
    async with walking(tmp_path) as walk:
        transaction_id = await charge(walk)
        walk.board.raise_fault(Fault.LOCK)
        await walk.advance(30)
        assert sum(walk.board.currents_a) > 0
        await request_stop(walk, transaction_id)
        await event(walk, "Ended", "RemoteStop")
        request = asyncio.create_task(walk.csms.call("UnlockConnector", UNLOCK))
        await walk.until(request.done)
        assert request.result()["status"] == "UnlockFailed"
        assert walk.board.locked
        walk.board.clear_fault(Fault.LOCK)
        assert (await walk.csms.call("UnlockConnector", UNLOCK))["status"] == "Unlocked"
        assert not walk.board.locked


async def test_an_unlock_within_a_transaction_that_waits_for_authorization_is_reported(tmp_path: Path) -> None:
    """E02.FR.17, F05.FR.02: only an authorized transaction keeps the connector locked."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "EVConnected")) as walk:
        await walk.accepted()
        await walk.plug()
        await event(walk, "Started", "CablePluggedIn")
        assert (await walk.csms.call("UnlockConnector", UNLOCK))["status"] == "Unlocked"
        await event(walk, "Updated", "UnlockCommand", chargingState="EVConnected")


async def test_refused_energy_ends_the_transaction_where_energy_is_the_stop_point(tmp_path: Path) -> None:
    """E05.FR.02, E06.FR.07: EnergyTransfer as stop point; the reason is who was refused, not that energy stopped."""
    csms = Csms()
    rows = tx_points(
        "EVConnected", "EnergyTransfer", TxCtrlr__StopTxOnInvalidId=False, TxCtrlr__MaxEnergyOnInvalidId=100
    )
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        await walk.plug()
        csms.answers["TransactionEvent"] = lambda e: {"idTokenInfo": {"status": "Blocked"}} if "idToken" in e else {}
        await walk.present()
        await walk.charging()
        ended = await event(walk, "Ended", "ChargingStateChanged")
        assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        assert ended["transactionInfo"]["chargingState"] == "SuspendedEVSE"


async def test_a_vehicle_that_was_there_before_the_station_starts_the_transaction_at_boot(tmp_path: Path) -> None:
    """E01.FR.02, E06: what was open at the power cut ends first; then the cable starts the next transaction."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "EVConnected")) as walk:
        first = await charge(walk)
        await walk.application.cut_power()
        await walk.application.restore_power()
        ended = await event(walk, "Ended", "AbnormalCondition", stoppedReason="PowerLoss")
        assert ended["transactionInfo"]["transactionId"] == first
        await walk.until(lambda: walk.events()[-1]["eventType"] == "Started")
        started = walk.events()[-1]
        assert started["triggerReason"] == "CablePluggedIn"
        assert started["transactionInfo"]["transactionId"] != first
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert statuses(walk)[-1] == "Occupied"
