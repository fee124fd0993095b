"""What an EVSE does is a function of its state: rules that hold in every state, and the moments between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.charging.evse_state import (
    HALT_S,
    READY_GRACE_S,
    WIND_DOWN_S,
    Authorization,
    ChangeCause,
    EvseState,
    OpenTransaction,
    blocking_faults,
    connection_deadline_s,
    connector_status,
    energy_flows,
    ev_connected,
    next_change_s,
    offers_energy,
    outputs,
    with_derived_values,
)
from station.core.hardware.board import NO_OBSERVATION, SAFE_OUTPUTS, Observation
from station.core.model import ChargingState, ConnectorStatus, Fault, PilotState, TriggerReason
from tests import fakes

PATIENT = [Fault.METER, Fault.OVER_TEMPERATURE, Fault.STORAGE, Fault.TAMPER]
PILOT_DETECTED_FAULTS = {Fault.PILOT, Fault.DIODE, Fault.OVER_CURRENT}
EMERGENCIES = sorted(set(Fault) - {Fault.READER, Fault.LOCK, *PATIENT})
CONNECTED = {PilotState.B, PilotState.C, PilotState.D}
TAKING = {PilotState.C, PilotState.D}

authorizations = st.none() | st.builds(Authorization, st.just(fakes.CARD), since_s=st.floats(0, 1000))
transactions = st.none() | st.builds(
    OpenTransaction,
    st.just("tx"),
    st.just(fakes.NOON),
    recorded=st.booleans(),
    ending=st.none() | st.just(ChangeCause(TriggerReason.STOP_AUTHORIZED)),
    energy_refused=st.booleans(),
)
faults = st.frozensets(st.sampled_from(Fault), max_size=2)
observations = st.builds(
    Observation,
    pilot=st.sampled_from(PilotState),
    cable_plugged=st.booleans(),
    contactor_closed=st.booleans(),
    phases=st.sampled_from([None, 1, 3]),
    locked=st.booleans(),
    bay_occupied=st.booleans(),
    faults=st.just(frozenset[Fault]()) | faults,
)
states = st.builds(
    EvseState,
    observation=observations,
    faults=st.just(frozenset[Fault]()) | faults,
    in_service=st.sampled_from([True, True, True, False]),
    reserved_until=st.none() | st.just(fakes.NOON),
    attached_cable=st.booleans(),
    ventilation=st.booleans(),
    authorization=authorizations,
    transaction=transactions,
    offered_a=st.sampled_from([0.0, 5.9, 6.0, 16.0, 32.0]) | st.floats(0, 80),
    draw_a=st.none() | st.floats(0, 40),
    charging_state=st.sampled_from(ChargingState),
    offer_ended_at_s=st.none() | st.floats(0, 1000),
    grace_until_s=st.floats(0, 1000),
    lock_held_for=st.none() | st.just(fakes.CARD),
    halting=st.sampled_from([False, False, True]),
    supplying=st.booleans(),
    connection_lost_s=st.none() | st.floats(0, 1000),
)
moments = st.floats(0, 1010)
NO_EMERGENCY = {Fault.METER, Fault.STORAGE, Fault.TAMPER, Fault.OVER_TEMPERATURE}
"""what may wait some seconds for the vehicle to follow its pilot"""

READY = EvseState(
    observation=Observation(PilotState.C, cable_plugged=True, locked=True),
    authorization=Authorization(fakes.CARD),
    transaction=OpenTransaction("tx", fakes.NOON, recorded=True),
    offered_a=16.0,
)
"""everything is there: energy is offered"""
CHARGING = replace(READY, observation=replace(READY.observation, contactor_closed=True), draw_a=16.0, supplying=True)


# Rules that hold in every state


@given(states, moments)
def test_the_contactor_closes_only_for_a_vehicle_that_takes_energy_and_never_with_a_blocking_fault(
    state: EvseState, now_s: float
) -> None:
    """With a fault that is no emergency it may stay closed, while the vehicle follows its pilot, and no longer."""
    if outputs(state, now_s).contactor:
        assert state.observation.pilot in TAKING
        assert blocking_faults(state) <= NO_EMERGENCY
        if blocking_faults(state):
            assert state.observation.contactor_closed
            assert state.offer_ended_at_s is not None
            assert now_s < state.offer_ended_at_s + WIND_DOWN_S


@given(states, moments)
def test_an_open_contactor_closes_only_with_authorization_and_a_recorded_transaction(
    state: EvseState, now_s: float
) -> None:
    state = replace(state, observation=replace(state.observation, contactor_closed=False))
    if outputs(state, now_s).contactor:
        assert state.authorization is not None
        assert state.operative
        assert not state.halting
        assert state.offered_a >= 6.0
        assert state.transaction is None or (
            state.transaction.recorded and state.transaction.ending is None and not state.transaction.energy_refused
        )


@given(states, moments)
def test_a_closed_contactor_without_wanted_energy_stays_only_under_load_and_for_a_few_seconds(
    state: EvseState, now_s: float
) -> None:
    if outputs(state, now_s).contactor and not offers_energy(state):
        assert state.observation.contactor_closed
        assert state.offer_ended_at_s is not None
        assert now_s < state.offer_ended_at_s + WIND_DOWN_S
        assert state.draw_a is None or state.draw_a >= 1.0


@given(states, moments)
def test_the_pilot_is_steady_or_offers_at_least_6_a_and_never_more_than_the_limits(
    state: EvseState, now_s: float
) -> None:
    pilot_a = outputs(state, now_s).pilot_a
    assert pilot_a is None or 6.0 <= pilot_a <= state.offered_a
    assert (pilot_a is not None) is offers_energy(state)


@given(states, moments)
def test_the_pilot_signals_a_fault_only_to_a_vehicle_and_offers_nothing_meanwhile(
    state: EvseState, now_s: float
) -> None:
    """Not while the vehicle is asked to end its draw, so that the contactor opens without load."""
    ordered = outputs(state, now_s)
    faults = blocking_faults(state) - PILOT_DETECTED_FAULTS
    assert ordered.pilot_fault is (bool(faults) and state.observation.cable_plugged and not ordered.contactor)
    assert not (ordered.pilot_fault and ordered.pilot_a is not None)


@given(states, moments)
def test_only_a_cable_in_a_socket_is_locked_and_it_stays_so_while_the_contactor_is_closed(
    state: EvseState, now_s: float
) -> None:
    locked = outputs(state, now_s).lock
    in_socket = state.observation.cable_plugged and not state.attached_cable
    if not in_socket:
        assert not locked
    elif state.observation.contactor_closed or state.authorization is not None or state.lock_held_for is not None:
        assert locked


@given(states, moments)
def test_time_alone_changes_outputs_only_when_it_was_announced(state: EvseState, now_s: float) -> None:
    """The task that drives the board sleeps until `next_change_s`: nothing may happen before."""
    next_s = next_change_s(state, now_s, 60.0)
    assert next_s is None or next_s > now_s
    before_s = now_s + 2000.0 if next_s is None else now_s + (next_s - now_s) * 0.999
    if next_s is None or before_s < next_s:
        assert outputs(state, before_s) == outputs(state, now_s)
        same = with_derived_values(state, state, now_s)
        assert with_derived_values(same, same, before_s).charging_state is same.charging_state


@given(states, states, moments)
def test_settling_twice_is_settling_once(before: EvseState, after: EvseState, now_s: float) -> None:
    once = with_derived_values(before, after, now_s)
    assert with_derived_values(once, once, now_s) == once


@given(states, states, moments)
def test_charging_is_energy_that_flows_and_idle_is_nobody_there(
    before: EvseState, after: EvseState, now_s: float
) -> None:
    """ChargingStateEnumType"""
    state = with_derived_values(before, after, now_s)
    assert (state.charging_state is ChargingState.CHARGING) is energy_flows(state)
    assert (state.charging_state is ChargingState.IDLE) is not ev_connected(state)
    if state.charging_state is ChargingState.SUSPENDED_EV:
        assert offers_energy(state)
    if state.charging_state is ChargingState.SUSPENDED_EVSE:
        assert state.authorization is not None


@given(states)
def test_an_order_to_go_out_of_service_waits_for_the_transaction(state: EvseState) -> None:
    """G03.FR.05, G04.FR.06"""
    ordered = replace(state, in_service=False)
    assert ordered.operative is (state.transaction is not None)
    assert offers_energy(ordered) is (offers_energy(state) and state.transaction is not None)


@given(states)
def test_statuses_have_one_order(state: EvseState) -> None:
    """Faulted > Unavailable > Reserved > Occupied > Available"""
    occupied = state.observation.cable_plugged or ev_connected(state)
    ranked = [
        (bool(blocking_faults(state)), ConnectorStatus.FAULTED),
        (not state.operative, ConnectorStatus.UNAVAILABLE),
        (state.reserved_until is not None, ConnectorStatus.RESERVED),
        (occupied, ConnectorStatus.OCCUPIED),
        (True, ConnectorStatus.AVAILABLE),
    ]
    assert connector_status(state) is next(status for holds, status in ranked if holds)


# One rule at a time


def test_without_an_observation_the_state_is_the_safe_one() -> None:
    assert outputs(EvseState(), 0.0) == SAFE_OUTPUTS
    assert connector_status(EvseState()) is ConnectorStatus.AVAILABLE


@pytest.mark.parametrize(("pilot", "closed"), [(pilot, pilot in TAKING) for pilot in PilotState])
def test_the_contactor_follows_the_pilot_while_energy_is_wanted(pilot: PilotState, closed: bool) -> None:
    state = replace(READY, observation=replace(READY.observation, pilot=pilot), ventilation=True)
    assert outputs(state, 0.0).contactor is closed
    assert (outputs(state, 0.0).pilot_a == 16.0) is (pilot in CONNECTED)


def test_a_vehicle_that_asks_for_ventilation_where_there_is_none_gets_nothing_until_it_is_gone() -> None:
    requests_ventilation = replace(READY, observation=replace(READY.observation, pilot=PilotState.D))
    state = with_derived_values(READY, requests_ventilation, 100.0)
    assert (outputs(requests_ventilation, 100.0), state.charging_state) == (
        outputs(state, 100.0),
        ChargingState.SUSPENDED_EVSE,
    )
    assert (outputs(state, 100.0).contactor, outputs(state, 100.0).pilot_a) == (False, None)
    no_request = with_derived_values(
        state, replace(state, observation=replace(state.observation, pilot=PilotState.B)), 101.0
    )
    assert not offers_energy(no_request), "it would ask again with the next offer, and so forth"
    unplugged = with_derived_values(no_request, replace(no_request, observation=NO_OBSERVATION), 102.0)
    assert offers_energy(with_derived_values(unplugged, replace(unplugged, observation=READY.observation), 103.0))


def test_a_vehicle_that_asks_for_ventilation_while_it_charges_has_its_time_to_stop_drawing() -> None:
    state = with_derived_values(
        CHARGING, replace(CHARGING, observation=replace(CHARGING.observation, pilot=PilotState.D)), 100.0
    )
    assert (outputs(state, 100.0).contactor, outputs(state, 100.0).pilot_a) == (True, None)
    assert not outputs(state, 100.0 + WIND_DOWN_S).contactor


@pytest.mark.parametrize(
    "without",
    [
        replace(CHARGING, authorization=None),
        replace(CHARGING, halting=True),
        replace(CHARGING, offered_a=5.9),
        replace(CHARGING, transaction=replace(READY.transaction, energy_refused=True)),  # type: ignore[type-var]
        replace(CHARGING, transaction=replace(READY.transaction, ending=ChangeCause(TriggerReason.REMOTE_STOP))),  # type: ignore[type-var]
    ],
    ids=["authorization", "halting", "current", "refused", "ending"],
)
def test_the_pilot_is_steady_at_once_and_the_contactor_opens_when_the_load_is_gone(without: EvseState) -> None:
    now_s = 100.0
    state = with_derived_values(CHARGING, without, now_s)
    assert outputs(state, now_s).pilot_a is None
    patience_s = HALT_S if state.halting else WIND_DOWN_S
    for later_s in (0.0, patience_s / 2, patience_s - 0.01):
        assert outputs(state, now_s + later_s).contactor
        assert not outputs(replace(state, draw_a=0.5), now_s + later_s).contactor
    assert not outputs(state, now_s + patience_s).contactor
    assert not outputs(replace(state, observation=replace(state.observation, pilot=PilotState.B)), now_s).contactor


@pytest.mark.parametrize("fault", PATIENT)
def test_a_fault_that_is_no_emergency_leaves_the_vehicle_its_time_to_stop_drawing(fault: Fault) -> None:
    state = with_derived_values(CHARGING, replace(CHARGING, faults=frozenset({fault})), 100.0)
    for later_s in (0.0, WIND_DOWN_S - 0.01):
        ordered = outputs(state, 100.0 + later_s)
        assert (ordered.contactor, ordered.pilot_a, ordered.pilot_fault) == (True, None, False)
        assert not outputs(replace(state, draw_a=0.5), 100.0 + later_s).contactor
    ordered = outputs(state, 100.0 + WIND_DOWN_S)
    assert (ordered.contactor, ordered.pilot_fault) == (False, True)
    assert not outputs(replace(state, faults=state.faults | {Fault.GROUND_FAULT}), 100.0).contactor
    assert connector_status(state) is ConnectorStatus.FAULTED


@pytest.mark.parametrize("fault", EMERGENCIES)
def test_an_emergency_opens_the_contactor_under_load(fault: Fault) -> None:
    for faulty in (
        replace(CHARGING, faults=frozenset({fault})),
        replace(CHARGING, observation=replace(CHARGING.observation, faults=frozenset({fault}))),
    ):
        state = with_derived_values(CHARGING, faulty, 100.0)
        assert not outputs(state, 100.0).contactor
        assert outputs(state, 100.0).pilot_a is None
        assert outputs(state, 100.0).pilot_fault is (fault not in PILOT_DETECTED_FAULTS)
        assert connector_status(state) is ConnectorStatus.FAULTED


@pytest.mark.parametrize("fault", [Fault.READER, Fault.LOCK])
def test_a_harmless_fault_forbids_no_energy(fault: Fault) -> None:
    assert outputs(replace(CHARGING, faults=frozenset({fault})), 0.0).contactor


def test_a_vehicle_has_the_5_s_that_the_standard_gives_it_before_the_contactor_opens_under_load() -> None:
    """IEC 61851-1 table A.6: it must follow the pilot within 5 s."""
    state = with_derived_values(CHARGING, replace(CHARGING, authorization=None), 100.0)
    assert outputs(state, 105.0).contactor
    assert not outputs(state, 110.0).contactor


def test_no_energy_before_the_start_is_on_disk() -> None:
    unrecorded = replace(READY, transaction=OpenTransaction("tx", fakes.NOON))
    assert outputs(unrecorded, 0.0).pilot_a is None
    assert not outputs(unrecorded, 0.0).contactor


def test_a_vehicle_that_does_not_take_what_is_offered_is_suspended_after_a_grace() -> None:
    plugged = replace(READY, observation=replace(READY.observation, pilot=PilotState.B), offered_a=0.0)
    before = with_derived_values(EvseState(), plugged, 0.0)
    assert before.charging_state is ChargingState.SUSPENDED_EVSE
    offered = with_derived_values(before, replace(before, offered_a=16.0), 10.0)
    assert next_change_s(offered, 10.0, 60.0) == 10.0 + READY_GRACE_S
    assert offered.charging_state is not ChargingState.SUSPENDED_EV
    late_s = 10.0 + READY_GRACE_S
    assert with_derived_values(offered, offered, late_s).charging_state is ChargingState.SUSPENDED_EV


def test_a_vehicle_that_has_charged_and_pauses_is_suspended_at_once() -> None:
    charging = with_derived_values(READY, CHARGING, 3.0)
    pausing = with_derived_values(
        charging, replace(charging, observation=replace(charging.observation, pilot=PilotState.B)), 4.0
    )
    assert pausing.charging_state is ChargingState.SUSPENDED_EV


def test_an_authorization_without_a_vehicle_ends_after_the_timeout() -> None:
    """E03.FR.05"""
    state = with_derived_values(EvseState(), EvseState(authorization=Authorization(fakes.CARD, since_s=50.0)), 50.0)
    assert connection_deadline_s(state, 120.0) == 170.0
    assert next_change_s(state, 60.0, 120.0) == 170.0
    assert connection_deadline_s(with_derived_values(state, READY, 60.0), 120.0) is None


@pytest.mark.parametrize(
    ("attached", "cable", "deadline_s"), [(True, False, 220.0), (False, True, None), (False, False, 220.0)]
)
def test_a_vehicle_that_left_has_the_timeout_to_come_back_unless_its_cable_waits(
    attached: bool, cable: bool, deadline_s: float | None
) -> None:
    """C01.FR.26, E10.FR.01, E10.FR.02"""
    before = replace(READY, attached_cable=attached)
    unplugged = replace(before, observation=replace(before.observation, pilot=PilotState.A, cable_plugged=cable))
    state = with_derived_values(before, unplugged, 100.0)
    assert connection_deadline_s(state, 120.0) == deadline_s
    back = with_derived_values(state, before, 110.0)
    assert connection_deadline_s(back, 120.0) is None


def test_nothing_is_offered_before_the_cable_is_locked_in_its_socket() -> None:
    """G05.FR.01"""
    loose = replace(READY, observation=replace(READY.observation, locked=False))
    assert not offers_energy(loose)
    assert outputs(loose, 0.0).lock
    assert with_derived_values(loose, loose, 0.0).charging_state is ChargingState.EV_CONNECTED
    broken = replace(loose, faults=frozenset({Fault.LOCK}))
    assert with_derived_values(broken, broken, 0.0).charging_state is ChargingState.SUSPENDED_EVSE
    assert offers_energy(replace(broken, attached_cable=True)), "an attached cable has no lock"
    assert offers_energy(replace(CHARGING, observation=replace(CHARGING.observation, locked=False))), (
        "a charge that runs goes on"
    )


def test_a_socket_whose_proximity_contact_opens_under_load_has_no_cable_and_gets_no_energy() -> None:
    """IEC 61851-1 annex B: the plug may be on its way out, and nobody knows any more what the cable carries."""
    thin = replace(CHARGING, observation=replace(CHARGING.observation, cable_max_a=13.0), offered_a=32.0)
    assert outputs(thin, 100.0).pilot_a == 13.0
    pulled = with_derived_values(
        thin, replace(thin, observation=replace(thin.observation, cable_plugged=False, cable_max_a=None)), 100.0
    )
    ordered = outputs(pulled, 100.0)
    assert (ordered.contactor, ordered.pilot_a) == (False, None)
    attached = replace(CHARGING, attached_cable=True, observation=replace(CHARGING.observation, cable_plugged=False))
    assert outputs(attached, 100.0).contactor, "an attached cable has no such contact"


def test_the_lock_waits_for_its_holder_and_for_nobody_once_the_cable_is_gone() -> None:
    """E05.FR.11, E09.FR.03"""
    held = replace(READY, authorization=None, lock_held_for=fakes.CARD)
    assert outputs(held, 0.0).lock
    unplugged = with_derived_values(held, replace(held, observation=Observation()), 1.0)
    assert unplugged.lock_held_for is None
    assert not outputs(with_derived_values(unplugged, EvseState(observation=held.observation), 2.0), 2.0).lock


@given(states, st.sampled_from([None, 1, 3]))
def test_phases_are_switched_while_the_contactor_is_open_and_never_under_load(
    state: EvseState, phases: int | None
) -> None:
    requested = replace(state, phases=phases)
    applied = outputs(requested, 0.0)
    if requested.observation.contactor_closed:
        assert applied.phases == requested.observation.phases
    if applied.phases not in {None, requested.observation.phases} and requested.observation.phases is not None:
        assert not applied.contactor
        assert applied.pilot_a is None
