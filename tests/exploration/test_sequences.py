"""Sequences of steps that exploration has found, each with what has to come of it."""

from __future__ import annotations

import pytest

from station.core.model import ChargingState, EventType, PilotState, TransactionEvent, TriggerReason
from tests.exploration.machine import EvseMachine, EvseSetup, first_state

CHARGE = "plug C authorize apply recorded apply"
"""from nothing to energy"""

EventSummary = tuple[EventType, TriggerReason, ChargingState | None]

STARTED, UPDATED, ENDED = EventType.STARTED, EventType.UPDATED, EventType.ENDED
CHARGING, CONNECTED = ChargingState.CHARGING, ChargingState.EV_CONNECTED


def machine_in_first_state(setup: EvseSetup | None = None) -> EvseMachine:
    evse_machine = EvseMachine(setup or EvseSetup())
    evse_machine.resume(first_state(evse_machine.setup))
    return evse_machine


def summarize(events: list[TransactionEvent]) -> list[EventSummary]:
    return [(event.event_type, event.trigger, event.charging_state) for event in events]


@pytest.mark.parametrize(
    "interruption",
    ["ground+ ground-", "estop+ estop-", "stop B C", "ev-gone C", "stop no-load load"],
)
def test_a_wind_down_that_has_ended_does_not_resume_while_the_contact_is_still_seen_closed(interruption: str) -> None:
    """E09.FR.01: nobody is authorized, so nothing may close the contactor again."""
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} {interruption}")
    assert evse_machine.state.observation.contactor_closed
    assert evse_machine.state.authorization is None
    assert not evse_machine.orders.contactor


def test_a_contact_still_seen_closed_carries_no_energy_for_the_next_transaction_before_its_start_is_recorded() -> None:
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} ev-gone C authorize")
    assert evse_machine.state.transaction is not None
    assert not evse_machine.state.transaction.recorded
    assert (evse_machine.orders.contactor, evse_machine.orders.pilot_a) == (False, None)
    evse_machine.run("recorded")
    assert evse_machine.orders.contactor


def test_a_contact_still_seen_closed_carries_no_energy_for_the_next_transaction_before_its_begin_is_signed() -> None:
    evse_machine = machine_in_first_state(EvseSetup(signs=True))
    evse_machine.run("plug C authorize apply recorded signed apply")
    assert evse_machine.orders.contactor
    evse_machine.run("ev-gone C authorize recorded")
    assert (evse_machine.orders.contactor, evse_machine.orders.pilot_a) == (False, None)
    evse_machine.run("signed")
    assert evse_machine.orders.contactor


def test_a_contact_still_seen_closed_is_no_reason_to_charge_with_a_cable_that_is_not_locked() -> None:
    """G05.FR.01"""
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} ev-gone lock-flip C authorize recorded")
    assert (evse_machine.orders.contactor, evse_machine.orders.pilot_a) == (False, None)
    evse_machine.run("lock-flip")
    assert evse_machine.orders.contactor


def test_a_charge_that_runs_goes_on_when_the_contact_of_its_lock_opens() -> None:
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} lock-flip")
    assert evse_machine.orders.contactor


@pytest.mark.parametrize("start", [("EVConnected",), ("EnergyTransfer",), ("EVConnected", "EnergyTransfer")])
def test_energy_that_starts_the_transaction_goes_on_while_the_start_is_recorded(start: tuple[str, ...]) -> None:
    evse_machine = machine_in_first_state(EvseSetup(start=start))
    evse_machine.run("plug C authorize apply")
    if evse_machine.state.transaction is not None:
        evse_machine.run("recorded")
    evse_machine.run("apply")
    assert evse_machine.state.charging_state is CHARGING
    assert evse_machine.orders.contactor


def test_the_end_does_not_wait_for_a_welded_contactor() -> None:
    """E06.FR.16"""
    evse_machine = machine_in_first_state()
    assert summarize(evse_machine.run("plug C fb-flip weld+")) == [(ENDED, TriggerReason.ABNORMAL_CONDITION, CHARGING)]
    assert evse_machine.state.transaction is None


def test_the_end_does_not_wait_for_a_board_that_does_not_follow_its_outputs() -> None:
    evse_machine = machine_in_first_state()
    assert summarize(evse_machine.run(f"{CHARGE} board+ stop")) == [(ENDED, TriggerReason.STOP_AUTHORIZED, CHARGING)]


@pytest.mark.parametrize("stop", [("EVConnected",), ("ParkingBayOccupancy",)])
def test_what_happens_while_the_energy_of_a_refused_token_stops_keeps_the_state_with_the_deauthorization(
    stop: tuple[str, ...],
) -> None:
    """C15.FR.03, E05.FR.09: Deauthorized and EVConnected in one event; E02.FR.17: the bay has an event of its own."""
    evse_machine = machine_in_first_state(EvseSetup(stop=stop))
    assert summarize(evse_machine.run(f"{CHARGE} invalid bay")) == [(UPDATED, TriggerReason.EV_DETECTED, CHARGING)]
    assert summarize(evse_machine.run("B")) == [(UPDATED, TriggerReason.DEAUTHORIZED, CONNECTED)]
    assert evse_machine.run("apply") == []


def test_a_new_authorization_is_reported_after_the_rejection_of_the_one_before() -> None:
    """Else the CSMS would take the deauthorization for that of the new one."""
    evse_machine = machine_in_first_state(EvseSetup(stop=("EVConnected",)))
    triggers = [event.trigger for event in evse_machine.run(f"{CHARGE} invalid authorize")]
    assert triggers == [TriggerReason.DEAUTHORIZED, TriggerReason.AUTHORIZED]


def test_a_refused_token_is_reported_before_the_end_that_comes_while_its_energy_stops() -> None:
    """E02.FR.17"""
    evse_machine = machine_in_first_state(EvseSetup(start=("Authorized",), stop=("ParkingBayOccupancy",)))
    assert evse_machine.run(f"bay {CHARGE} invalid bay") == []
    assert summarize(evse_machine.run("B")) == [
        (UPDATED, TriggerReason.DEAUTHORIZED, CONNECTED),
        (ENDED, TriggerReason.EV_DEPARTED, CONNECTED),
    ]


@pytest.mark.parametrize(
    ("point", "arrival", "trigger"),
    [
        ("EVConnected", "plug", TriggerReason.CABLE_PLUGGED_IN),
        ("ParkingBayOccupancy", "bay", TriggerReason.EV_DETECTED),
    ],
)
def test_what_came_while_the_evse_was_out_of_service_starts_its_transaction_when_it_is_back(
    point: str, arrival: str, trigger: TriggerReason
) -> None:
    """E01.FR.01, E01.FR.02"""
    evse_machine = machine_in_first_state(EvseSetup(start=(point,)))
    assert evse_machine.run(f"out-of-service {arrival}") == []
    assert [(kind, why) for kind, why, _ in summarize(evse_machine.run("in-service"))] == [(STARTED, trigger)]


@pytest.mark.parametrize("departure", ["plug unplug", "bay bay"])
def test_what_has_left_again_while_the_evse_was_out_of_service_starts_nothing(departure: str) -> None:
    evse_machine = machine_in_first_state(EvseSetup(start=("EVConnected", "ParkingBayOccupancy")))
    assert evse_machine.run(f"out-of-service {departure} in-service") == []


def test_a_vehicle_that_has_had_its_transaction_begins_no_other_one_when_the_evse_is_back_in_service() -> None:
    """E01.FR.02: a transaction has started for this connection."""
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} stop B apply")
    assert evse_machine.state.transaction is None
    assert evse_machine.run("out-of-service in-service") == []


@pytest.mark.parametrize(
    ("point", "trigger"),
    [("EVConnected", TriggerReason.CABLE_PLUGGED_IN), ("ParkingBayOccupancy", TriggerReason.EV_DETECTED)],
)
def test_a_vehicle_that_is_still_there_after_a_reset_of_its_evse_begins_a_transaction(
    point: str, trigger: TriggerReason
) -> None:
    """E01.FR.01, E01.FR.02, B11.FR.08: as after power-up."""
    evse_machine = machine_in_first_state(EvseSetup(start=(point,)))
    evse_machine.run(f"bay {CHARGE} end-for-reset B apply reset")
    assert [(kind, why) for kind, why, _ in summarize(evse_machine.run("reset-done"))] == [(STARTED, trigger)]


@pytest.mark.parametrize("fault", ["meter+", "monitor+", "board+"])
@pytest.mark.parametrize(
    ("before", "state"), [("plug", CONNECTED), ("pause plug authorize recorded", ChargingState.SUSPENDED_EVSE)]
)
def test_a_fault_that_leaves_the_charging_state_as_it_is_is_reported(
    fault: str, before: str, state: ChargingState
) -> None:
    """E02.FR.17"""
    evse_machine = machine_in_first_state()
    assert summarize(evse_machine.run(f"{before} {fault}")) == [(UPDATED, TriggerReason.ABNORMAL_CONDITION, state)]


def test_a_fault_that_stops_the_energy_is_reported_once_with_the_state_that_follows() -> None:
    """E02.FR.17"""
    evse_machine = machine_in_first_state()
    assert evse_machine.run(f"{CHARGE} monitor+") == []
    assert summarize(evse_machine.run("apply")) == [
        (UPDATED, TriggerReason.ABNORMAL_CONDITION, ChargingState.SUSPENDED_EVSE)
    ]


def test_a_fault_that_is_gone_before_the_energy_has_stopped_is_reported_all_the_same() -> None:
    """E02.FR.17"""
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} meter+")
    assert summarize(evse_machine.run("meter-")) == [(UPDATED, TriggerReason.ABNORMAL_CONDITION, CHARGING)]


def test_a_harmless_fault_is_no_abnormal_condition_of_a_transaction() -> None:
    evse_machine = machine_in_first_state()
    assert evse_machine.run("plug lock+") == []
    assert evse_machine.state.observation.pilot is PilotState.B


def test_a_register_that_is_found_to_stand_still_when_its_meter_has_failed_already_ends_the_charge() -> None:
    """The failure only paused it; a register that does not count would pause it for ever."""
    evse_machine = machine_in_first_state()
    evse_machine.run(f"{CHARGE} meter+ B apply")
    assert evse_machine.state.transaction is not None
    last = len(evse_machine.events)
    evse_machine.meter.register_stuck = True
    for _ in range(2):  # the meter is read again and again
        evse_machine.meter.failed.publish(True)
    assert summarize(evse_machine.events[last:]) == [(ENDED, TriggerReason.ABNORMAL_CONDITION, CONNECTED)]
