"""A machine with one fault in it breaks the rule that is there for that fault: each rule can fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from msgspec.structs import replace

from station.charging import evse, evse_changes, evse_state, transaction
from station.charging.evse_changes import apply_vehicle_signal
from station.charging.evse_state import (
    ChangeCause,
    EvseState,
    energy_flows,
    offers_energy,
    outputs,
    with_derived_values,
)
from station.charging.transaction import TransactionChange, TransactionRules, TxPoint, update_transaction
from station.charging.vehicle_state import Communication, VehicleSignal, VehicleState
from station.core.hardware.board import Outputs
from station.core.model import EventType, TransactionEvent, TriggerReason
from tests.exploration import explorer, machine
from tests.exploration.explorer import Explorer, RuleBrokenError
from tests.exploration.invariants import INVARIANTS
from tests.exploration.machine import EvseSetup
from tests.exploration.worlds import DEFAULT_SETUP


def nothing_has_arrived(state: EvseState) -> frozenset[TriggerReason]:
    del state
    return frozenset()


def never_of_vehicle(vehicle: VehicleState) -> bool:
    del vehicle
    return False


def always_of_vehicle(vehicle: VehicleState) -> bool:
    del vehicle
    return True


def always_false(state: EvseState) -> bool:
    del state
    return False


CHARGE = "plug C B authorize stop recorded apply"
EV_CONNECTED = replace(DEFAULT_SETUP, stop=("EVConnected",))
START_EV_CONNECTED = replace(DEFAULT_SETUP, start=("EVConnected",), stop=("EVConnected",))
LINKED = replace(DEFAULT_SETUP, linked=True)
SWITCHES_PHASES = replace(DEFAULT_SETUP, switches_phases=True)

Mutant = Callable[[pytest.MonkeyPatch], None]
MUTANTS: list[tuple[str, Mutant, EvseSetup, str]] = []


def mutant(rule: str, steps: str, setup: EvseSetup = DEFAULT_SETUP) -> Callable[[Mutant], Mutant]:
    """The machine that this function makes breaks `rule` with these settings and steps."""

    def register(apply_mutation: Mutant) -> Mutant:
        MUTANTS.append((rule, apply_mutation, setup, steps))
        return apply_mutation

    return register


def unchanged_rules(rules: TransactionRules) -> TransactionRules:
    return rules


def unchanged_outcome(outcome: TransactionChange) -> TransactionChange:
    return outcome


def patch_react(
    patch: pytest.MonkeyPatch,
    outcome: Callable[[TransactionChange], TransactionChange] = unchanged_outcome,
    rules: Callable[[TransactionRules], TransactionRules] = unchanged_rules,
) -> None:
    """Let the machine have other start and stop points than it was given, or other outcomes than `react` returns."""

    def changed(
        before: EvseState,
        after: EvseState,
        cause: ChangeCause | None,
        given: TransactionRules,
        now: datetime,
        new_id: Callable[[], str],
    ) -> TransactionChange:
        return outcome(update_transaction(before, after, cause, rules(given), now, new_id))

    patch.setattr(evse, "update_transaction", changed)


def twice(kind: EventType) -> Callable[[TransactionChange], TransactionChange]:
    """Events of this kind happen twice."""

    def changed(outcome: TransactionChange) -> TransactionChange:
        events = list[TransactionEvent]()
        for event in outcome.events:
            events += [event, event] if event.event_type is kind else [event]
        return replace(outcome, events=tuple(events))

    return changed


@mutant("contactor_closes_only_for_an_allowed_charge", f"{CHARGE} ground+ ground-")
def a_wind_down_resumes(patch: pytest.MonkeyPatch) -> None:
    def changed(before: EvseState, after: EvseState, now_s: float) -> EvseState:
        derived = with_derived_values(before, after, now_s)
        stops = offers_energy(before) and not offers_energy(derived)
        return replace(derived, offer_ended_at_s=now_s if stops else after.offer_ended_at_s)

    patch.setattr(evse, "with_derived_values", changed)


@mutant("contactor_closes_only_for_an_allowed_charge", f"{CHARGE} ev-gone")
def a_contact_seen_closed_counts_as_a_charge_that_goes_on(patch: pytest.MonkeyPatch) -> None:
    def changed(state: EvseState) -> bool:
        return offers_energy(replace(state, supplying=energy_flows(state)))

    patch.setattr(evse_state, "offers_energy", changed)


@mutant("contactor_opens_within_the_time_of_the_vehicle", f"{CHARGE} time")
def the_vehicle_has_too_much_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "WIND_DOWN_S", 20.0)


@mutant("pilot_offers_only_an_allowed_current", f"{CHARGE} pause")
def less_than_6_a_are_offered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "MINIMUM_CURRENT_A", 0.0)


@mutant("contactor_opens_within_the_time_of_the_vehicle", f"{CHARGE} halt restart read time")
def the_vehicle_has_too_much_time_when_the_program_stops(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "HALT_S", 5.0)


@mutant("contactor_opens_within_the_time_of_the_vehicle", f"{CHARGE} cut energy")
def the_vehicle_has_time_when_the_connection_trips(patch: pytest.MonkeyPatch) -> None:
    def changed(state: EvseState, now_s: float) -> bool:
        return still_under_load(replace(state, open_at_once=False), now_s)

    still_under_load = vars(evse_state)["_still_under_load"]
    patch.setattr(evse_state, "_still_under_load", changed)


@mutant("pilot_offers_only_an_allowed_current", f"{CHARGE} halt restart read", START_EV_CONNECTED)
def a_program_that_stops_begins_a_charge(patch: pytest.MonkeyPatch) -> None:
    def changed(state: EvseState) -> bool:
        return offers_energy(replace(state, halting=False))

    patch.setattr(evse_state, "offers_energy", changed)


@mutant("phases_are_switched_without_load", f"{CHARGE} one-phase three-phases", SWITCHES_PHASES)
def phases_are_switched_under_load(patch: pytest.MonkeyPatch) -> None:
    def changed(state: EvseState, now_s: float) -> Outputs:
        return replace(outputs(state, now_s), phases=state.phases)

    for module in (evse_state, machine, explorer):
        patch.setattr(module, "outputs", changed)


@mutant("pilot_offers_only_an_allowed_current", f"{CHARGE} one-phase three-phases", SWITCHES_PHASES)
def energy_flows_on_phases_that_are_not_wanted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "switches_phases", always_false)


@mutant("start_point_starts_a_transaction", f"{CHARGE} reset-evse")
def a_vehicle_that_is_there_after_a_reset_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_changes, "arrivals", nothing_has_arrived)


@mutant("transaction_starts_once", CHARGE)
def a_start_is_reported_twice(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, twice(EventType.STARTED))


@mutant("transaction_ends_once", CHARGE)
def an_end_is_reported_twice(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, twice(EventType.ENDED))


@mutant("nothing_follows_the_end", CHARGE)
def an_update_follows_the_end(patch: pytest.MonkeyPatch) -> None:
    def changed(outcome: TransactionChange) -> TransactionChange:
        ended = [event for event in outcome.events if event.event_type is EventType.ENDED]
        late_events = tuple(replace(event, event_type=EventType.UPDATED) for event in ended)
        return replace(outcome, events=outcome.events + late_events)

    patch_react(patch, changed)


@mutant("reported_state_is_the_charging_state", CHARGE)
def a_charging_state_is_not_reported(patch: pytest.MonkeyPatch) -> None:
    def changed(before: EvseState, after: EvseState) -> ChangeCause | None:
        del before, after
        return None

    patch.setattr(transaction, "_own_cause", changed)


@mutant("cable_is_locked_while_it_is_used", CHARGE)
def a_cable_is_not_locked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "_lock", always_false)


@mutant("start_point_starts_a_transaction", "plug out-of-service in-service")
def arrivals_out_of_service_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, lambda outcome: replace(outcome, state=replace(outcome.state, missed_arrivals=frozenset())))


@mutant("transaction_starts_only_at_a_start_point", "bay")
def a_bay_starts_a_transaction_without_being_a_start_point(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, rules=lambda rules: replace(rules, start=frozenset(TxPoint)))


@mutant("stop_point_ends_the_transaction", CHARGE)
def no_stop_point_ends_a_transaction(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, rules=lambda rules: replace(rules, stop=frozenset()))


@mutant("transaction_ends_only_for_a_reason", CHARGE, EV_CONNECTED)
def the_card_ends_a_transaction_without_being_a_stop_point(patch: pytest.MonkeyPatch) -> None:
    patch_react(patch, rules=lambda rules: replace(rules, stop=frozenset(TxPoint)))


@mutant("energy_stops_before_the_transaction_ends", CHARGE)
def an_end_does_not_wait_for_the_energy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction, "_still_flows", always_false)


@mutant("end_waits_for_nothing_but_the_energy", f"{CHARGE} weld+")
def an_end_waits_for_a_welded_contactor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction, "_still_flows", energy_flows)


@mutant("what_happens_is_reported", "plug meter+ meter-")
def a_fault_that_changes_no_state_is_not_reported(patch: pytest.MonkeyPatch) -> None:
    def changed(before: EvseState, after: EvseState) -> ChangeCause | None:
        same = after.charging_state is before.charging_state
        return None if same else ChangeCause(TriggerReason.CHARGING_STATE_CHANGED)

    patch.setattr(transaction, "_own_cause", changed)


@mutant("deauthorization_is_reported_with_the_state_that_follows", f"{CHARGE} invalid", EV_CONNECTED)
def a_refusal_does_not_wait_for_its_state(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction, "_STOPPING", frozenset[TriggerReason]())


SESSION = "plug C authorize recorded session contract contract-refused deliver deliver-stop apply"


@mutant("refused_contract_never_charges", SESSION, LINKED)
def a_refusal_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def may_always(state: EvseState) -> bool:
        del state
        return True

    patch.setattr(machine, "may_present_contract", may_always)


@mutant("lost_link_ends_no_charge", f"{SESSION} link-lost", replace(LINKED, stop=("EVConnected",)))
def a_lost_link_ends_the_authorization(patch: pytest.MonkeyPatch) -> None:
    def changed(before: EvseState, signal: VehicleSignal, now_s: float) -> tuple[EvseState, ChangeCause | None]:
        after, cause = apply_vehicle_signal(before, signal, now_s)
        return (replace(after, authorization=None), None) if signal is VehicleSignal.LINK_LOST else (after, cause)

    patch.setattr(evse_changes, "apply_vehicle_signal", changed)


@mutant("contactor_closes_in_a_session_when_the_vehicle_asks", SESSION, LINKED)
def the_contactor_does_not_wait_for_the_vehicle(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evse_state, "awaits_vehicle", never_of_vehicle)
    patch.setattr(evse_state, "permits_energy", always_of_vehicle)


@mutant("pilot_asks_for_communication_only_with_a_link", f"{SESSION} link-lost", LINKED)
def a_lost_link_leaves_the_pilot_as_it_was(patch: pytest.MonkeyPatch) -> None:
    def asks(vehicle: VehicleState, *, offers_energy: bool) -> bool:
        return vehicle.communication is Communication.BASIC and not vehicle.linked and not offers_energy

    patch.setattr(evse_state, "asks_for_communication", asks)


@mutant("no_state_is_dead", "authorize")
def an_authorization_that_nobody_uses_never_ends(patch: pytest.MonkeyPatch) -> None:
    def changed(state: EvseState, timeout_s: float) -> float | None:
        del state, timeout_s
        return None

    patch.setattr(evse, "connection_deadline_s", changed)


@pytest.mark.parametrize(("rule", "make", "setup", "steps"), MUTANTS, ids=[make.__name__ for _, make, _, _ in MUTANTS])
def test_a_machine_with_a_fault_breaks_its_rule(
    monkeypatch: pytest.MonkeyPatch, rule: str, make: Mutant, setup: EvseSetup, steps: str
) -> None:
    Explorer(setup, steps.split()).run()
    make(monkeypatch)
    with pytest.raises(RuleBrokenError) as broken:
        Explorer(setup, steps.split()).run(20_000)
    assert broken.value.rule == rule


def test_every_rule_has_a_mutant() -> None:
    assert {rule for rule, _, _, _ in MUTANTS} == {rule.__name__ for rule in INVARIANTS} | {"no_state_is_dead"}
