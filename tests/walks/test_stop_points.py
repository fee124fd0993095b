"""Every TxStopPoint once, and the cable pulled at the vehicle (E06, E07, E09, E10).

The tables of `test_transaction.py`, exploration and the conformance suite have the combinations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.charging.tokens.admission import TokenOutcome
from station.core.hardware.board import SAFE_OUTPUTS
from station.core.model import Fault
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import charge, event, request_start, request_stop, statuses, token, transaction_id, tx_points

ATTACHED = [{"attached_cable": True}]


def no_energy_flows(walk: Walk) -> bool:
    """Whether the contactor is open and no current flows."""
    return not walk.board.outputs.contactor and sum(walk.board.currents_a) == 0


@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EnergyTransfer"])
async def test_the_same_card_ends_the_transaction(tmp_path: Path, stop: str) -> None:
    """TC_E_15_CS, TC_E_07_CS, TC_E_08_CS, E07.FR.02: StopAuthorized, Local, Ended, and no new Authorize."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", stop)) as walk:
        await charge(walk)
        requests_before = len(walk.csms.received("Authorize"))
        assert await walk.present() is TokenOutcome.STOPPED
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "Local"
        assert ended["idToken"] == token()
        assert len(walk.csms.received("Authorize")) == requests_before
        assert no_energy_flows(walk)
        assert not walk.board.locked


async def test_a_remote_stop_ends_the_transaction(tmp_path: Path) -> None:
    """TC_E_21_CS, TC_E_35_CS, TC_F_08_CS, F03.FR.07: Accepted, then Ended by RemoteStop as Remote."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EVConnected,Authorized")) as walk:
        identity = await charge(walk)
        assert await request_stop(walk, identity) == "Accepted"
        ended = await event(walk, "Ended", "RemoteStop")
        assert ended["transactionInfo"]["stoppedReason"] == "Remote"
        assert no_energy_flows(walk)
        assert await request_stop(walk, identity) == "Rejected"  # F03.FR.08


async def test_with_ev_connected_alone_a_stop_leaves_the_transaction_until_the_cable_is_gone(tmp_path: Path) -> None:
    """TC_E_14_CS, E06.FR.03: StopAuthorized is an Updated; EVCommunicationLost ends it, still as Local."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EVConnected")) as walk:
        await charge(walk)
        await walk.present()
        await event(walk, "Updated", "StopAuthorized")
        updated = await event(walk, "Updated", "ChargingStateChanged", chargingState="EVConnected")
        assert "stoppedReason" not in updated["transactionInfo"]
        assert no_energy_flows(walk)
        await walk.unplug()
        ended = await event(walk, "Ended", "EVCommunicationLost")
        assert ended["transactionInfo"]["stoppedReason"] == "Local"
        assert ended["transactionInfo"]["chargingState"] == "Idle"
        await walk.until(lambda: statuses(walk)[-1] == "Available")


async def test_with_ev_connected_alone_a_remote_stop_names_remote_at_the_end(tmp_path: Path) -> None:
    """TC_E_14_CS with remote stop: stoppedReason is Remote."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EVConnected")) as walk:
        identity = await charge(walk)
        assert await request_stop(walk, identity) == "Accepted"
        await event(walk, "Updated", "RemoteStop")
        await walk.until(lambda: no_energy_flows(walk))
        await walk.unplug()
        ended = await event(walk, "Ended", "EVCommunicationLost")
        assert ended["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.parametrize("remote", [True, False])
async def test_with_parking_bay_the_leaving_car_ends_the_transaction(tmp_path: Path, remote: bool) -> None:
    """TC_E_19_CS, E06.FR.01: EVDeparted ends it, with the reason that began the end."""
    async with walking(tmp_path, variable=tx_points("ParkingBayOccupancy", "ParkingBayOccupancy")) as walk:
        walk.board.occupy_bay(True)
        identity = await charge(walk)
        if remote:
            assert await request_stop(walk, identity) == "Accepted"
        else:
            await walk.present()
        await event(walk, "Updated", "RemoteStop" if remote else "StopAuthorized")
        await walk.until(lambda: no_energy_flows(walk))
        await walk.unplug()
        link_lost = await event(walk, "Updated", "EVCommunicationLost")
        assert link_lost["transactionInfo"]["chargingState"] == "Idle"
        walk.board.occupy_bay(False)
        ended = await event(walk, "Ended", "EVDeparted")
        assert ended["transactionInfo"]["stoppedReason"] == ("Remote" if remote else "Local")


async def test_with_energy_transfer_a_vehicle_that_stops_taking_ends_the_transaction(tmp_path: Path) -> None:
    """TC_E_22_CS, E06.FR.07: ChargingStateChanged, SuspendedEV, Ended as StoppedByEV."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EnergyTransfer")) as walk:
        await charge(walk)
        assert walk.board.vehicle is not None
        walk.board.vehicle.suspend()
        ended = await event(walk, "Ended", "ChargingStateChanged")
        assert ended["transactionInfo"]["chargingState"] == "SuspendedEV"
        assert ended["transactionInfo"]["stoppedReason"] == "StoppedByEV"
        await walk.until(lambda: no_energy_flows(walk))


async def test_without_energy_transfer_a_vehicle_may_pause_and_go_on(tmp_path: Path) -> None:
    """E02.FR.13: SuspendedEV and Charging again are updates of the same transaction."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        assert walk.board.vehicle is not None
        walk.board.vehicle.suspend()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEV")
        await walk.until(lambda: no_energy_flows(walk))
        before = len(walk.events())
        walk.board.vehicle.resume()
        await walk.charging()
        await walk.until(lambda: len(walk.events()) > before)
        assert walk.events()[-1]["transactionInfo"]["chargingState"] == "Charging"
        assert transaction_id(walk) == identity


@pytest.mark.parametrize(
    ("stop", "attached"), [("Authorized", True), ("PowerPathClosed", False), ("EVConnected", False)]
)
async def test_the_cable_pulled_at_the_vehicle_ends_the_transaction(tmp_path: Path, stop: str, attached: bool) -> None:
    """TC_E_17_CS, TC_E_20_CS, TC_E_37_CS, E09.FR.01: Ended, EVCommunicationLost, Idle, EVDisconnected."""
    evse = [{"attached_cable": attached}]
    async with walking(tmp_path, evse=evse, variable=tx_points("EVConnected,Authorized", stop)) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        ended = await event(walk, "Ended", "EVCommunicationLost")
        assert ended["transactionInfo"]["chargingState"] == "Idle"
        assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
        assert no_energy_flows(walk)
        assert not walk.board.locked  # E09.FR.02: UnlockOnEVSideDisconnect is true
        if attached:
            await walk.until(lambda: statuses(walk)[-1] == "Available")
        else:
            assert statuses(walk)[-1] == "Occupied"
            await walk.unplug()
            await walk.until(lambda: statuses(walk)[-1] == "Available")


async def test_a_cable_that_stays_locked_waits_for_its_holder(tmp_path: Path) -> None:
    """TC_E_25_CS, E09.FR.03: without UnlockOnEVSideDisconnect only the card that charged frees the cable."""
    rows = tx_points("EVConnected,Authorized", "Authorized", OCPPCommCtrlr__UnlockOnEVSideDisconnect=False)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        link_lost = await event(walk, "Ended", "EVCommunicationLost")
        assert link_lost["transactionInfo"]["chargingState"] == "Idle"
        await walk.advance(30)
        assert walk.board.locked
        with pytest.raises(ValueError, match="locked"):
            walk.board.unplug()
        assert await walk.present() is TokenOutcome.UNLOCKED
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await walk.until(lambda: statuses(walk)[-1] == "Available")


@pytest.mark.parametrize("there", [True, False])
async def test_a_cable_is_kept_for_its_holder_over_a_power_cut(tmp_path: Path, there: bool) -> None:
    """E09.FR.03: its lock stays shut; where the cable has gone meanwhile nobody is waited for."""
    rows = tx_points("EVConnected,Authorized", "Authorized", OCPPCommCtrlr__UnlockOnEVSideDisconnect=False)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        await event(walk, "Ended", "EVCommunicationLost")
        await walk.application.cut_power()
        assert walk.board.locked
        if not there:
            await walk.board.apply(SAFE_OUTPUTS)
            walk.board.unplug()
        await walk.application.restore_power()
        await walk.until(lambda: walk.evse.observed)
        await walk.advance(30)
        assert walk.board.locked is there
        assert await walk.present(OTHER_CARD) is (TokenOutcome.REJECTED if there else TokenOutcome.AUTHORIZED)
        if there:
            assert await walk.present() is TokenOutcome.UNLOCKED
            await walk.until(lambda: not walk.board.locked)
            await walk.application.cut_power()
            await walk.application.restore_power()
            await walk.advance(5)
            assert not walk.board.locked


@pytest.mark.parametrize(
    ("stop", "unlocks"), [("EVConnected,Authorized", True), ("PowerPathClosed", False), ("EnergyTransfer", False)]
)
async def test_a_cable_waits_for_its_holder_although_the_transaction_has_ended(
    tmp_path: Path, stop: str, unlocks: bool
) -> None:
    """E10.FR.01: whatever the stop points are, and UnlockOnEVSideDisconnect is of E09."""
    rows = tx_points(
        "EVConnected,Authorized",
        stop,
        TxCtrlr__StopTxOnEVSideDisconnect=False,
        OCPPCommCtrlr__UnlockOnEVSideDisconnect=unlocks,
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        await event(walk, "Ended", "EVCommunicationLost", stoppedReason="EVDisconnected")
        await walk.advance(30)
        assert walk.board.locked
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert await walk.present() is TokenOutcome.UNLOCKED
        await walk.until(lambda: not walk.board.locked)


async def test_a_cable_that_stays_locked_is_nobody_elses(tmp_path: Path) -> None:
    """E09.FR.03: no other card and no remote start takes its place; they go to the next EVSE."""
    rows = tx_points("EVConnected,Authorized", "Authorized", OCPPCommCtrlr__UnlockOnEVSideDisconnect=False)
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        await event(walk, "Ended", "EVCommunicationLost")
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert (await request_start(walk, card=OTHER_CARD))["status"] == "Rejected"
        assert (await request_start(walk, card=OTHER_CARD, evse_id=None))["status"] == "Accepted"
        assert walk.parts.station.evses[2].authorized_token == OTHER_CARD
        assert walk.board.locked
        assert (await request_start(walk))["status"] == "Accepted"  # the holder may charge on


async def test_reconnected_after_a_deauthorizing_disconnect_gets_no_energy(tmp_path: Path) -> None:
    """E09.FR.01: if the EV is reconnected, energy transfer is not allowed until authorized once again."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "Authorized")) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        await event(walk, "Ended", "EVCommunicationLost")
        await walk.plug()
        second_start = await event(walk, "Started", "CablePluggedIn")
        assert "idToken" not in second_start
        await walk.advance(20)
        assert no_energy_flows(walk)
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()


@pytest.mark.parametrize(("bay", "attached"), [(True, False), (False, True)])
async def test_a_suspended_transaction_goes_on_when_the_vehicle_is_back(
    tmp_path: Path, bay: bool, attached: bool
) -> None:
    """TC_E_26_CS, E10.FR.01: EVCommunicationLost, CablePluggedIn and Charging are updates; the cable stays locked."""
    point = "ParkingBayOccupancy" if bay else "Authorized"
    rows = tx_points(
        point,
        point,
        TxCtrlr__StopTxOnEVSideDisconnect=False,
        OCPPCommCtrlr__UnlockOnEVSideDisconnect=False,
    )
    async with walking(tmp_path, evse=[{"attached_cable": attached}], variable=rows) as walk:
        walk.board.occupy_bay(bay)
        identity = await charge(walk)
        await walk.unplug(ev_side=True)
        link_lost = await event(walk, "Updated", "EVCommunicationLost")
        assert link_lost["transactionInfo"]["chargingState"] == "Idle"
        await walk.until(lambda: statuses(walk)[-1] == ("Available" if attached else "Occupied"))
        assert walk.board.locked is not attached
        assert no_energy_flows(walk)
        before = len(walk.events())
        await walk.plug()
        await walk.charging()
        await walk.until(lambda: len(walk.events()) == before + 2)
        plugged, charging = walk.events()[before:]
        assert (plugged["eventType"], plugged["triggerReason"]) == ("Updated", "CablePluggedIn")
        assert plugged["transactionInfo"]["chargingState"] == "EVConnected"
        assert (charging["eventType"], charging["triggerReason"]) == ("Updated", "ChargingStateChanged")
        assert charging["transactionInfo"]["chargingState"] == "Charging"
        assert transaction_id(walk) == identity


@pytest.mark.parametrize("bay", [True, False])
async def test_an_attached_cable_that_is_not_plugged_in_again_times_out(tmp_path: Path, bay: bool) -> None:
    """TC_E_27_CS, E10.FR.02: EVConnectTimeout deauthorizes; with Authorized as stop point it ends as Timeout."""
    point = "ParkingBayOccupancy" if bay else "Authorized"
    rows = tx_points(point, point, TxCtrlr__StopTxOnEVSideDisconnect=False, TxCtrlr__EVConnectionTimeOut=20)
    async with walking(tmp_path, evse=ATTACHED, variable=rows) as walk:
        walk.board.occupy_bay(bay)
        await charge(walk)
        await walk.unplug(ev_side=True)
        await event(walk, "Updated", "EVCommunicationLost")
        await walk.advance(18)
        assert "EVConnectTimeout" not in [trigger for _, trigger in walk.types_and_triggers()]
        await walk.advance(4)
        timed_out = await event(walk, "Updated" if bay else "Ended", "EVConnectTimeout")
        assert timed_out["transactionInfo"].get("stoppedReason") == (None if bay else "Timeout")
        await walk.plug()
        await walk.advance(10)
        assert no_energy_flows(walk)


async def test_an_authorization_whose_vehicle_left_with_its_cable_times_out(tmp_path: Path) -> None:
    """C01.FR.26, E03.FR.05: a lock that did not close let the cable go; the next one may come."""
    rows = tx_points(
        "Authorized", "Authorized", TxCtrlr__StopTxOnEVSideDisconnect=False, TxCtrlr__EVConnectionTimeOut=30
    )
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        walk.board.raise_fault(Fault.LOCK)
        await walk.plug()
        await walk.present()
        await walk.advance(5)
        await walk.unplug()
        await walk.advance(31)
        await event(walk, "Ended", "EVConnectTimeout", stoppedReason="Timeout")
        assert (await request_start(walk, card=OTHER_CARD))["status"] == "Accepted"


async def test_a_socket_waits_for_the_holder_without_end(tmp_path: Path) -> None:
    """E10.FR.01: a suspended cable in a socket remains locked until the driver presents the id token."""
    rows = tx_points("Authorized", "Authorized", TxCtrlr__StopTxOnEVSideDisconnect=False)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.unplug(ev_side=True)
        await walk.advance(1000)
        assert walk.board.locked
        assert "Ended" not in [kind for kind, _ in walk.types_and_triggers()]
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert walk.board.locked
        assert await walk.present() is TokenOutcome.STOPPED
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["chargingState"] == "Idle"
        await walk.until(lambda: not walk.board.locked)


async def test_the_end_carries_the_register_and_nothing_follows_it(tmp_path: Path) -> None:
    """E06.FR.11, E07.FR.08: Transaction.End is taken after the contactor opened; Ended is the last event."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(30)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        sampled: dict[str, Any] = ended["meterValue"][-1]["sampledValue"][0]
        assert sampled["context"] == "Transaction.End"
        assert sampled["value"] == pytest.approx(walk.board.read_meter().energy_import_wh, abs=0.01)
        events_before = len(walk.events())
        await walk.advance(130)
        assert len(walk.events()) == events_before
        assert CARD.value == ended["idToken"]["idToken"]
