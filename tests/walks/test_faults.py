"""Things that break: the contactor opens, the CSMS learns it, and what is mended works again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from simulator.board import MeterOverride
from station.charging.tokens.admission import TokenOutcome
from station.core.model import Fault
from tests.walk import OTHER_CARD, Walk, walking
from tests.walks.station_process import register_wh
from tests.walks.steps import charge, event, statuses, transaction_id, tx_points, variables

ENDING = {
    Fault.GROUND_FAULT: "GroundFault",
    Fault.OVER_CURRENT: "OvercurrentFault",
    Fault.EMERGENCY_STOP: "EmergencyStop",
    Fault.POWER_SWITCH: "Other",
    Fault.CONTACTOR_WELDED: "Other",
}
SUSPENDING = [Fault.OVER_TEMPERATURE, Fault.BOARD, Fault.STORAGE]
HARMLESS = [Fault.READER, Fault.LOCK]


async def until_contactor_open(walk: Walk) -> None:
    """Wait until no current flows and none is offered."""
    await walk.until(lambda: not walk.board.outputs.contactor and walk.board.outputs.pilot_a is None)
    assert sum(walk.board.currents_a) == 0


@pytest.mark.parametrize("fault", ENDING)
async def test_a_dangerous_fault_ends_the_transaction_at_once(tmp_path: Path, fault: Fault) -> None:
    """E06.FR.16, G01: AbnormalCondition and its reason, StatusNotification Faulted; mended, it charges again."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        walk.board.raise_fault(fault)
        await walk.settle()
        assert not walk.board.outputs.contactor  # at once, whatever the vehicle draws
        assert walk.board.outputs.pilot_fault is (fault is not Fault.OVER_CURRENT)  # state F
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == ENDING[fault]
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        assert await walk.present() is TokenOutcome.REJECTED
        walk.board.clear_fault(fault)
        await walk.until(lambda: statuses(walk)[-1] == "Occupied")
        await walk.advance(20)
        assert sum(walk.board.currents_a) == 0
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()


@pytest.mark.parametrize("fault", [Fault.OVER_TEMPERATURE, Fault.POWER_SWITCH])
async def test_with_ev_connected_as_the_only_stop_point_a_fault_still_ends_what_it_must(
    tmp_path: Path, fault: Fault
) -> None:
    """E06.FR.16: whatever the stop points are."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EVConnected")) as walk:
        await charge(walk)
        walk.board.raise_fault(fault)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        await until_contactor_open(walk)
        await walk.settle()
        ended = "Ended" in [kind for kind, _ in walk.types_and_triggers()]
        assert ended is (fault in ENDING)


@pytest.mark.parametrize("fault", SUSPENDING)
async def test_a_passing_fault_suspends_the_transaction_and_it_goes_on(tmp_path: Path, fault: Fault) -> None:
    """E02.FR.17: AbnormalCondition, SuspendedEVSE, the contactor open; then Charging in the same transaction."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        walk.board.raise_fault(fault)
        await event(walk, "Updated", "AbnormalCondition", chargingState="SuspendedEVSE")
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        await until_contactor_open(walk)
        events_before = len(walk.events())
        walk.board.clear_fault(fault)
        await walk.charging()
        await walk.until(lambda: statuses(walk)[-1] == "Occupied")
        await walk.until(lambda: len(walk.events()) > events_before)
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert transaction_id(walk) == identity


@pytest.mark.parametrize("fault", SUSPENDING)
async def test_a_passing_fault_ends_a_transaction_that_ends_with_the_energy(tmp_path: Path, fault: Fault) -> None:
    """E06.FR.16: AbnormalCondition, Other, with EnergyTransfer as stop point."""
    async with walking(tmp_path, variable=tx_points("EVConnected,Authorized", "EnergyTransfer")) as walk:
        await charge(walk)
        walk.board.raise_fault(fault)
        await event(walk, "Ended", "AbnormalCondition", stoppedReason="Other")


@pytest.mark.parametrize("fault", HARMLESS)
async def test_a_harmless_fault_forbids_no_energy(tmp_path: Path, fault: Fault) -> None:
    """A broken reader or lock is reported elsewhere; the connector is not Faulted by it."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        walk.board.raise_fault(fault)
        await walk.advance(20)
        assert sum(walk.board.currents_a) > 0
        assert "Faulted" not in statuses(walk)


@pytest.mark.parametrize("fault", [Fault.GROUND_FAULT, Fault.OVER_TEMPERATURE])
async def test_an_idle_evse_that_is_faulted_takes_no_card(tmp_path: Path, fault: Fault) -> None:
    """G01: Faulted and Available again, and no transaction of it."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.raise_fault(fault)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        assert await walk.present() is TokenOutcome.REJECTED
        walk.board.clear_fault(fault)
        await walk.until(lambda: statuses(walk)[-1] == "Available")
        assert walk.events() == []


async def test_a_welded_contactor_is_found_and_nothing_charges_there_any_more(tmp_path: Path) -> None:
    """E06.FR.16: ordered open and seen closed for too long; the transaction ends, the EVSE is Faulted."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert walk.board.vehicle is not None
        walk.board.welded = True
        walk.board.vehicle.asleep = True  # it goes on taking, whatever the pilot says
        await walk.present()
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=30)
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "Local"
        assert Fault.CONTACTOR_WELDED in walk.evse.state.faults
        assert await walk.present() is TokenOutcome.REJECTED


async def test_a_board_that_does_not_answer_is_a_fault_until_it_does(tmp_path: Path) -> None:
    """The board's own watchdog opens the contactor; the station says Faulted and tries again."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert walk.board.vehicle is not None
        walk.board.fails = True
        walk.board.vehicle.limit(20.0)  # anything that makes the board speak
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        await walk.advance(5)
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        walk.board.fails = False
        await walk.until(lambda: statuses(walk)[-1] == "Occupied")
        await walk.charging()


async def test_no_energy_is_given_that_nobody_counts(tmp_path: Path) -> None:
    """A meter that is silent for ten seconds suspends the charge; the charge goes on with the meter."""
    async with walking(tmp_path, variable=variables(SampledDataCtrlr__TxUpdatedInterval=5)) as walk:
        identity = await charge(walk)
        walk.world.fail_meter(1, True)
        await walk.advance(5)
        assert sum(walk.board.currents_a) > 0
        assert meter_problems(walk) == []
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=15)
        await until_contactor_open(walk)
        assert meter_problems(walk) == [("true", False, identity)]
        walk.world.fail_meter(1, False)
        await walk.charging()
        assert transaction_id(walk) == identity
        assert meter_problems(walk) == [("true", False, identity), ("false", True, identity)]


def meter_problems(walk: Walk) -> list[tuple[str, bool, str]]:
    """Return value, cleared and transaction id of the notified problems of the meter."""
    rows = [row for notification in walk.csms.received("NotifyEvent") for row in notification["eventData"]]
    assert all(row["component"] == {"name": "FiscalMetering", "evse": {"id": 1}} for row in rows)
    assert all(("techInfo" in row) is not row["cleared"] for row in rows), "a problem says what it is"
    return [(row["actualValue"], row["cleared"], row["transactionId"]) for row in rows]


async def test_a_transaction_that_ends_while_the_meter_is_silent_ends_with_the_last_reading(tmp_path: Path) -> None:
    """Silence is not zero: Transaction.End shows what the meter showed last."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(60)
        walk.world.fail_meter(1, True)
        await walk.advance(2)
        await walk.present()
        await walk.advance(60)  # for so long the meter is waited for
        ended = await event(walk, "Ended", "StopAuthorized")
        last = ended["meterValue"][-1]["sampledValue"][0]
        assert last["context"] == "Transaction.End"
        assert last["value"] == pytest.approx(60 * 22_080 / 3600, rel=0.05)


async def test_the_end_of_a_transaction_waits_for_a_meter_that_is_silent_also_over_a_power_cut(tmp_path: Path) -> None:
    """The CSMS gets one end, with the reason and the time of the stop and the register that the meter shows."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(60)
        walk.world.fail_meter(1, True)
        await walk.advance(5)
        await walk.present()
        await walk.advance(10)
        stopped_at = walk.application.clock.now()
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.advance(20)
        assert [sent_event for sent_event in walk.events() if sent_event["eventType"] == "Ended"] == []
        walk.world.fail_meter(1, False)
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "Local"
        assert datetime.fromisoformat(ended["timestamp"]) < stopped_at
        last = ended["meterValue"][-1]["sampledValue"][0]
        assert last["context"] == "Transaction.End"
        assert walk.application.running
        reading = walk.parts.station.evses[1].meter.latest
        assert reading is not None
        assert last["value"] == pytest.approx(reading.energy_import_wh, abs=0.1)
        assert last["value"] > 60 * 22_080 / 3600 * 1.02, "what was charged while the meter was silent counts"


async def test_a_register_that_runs_backwards_is_not_believed(tmp_path: Path) -> None:
    """The charge is suspended, and no event carries the wrong register."""
    async with walking(tmp_path, variable=variables(SampledDataCtrlr__TxUpdatedInterval=5)) as walk:
        await charge(walk)
        await walk.advance(30)
        walk.board.meter_override = MeterOverride(energy_wh=1.0)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=20)
        await until_contactor_open(walk)
        walk.board.meter_override = MeterOverride()
        await walk.charging()
        await walk.advance(10)
        values = [
            sample["value"]
            for sent_event in walk.events()
            for value in sent_event.get("meterValue", [])
            for sample in value["sampledValue"]
            if sample["measurand"] == "Energy.Active.Import.Register"
        ]
        assert values == sorted(values)


async def test_a_register_that_stands_still_while_energy_flows_ends_the_charge(tmp_path: Path) -> None:
    """Whatever `on_meter_failure` says: no pause would make it move. Nobody charges until it counts again."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(30)
        reading = walk.evse.meter.latest
        assert reading is not None
        stuck_at_wh = reading.energy_import_wh
        before_wh = register_wh(tmp_path)
        walk.board.meter_override = MeterOverride(energy_wh=stuck_at_wh)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=90)
        await until_contactor_open(walk)
        await walk.advance(60)  # the register might have moved again (TxCtrlr.EndRegisterWait)
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "Other"
        assert register_wh(tmp_path) - before_wh < 300.0
        assert ended["meterValue"][-1]["sampledValue"][0]["value"] == pytest.approx(stuck_at_wh, abs=0.1)
        assert "does not count" in str(walk.evse.meter.error)
        assert await walk.present() is TokenOutcome.REJECTED
        await walk.advance(600)
        assert statuses(walk)[-1] == "Faulted"
        walk.board.meter_override = MeterOverride()
        await walk.until(lambda: statuses(walk)[-1] == "Occupied")
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()


async def test_a_register_that_moves_again_before_the_end_is_recorded_is_billed(tmp_path: Path) -> None:
    """A gateway that repeated an old register for a while: the end waits for its meter, and nothing is lost."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(30)
        reading = walk.evse.meter.latest
        assert reading is not None
        walk.board.meter_override = MeterOverride(energy_wh=reading.energy_import_wh)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=120)
        await until_contactor_open(walk)
        walk.board.meter_override = MeterOverride()
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["meterValue"][-1]["sampledValue"][0]["value"] == pytest.approx(register_wh(tmp_path), abs=0.1)


async def test_a_meter_on_a_real_wire_that_falls_silent_and_speaks_again(tmp_path: Path) -> None:
    """The same over Modbus TCP: the fault is in the wire, the charge waits for it."""
    simulation = {"meter_transport": "modbus-tcp"}
    async with walking(tmp_path, simulation=simulation) as walk:
        identity = await charge(walk)
        await walk.advance(10)
        walk.world.fail_meter(1, True)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=60, step_s=2)
        await until_contactor_open(walk)
        walk.world.fail_meter(1, False)
        await walk.until(lambda: sum(walk.board.currents_a) > 0, within_s=60)
        assert transaction_id(walk) == identity


async def test_a_full_battery_is_reported_as_suspended_ev(tmp_path: Path) -> None:
    """E02: the vehicle stops by itself; the transaction stays until the driver ends it."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.present()
        await walk.plug(battery_wh=1_000.0, soc=0.97)
        await walk.charging()
        await walk.until(
            lambda: walk.events()[-1]["transactionInfo"].get("chargingState") == "SuspendedEV", within_s=300
        )
        await until_contactor_released(walk)
        assert "Ended" not in [kind for kind, _ in walk.types_and_triggers()]
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")


async def until_contactor_released(walk: Walk) -> None:
    """Wait until the contactor is open; the pilot may still offer a current."""
    await walk.until(lambda: not walk.board.outputs.contactor)


async def test_a_sleeping_vehicle_does_not_end_the_offer(tmp_path: Path) -> None:
    """SuspendedEV as long as it sleeps, Charging when it wakes."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        vehicle = walk.board.vehicle
        assert vehicle is not None
        vehicle.suspend()
        vehicle.asleep = True
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEV")
        await walk.advance(600)
        assert walk.board.outputs.pilot_a == 32.0
        vehicle.resume()
        await walk.charging()


@pytest.mark.parametrize(("phases", "expected"), [(1, (16.0, 0.0, 0.0)), (2, (16.0, 16.0, 0.0)), (3, (16.0,) * 3)])
async def test_a_vehicle_takes_what_it_can_on_the_phases_it_has(
    tmp_path: Path, phases: int, expected: tuple[float, ...]
) -> None:
    """The pilot offers 32 A; what flows is the vehicle's own limit."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.present()
        await walk.plug(phases=phases, max_current_a=16.0)
        await walk.charging()
        assert walk.board.outputs.pilot_a == 32.0
        assert tuple(walk.board.currents_a) == expected


async def test_the_cable_limits_what_is_offered(tmp_path: Path) -> None:
    """IEC 61851-1 table B.2: the proximity resistor of the cable in the socket; reported as cableMaxCurrent."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        from simulator.vehicle import VehicleModel

        walk.board.plug(VehicleModel(), cable_max_a=13.0)
        await walk.settle()
        await walk.present()
        await walk.charging()
        assert walk.board.outputs.pilot_a == 13.0
        started = await event(walk, "Started", "CablePluggedIn")
        assert started["cableMaxCurrent"] == 13


async def test_a_vehicle_that_never_stops_drawing_is_cut_off_and_its_transaction_ends(tmp_path: Path) -> None:
    """The contactor waits for the vehicle six seconds at the most, then opens under load."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert walk.board.vehicle is not None
        walk.board.vehicle.asleep = True
        await walk.present()
        await walk.advance(4)
        assert walk.board.outputs.contactor
        await walk.advance(3)
        assert not walk.board.outputs.contactor
        await event(walk, "Ended", "StopAuthorized")
        assert "Faulted" not in statuses(walk)
