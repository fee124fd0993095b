"""Every TxStartPoint, once (E01–E03); the tables of `test_transaction.py` and exploration have the combinations."""

from __future__ import annotations

from pathlib import Path

from station.charging.tokens.admission import TokenOutcome
from tests.walk import CARD, Walk, walking
from tests.walks.steps import event, request_start, statuses, token, tx_points, variables

CHARGING = {"chargingState": "Charging"}


def event_chain(walk: Walk) -> list[tuple[str, str, str]]:
    """Return type, trigger and charging state of all events."""
    return [
        (sent_event["eventType"], sent_event["triggerReason"], sent_event["transactionInfo"].get("chargingState", ""))
        for sent_event in walk.events()
    ]


async def test_with_ev_connected_the_cable_starts_the_transaction(tmp_path: Path) -> None:
    """TC_E_09_CS, E01.FR.03: Started by the cable, with EVSE and connector, before anybody has shown a card."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "Authorized")) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: "Occupied" in statuses(walk))
        started = await event(walk, "Started", "CablePluggedIn")
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert started["transactionInfo"]["chargingState"] == "EVConnected"
        assert "idToken" not in started
        await walk.present()
        await walk.charging()
        await walk.until(
            lambda: (
                event_chain(walk)
                == [
                    ("Started", "CablePluggedIn", "EVConnected"),
                    ("Updated", "Authorized", "EVConnected"),
                    ("Updated", "ChargingStateChanged", "Charging"),
                ]
            )
        )
        assert walk.events()[1]["idToken"] == token()
        assert [sent_event["seqNo"] for sent_event in walk.events()] == [0, 1, 2]


async def test_with_ev_connected_a_card_alone_starts_nothing_and_is_reported_with_the_start(tmp_path: Path) -> None:
    """E01.FR.03, E03: the first event after the authorization carries the id token (E01.FR.10)."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "Authorized")) as walk:
        await walk.accepted()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.advance(5)
        assert walk.events() == []
        await walk.plug()
        started = await event(walk, "Started", "CablePluggedIn")
        assert started["idToken"] == token()
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert all("idToken" not in sent_event for sent_event in walk.events()[1:])


async def test_with_authorized_the_card_starts_the_transaction(tmp_path: Path) -> None:
    """TC_E_10_CS, E01.FR.02, E03.FR.01: Authorize, then Started by the card; the connector follows with the cable."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        await walk.present()
        assert walk.csms.received("Authorize") == [{"idToken": token()}]
        started = await event(walk, "Started", "Authorized")
        assert started["idToken"] == token()
        assert started["evse"] == {"id": 1}
        assert statuses(walk) == ["Available"]
        await walk.plug()
        plugged = await event(walk, "Updated", "CablePluggedIn")
        assert plugged["evse"] == {"id": 1, "connectorId": 1}
        assert plugged["transactionInfo"]["chargingState"] == "EVConnected"
        await walk.charging()
        charging = await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert "evse" not in charging  # E01.FR.16: sent once
        assert "idToken" not in charging


async def test_with_authorized_alone_the_cable_first_starts_nothing(tmp_path: Path) -> None:
    """E01.FR.02, E02: the transaction starts with the card, and tells the connector at once."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: "Occupied" in statuses(walk))
        await walk.advance(5)
        assert walk.events() == []
        await walk.present()
        started = await event(walk, "Started", "Authorized")
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert started["idToken"] == token()


async def test_with_authorized_a_remote_start_starts_the_transaction(tmp_path: Path) -> None:
    """TC_E_13_CS, F01.FR.19: Started with RemoteStart, remoteStartId and the id token."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        answer = await request_start(walk, remote_start_id=4711)
        assert answer == {"status": "Accepted"}
        started = await event(walk, "Started", "RemoteStart")
        assert started["transactionInfo"]["remoteStartId"] == 4711
        assert started["idToken"] == token()
        await walk.plug()
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert [sent_event["transactionInfo"].get("remoteStartId") for sent_event in walk.events()] == [
            4711,
            None,
            None,
        ]


async def test_with_power_path_closed_it_takes_card_and_cable(tmp_path: Path) -> None:
    """TC_E_01_CS, E01.FR.05: a transaction starts once there are both, here with the card, which comes last."""
    async with walking(tmp_path, variable=tx_points("PowerPathClosed", "PowerPathClosed")) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: "Occupied" in statuses(walk))
        await walk.advance(5)
        assert walk.events() == []
        await walk.present()
        started = await event(walk, "Started", "Authorized")
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert started["idToken"] == token()
        assert started["transactionInfo"]["chargingState"] == "EVConnected"
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")


async def test_with_energy_transfer_the_transaction_starts_with_the_energy(tmp_path: Path) -> None:
    """TC_E_02_CS, E01.FR.06: one Started event carries id token, connector and Charging."""
    async with walking(tmp_path, variable=tx_points("EnergyTransfer", "Authorized")) as walk:
        await walk.accepted()
        await walk.plug(ready_after_s=8)
        await walk.until(lambda: "Occupied" in statuses(walk))
        await walk.present()
        await walk.advance(3)
        assert walk.events() == []
        await walk.charging()
        started = await event(walk, "Started", "ChargingStateChanged")
        assert started["idToken"] == {"idToken": CARD.value, "type": CARD.type}
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert started["transactionInfo"]["chargingState"] == "Charging"
        assert started["transactionInfo"].get("remoteStartId") is None
        assert len(walk.events()) == 1


async def test_with_parking_bay_the_car_in_the_bay_starts_the_transaction(tmp_path: Path) -> None:
    """TC_E_12_CS, E01.FR.01: EVDetected starts; card and cable are updates of the same transaction."""
    async with walking(tmp_path, variable=tx_points("ParkingBayOccupancy", "ParkingBayOccupancy")) as walk:
        await walk.accepted()
        walk.board.occupy_bay(True)
        started = await event(walk, "Started", "EVDetected")
        assert started["evse"] == {"id": 1}
        assert started["transactionInfo"]["chargingState"] == "Idle"
        await walk.present()
        await walk.plug()
        await walk.charging()
        await walk.until(
            lambda: (
                event_chain(walk)
                == [
                    ("Started", "EVDetected", "Idle"),
                    ("Updated", "Authorized", "Idle"),
                    ("Updated", "CablePluggedIn", "EVConnected"),
                    ("Updated", "ChargingStateChanged", "Charging"),
                ]
            )
        )
        assert walk.events()[1]["idToken"] == token()
        assert walk.events()[2]["evse"] == {"id": 1, "connectorId": 1}


async def test_no_energy_flows_before_the_start_is_on_disk_and_every_event_counts_from_zero(tmp_path: Path) -> None:
    """E01.FR.07 (transactionId), E01.FR.09 (Transaction.Begin): two transactions, two ids, both numbered from 0."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for charge_count in (1, 2):
            await walk.plug()
            await walk.present()
            await walk.charging()
            await walk.advance(5)
            await walk.present()
            await walk.until(
                lambda count=charge_count: [kind for kind, _ in walk.types_and_triggers()].count("Ended") == count
            )
            await walk.unplug()
        ids = list(dict.fromkeys(sent_event["transactionInfo"]["transactionId"] for sent_event in walk.events()))
        assert len(ids) == 2
        for identity in ids:
            events_of_transaction = [
                sent_event for sent_event in walk.events() if sent_event["transactionInfo"]["transactionId"] == identity
            ]
            assert [sent_event["seqNo"] for sent_event in events_of_transaction] == list(
                range(len(events_of_transaction))
            )
            assert [sent_event["eventType"] for sent_event in events_of_transaction].count("Started") == 1
            assert events_of_transaction[0]["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.Begin"


async def test_a_vehicle_that_is_not_ready_is_reported_as_suspended_ev(tmp_path: Path) -> None:
    """TC_E_38_CS, E03.FR.07: authorized and connected, but the vehicle takes nothing."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug(ready_after_s=60)
        await walk.present()
        suspended = await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEV")
        assert "stoppedReason" not in suspended["transactionInfo"]
        await walk.until(lambda: sum(walk.board.currents_a) > 0, within_s=90)
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")


async def test_without_the_vehicle_in_time_the_transaction_ends(tmp_path: Path) -> None:
    """TC_E_05_CS, E03.FR.05: Ended, EVConnectTimeout, Timeout; the same card starts again."""
    rows = tx_points("Authorized", "Authorized", TxCtrlr__EVConnectionTimeOut=30)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.present()
        await walk.advance(29)
        assert [kind for kind, _ in walk.types_and_triggers()] == ["Started"]
        await walk.advance(2)
        ended = await event(walk, "Ended", "EVConnectTimeout")
        assert ended["transactionInfo"]["stoppedReason"] == "Timeout"
        assert ended["transactionInfo"]["chargingState"] == "Idle"
        await walk.plug()
        await walk.advance(10)
        assert sum(walk.board.currents_a) == 0
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()


async def test_with_the_parking_bay_as_stop_point_the_timeout_only_ends_the_authorization(tmp_path: Path) -> None:
    """TC_E_39_CS, E03.FR.15: Updated with EVConnectTimeout; a cable that comes later gets no energy."""
    rows = tx_points("ParkingBayOccupancy", "ParkingBayOccupancy", TxCtrlr__EVConnectionTimeOut=20)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        walk.board.occupy_bay(True)
        await walk.present()
        await walk.advance(21)
        timed_out = await event(walk, "Updated", "EVConnectTimeout")
        assert "stoppedReason" not in timed_out["transactionInfo"]
        await walk.plug()
        plugged = await event(walk, "Updated", "CablePluggedIn")
        assert plugged["transactionInfo"]["chargingState"] == "EVConnected"
        await walk.advance(15)
        assert sum(walk.board.currents_a) == 0
        assert walk.board.contactor_operations == 0
        await walk.unplug()
        walk.board.occupy_bay(False)
        ended = await event(walk, "Ended", "EVDeparted")
        assert ended["transactionInfo"]["stoppedReason"] == "Timeout"


async def test_without_a_transaction_the_timeout_ends_the_authorization_quietly(tmp_path: Path) -> None:
    """C01.FR.26: the card counts for EVConnectionTimeOut; the cable that comes later brings no energy."""
    rows = tx_points("EVConnected", "EVConnected", TxCtrlr__EVConnectionTimeOut=20)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.present()
        await walk.advance(21)
        assert walk.events() == []
        await walk.plug()
        started = await event(walk, "Started", "CablePluggedIn")
        assert "idToken" not in started
        await walk.advance(15)
        assert walk.board.contactor_operations == 0


async def test_a_vehicle_that_leaves_before_the_card_ends_an_ev_connected_transaction(tmp_path: Path) -> None:
    """E06.FR.03: Ended by EVCommunicationLost as EVDisconnected."""
    async with walking(tmp_path, variable=variables(TxCtrlr__TxStartPoint="EVConnected")) as walk:
        await walk.accepted()
        await walk.plug()
        await event(walk, "Started", "CablePluggedIn")
        await walk.unplug()
        ended = await event(walk, "Ended", "EVCommunicationLost")
        assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
        assert ended["transactionInfo"]["chargingState"] == "Idle"
        await walk.until(lambda: statuses(walk)[-1] == "Available")
