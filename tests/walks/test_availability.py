"""Orders to go out of service and into it: who may still charge, what is reported to the CSMS, what lasts (block G)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from station.storage.outbox import Outbox
from tests.full_disk import FullDisk
from tests.walk import Walk, walking
from tests.walks.steps import charge, event, request_start, statuses, tx_points, variables

EVSE_1 = {"id": 1}
CONNECTOR_1 = {"id": 1, "connectorId": 1}


async def order(walk: Walk, status: str, place: Mapping[str, float] | None = None) -> str:
    """ChangeAvailability of an EVSE or connector, or of the station; the status answered."""
    request = {"operationalStatus": status} | ({"evse": place} if place is not None else {})
    answer = await walk.csms.call("ChangeAvailability", request)
    await walk.settle()
    return str(answer["status"])


async def test_a_scheduled_order_shows_itself_when_the_vehicle_leaves_and_never_available(tmp_path: Path) -> None:
    """G01.FR.05: with EVConnected as stop point the transaction ends with the cable."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "EVConnected")) as walk:
        await charge(walk)
        assert await order(walk, "Inoperative", EVSE_1) == "Scheduled"
        assert walk.evse.connector_status == "Occupied"
        await walk.present()
        await walk.advance(10)
        assert statuses(walk) == ["Available", "Occupied"]
        await walk.unplug()
        await event(walk, "Ended", "EVCommunicationLost")
        assert statuses(walk) == ["Available", "Occupied", "Unavailable"]


@pytest.mark.parametrize("place", [{"id": 1.0}, {"id": 1, "connectorId": 1.0}])
async def test_an_integer_may_be_written_with_a_point(tmp_path: Path, place: dict[str, float]) -> None:
    """G03.FR.02, G04.FR.02: JSON schema calls 1.0 an integer, and Gson writes it so."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await order(walk, "Inoperative", place) == "Accepted"
        assert statuses(walk)[-1] == "Unavailable"


async def test_a_scheduled_order_can_be_taken_back(tmp_path: Path) -> None:
    """Operative during the transaction is Accepted: that is what the EVSE is (G03.FR.03)."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert await order(walk, "Inoperative", EVSE_1) == "Scheduled"
        assert await order(walk, "Operative", EVSE_1) == "Accepted"
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        await walk.unplug()
        assert statuses(walk)[-1] == "Available"
        assert "Unavailable" not in statuses(walk)


async def test_an_order_that_cannot_be_kept_is_rejected_and_not_in_force(tmp_path: Path, disk: FullDisk) -> None:
    """G03.FR.08, G04.FR.09"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with disk.refusing("availability/"):
            request = {"operationalStatus": "Inoperative", "evse": EVSE_1}
            answer = await walk.csms.call("ChangeAvailability", request)
            assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}}
            await walk.advance(5)
        assert walk.evse.connector_status == "Available"
        assert await order(walk, "Inoperative", EVSE_1) == "Accepted"
        assert walk.evse.connector_status == "Unavailable"


async def test_a_scheduled_order_outlives_a_power_cut(tmp_path: Path) -> None:
    """G03.FR.08, G04.FR.09: the transaction ended with the power; the order did not."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert await order(walk, "Inoperative") == "Scheduled"
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: statuses(walk)[-1] == "Unavailable")
        assert walk.evse.state.transaction is None
        assert sum(walk.board.currents_a) == 0


async def test_the_order_of_an_evse_outlives_those_of_the_station(tmp_path: Path) -> None:
    """G03.FR.07, G04.FR.08: the station's own end brings back what was before."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        first, second = walk.parts.station.evses[1], walk.parts.station.evses[2]
        assert await order(walk, "Inoperative", CONNECTOR_1) == "Accepted"
        assert await order(walk, "Inoperative") == "Accepted"
        assert (first.connector_status, second.connector_status) == ("Unavailable", "Unavailable")
        assert await order(walk, "Operative") == "Accepted"
        assert (first.connector_status, second.connector_status) == ("Unavailable", "Available")
        assert await order(walk, "Operative", EVSE_1) == "Accepted"
        assert first.connector_status == "Unavailable"
        assert await order(walk, "Operative", CONNECTOR_1) == "Accepted"
        assert first.connector_status == "Available"


async def test_the_station_goes_where_no_transaction_runs_at_once(tmp_path: Path) -> None:
    """G04.FR.06, TC_G_14_CS."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await charge(walk)
        assert await order(walk, "Inoperative") == "Scheduled"
        notified = [
            (notification["evseId"], notification["connectorStatus"])
            for notification in walk.csms.received("StatusNotification")
        ]
        assert notified[-1] == (2, "Unavailable")
        assert walk.evse.state.operative


async def test_nobody_charges_at_an_evse_that_is_out_of_service(tmp_path: Path) -> None:
    """No transaction by cable, card or CSMS; the vehicle that waits starts one once it is back (E01.FR.02)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await order(walk, "Inoperative", EVSE_1) == "Accepted"
        await walk.plug()
        assert await walk.present() == "rejected"
        assert (await request_start(walk))["status"] == "Rejected"
        await walk.advance(60)
        assert walk.events() == []
        assert statuses(walk)[-1] == "Unavailable"
        assert await order(walk, "Operative", EVSE_1) == "Accepted"
        assert statuses(walk)[-1] == "Occupied"
        started = await event(walk, "Started", "CablePluggedIn", chargingState="EVConnected")
        assert "idToken" not in started
        await walk.present()
        await walk.charging()


async def test_who_was_authorized_before_the_order_has_to_come_again(tmp_path: Path) -> None:
    """Without a transaction in progress the order comes into force at once (G03.FR.05)."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "EVConnected")) as walk:
        await walk.accepted()
        assert await walk.present() == "authorized"
        assert await order(walk, "Inoperative") == "Accepted"
        await walk.plug()
        await walk.advance(20)
        assert sum(walk.board.currents_a) == 0
        assert await order(walk, "Operative") == "Accepted"
        await walk.advance(20)
        assert walk.evse.state.authorization is None
        assert sum(walk.board.currents_a) == 0
        (started,) = walk.events()  # E01.FR.02: the vehicle is there, its holder is not
        assert (started["eventType"], started["triggerReason"]) == ("Started", "CablePluggedIn")
        assert "idToken" not in started


@pytest.mark.parametrize("status", ["Operative", "Inoperative"])
async def test_an_order_that_changes_nothing_is_answered_with_how_it_is(tmp_path: Path, status: str) -> None:
    """TC_G_13_CS: accepted, and the status is reported once more, after the answer."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await order(walk, status)
        count_before = len(statuses(walk))
        assert await order(walk, status) == "Accepted"
        await walk.until(lambda: len(statuses(walk)) == count_before + 1)
        assert statuses(walk)[-1] == {"Operative": "Available", "Inoperative": "Unavailable"}[status]
        await walk.advance(30)
        assert len(statuses(walk)) == count_before + 1


async def test_a_status_that_does_not_last_is_not_reported(tmp_path: Path) -> None:
    """MinimumStatusDuration (C-04): what lasts is reported with the moment at which it began."""
    async with walking(tmp_path, variable=variables(ChargingStation__MinimumStatusDuration=20)) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.advance(10)
        await walk.unplug()
        await walk.advance(60)
        assert statuses(walk) == ["Available"]
        await walk.plug()
        began = walk.application.clock.now()
        await walk.advance(15)
        assert statuses(walk) == ["Available"]
        await walk.advance(6)
        await walk.until(lambda: statuses(walk) == ["Available", "Occupied"], within_s=1)
        assert walk.csms.received("StatusNotification")[-1]["timestamp"][:19] == began.isoformat()[:19]


async def test_without_a_minimum_every_status_is_sent_at_once(tmp_path: Path) -> None:
    """The default of MinimumStatusDuration."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.unplug()
        assert statuses(walk) == ["Available", "Occupied", "Available"]


@pytest.mark.parametrize(("away_s", "notifications"), [(300, 1), (20, 0)])
async def test_how_long_an_absence_is_does_not_depend_on_the_time_that_is_set_meanwhile(
    tmp_path: Path, away_s: float, notifications: int
) -> None:
    """B04.FR.01, B04.FR.02: a time service is found, or lost and another found, before the CSMS is."""
    async with walking(tmp_path, variable=variables(OCPPCommCtrlr__OfflineThreshold=200)) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        await walk.until(lambda: not walk.csms.connected)
        walk.parts.clock.adjust(timedelta(hours=-1 if notifications else 1))
        await walk.advance(away_s)
        before = len(walk.csms.received("StatusNotification"))
        walk.stack.restore_network()
        await walk.until(lambda: walk.csms.connected)
        await walk.advance(5)
        assert len(walk.csms.received("StatusNotification")) - before == notifications


async def power_cut(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Cut the power and restore it; the transactions left open cannot be read before the returned event is set."""
    readable, read = asyncio.Event(), Outbox.open_transactions

    async def read_later(outbox: Outbox) -> list[str]:
        await readable.wait()
        return await read(outbox)

    monkeypatch.setattr(Outbox, "open_transactions", read_later)
    await walk.application.cut_power()
    await walk.application.restore_power()
    await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2 and walk.stack.boot_status == "Accepted")
    await walk.settle()
    return readable


async def test_the_status_of_a_connector_after_a_power_cut_is_reported_after_the_first_observation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B01.FR.05, F06.FR.09, F06.FR.10: also where the CSMS asks for it."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await charge(walk)
        before = len(walk.csms.received("StatusNotification"))
        readable = await power_cut(walk, monkeypatch)
        for request in ({"requestedMessage": "StatusNotification"}, {"requestedMessage": "Heartbeat"}):
            assert (await walk.csms.call("TriggerMessage", request))["status"] == "Accepted"
        await walk.csms.expect("Heartbeat")
        readable.set()
        await walk.until(lambda: len(walk.csms.received("StatusNotification")) == before + 4)
        await walk.advance(20)
        notified = {
            (notification["evseId"], notification["connectorStatus"])
            for notification in walk.csms.received("StatusNotification")[before:]
        }
        assert notified == {(1, "Occupied"), (2, "Available")}


async def test_no_remote_start_comes_before_the_end_of_what_a_power_cut_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E01.FR.14: with a silent meter the next one would begin first; and nobody knows yet where a vehicle is."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        before = len(walk.events())
        readable = await power_cut(walk, monkeypatch)
        assert (await request_start(walk, remote_start_id=1))["status"] == "Rejected"
        readable.set()
        await event(walk, "Ended", "AbnormalCondition")
        assert (await request_start(walk, remote_start_id=2))["status"] == "Accepted"
        await walk.charging()
        await event(walk, "Updated", "RemoteStart", remoteStartId=2)
        kinds = [transaction_event["eventType"] for transaction_event in walk.events()[before:]]
        waited = kinds.index("Ended")  # what was on disk before the power cut, and not yet sent
        assert set(kinds[:waited]) <= {"Updated"}
        assert kinds[waited : waited + 3] == ["Ended", "Started", "Updated"]
