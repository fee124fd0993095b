"""When a transaction starts and stops, and what its events say, for every start and stop point."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.charging.evse_state import Authorization, ChangeCause, EvseState, energy_flows, ev_connected, outputs
from station.charging.transaction import TransactionChange, TxPoint, active_points
from station.core.model import ChargingState, EventType, EvseRef, Fault, PilotState, StoppedReason, TriggerReason
from tests import fakes
from tests.rows import each_row
from tests.station.bare_charge import DEAUTHORIZED, EMERGENCY, PLUGGED, REMOTE_STOP, Charge, rules

# Start

CABLE_FIRST = ("bay", "plug", "authorize", "charge")
CARD_FIRST = ("bay", "authorize", "plug", "charge")


@pytest.mark.parametrize(
    ("points", "steps", "first"),
    [
        ("ParkingBayOccupancy", CABLE_FIRST, "bay"),
        ("EVConnected", CABLE_FIRST, "plug"),
        ("EVConnected,EnergyTransfer", CABLE_FIRST, "plug"),
        ("EVConnected,PowerPathClosed", CABLE_FIRST, "plug"),
        ("Authorized", CABLE_FIRST, "authorize"),
        ("PowerPathClosed", CABLE_FIRST, "authorize"),
        ("EnergyTransfer", CABLE_FIRST, "charge"),
        ("Authorized", CARD_FIRST, "authorize"),
        ("EVConnected,Authorized", CARD_FIRST, "authorize"),
        ("Authorized,EnergyTransfer", CARD_FIRST, "authorize"),
        ("PowerPathClosed", CARD_FIRST, "plug"),
    ],
)
def test_a_transaction_starts_with_its_first_start_point_and_not_before(
    points: str, steps: Sequence[str], first: str
) -> None:
    """E01.FR.01 to E01.FR.05"""
    charge = Charge(rules(start=set(points.split(","))))
    happened: list[str] = []
    for name in steps:
        {
            "bay": lambda: charge.observe(ChangeCause(TriggerReason.EV_DETECTED), bay_occupied=True),
            "plug": charge.plug,
            "authorize": charge.authorize,
            "charge": charge.charge,
        }[name]()
        happened += (
            [name] * sum(event.event_type is EventType.STARTED for event in charge.events) if not happened else []
        )
    assert happened == [first]


def test_power_path_closed_needs_both_whichever_comes_last() -> None:
    charge = Charge(rules(start={"PowerPathClosed"}))
    charge.authorize()
    assert charge.events == []
    charge.plug()
    assert charge.types_and_triggers == [(EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN)]
    assert charge.events[0].id_token == fakes.CARD


def test_an_authorization_before_the_start_is_reported_once_with_the_start() -> None:
    """E01.FR.10, E03"""
    charge = Charge(rules(start={"EVConnected"}))
    charge.authorize()
    charge.plug()
    charge.charge()
    assert [event.id_token for event in charge.events if event.id_token is not None] == [fakes.CARD]
    assert charge.events[0].id_token == fakes.CARD


@pytest.mark.parametrize("point", ["EVConnected", "EnergyTransfer"])
def test_a_remote_start_before_the_start_point_is_reported_as_the_trigger(point: str) -> None:
    """F02.FR.21"""
    charge = Charge(rules(start={point}))
    charge.authorize(ChangeCause(TriggerReason.REMOTE_START, id_token=fakes.CARD, remote_start_id=42))
    charge.plug()
    assert charge.types_and_triggers == (
        [(EventType.STARTED, TriggerReason.REMOTE_START)] if point == "EVConnected" else []
    )
    charge.charge()
    assert charge.types_and_triggers[0] == (EventType.STARTED, TriggerReason.REMOTE_START)
    assert charge.events[0].remote_start_id == 42
    assert all(event.remote_start_id is None for event in charge.events[1:])


@pytest.mark.parametrize("first", ["vehicle", "card"])
def test_the_next_event_names_the_reservation_that_is_used(first: str) -> None:
    """E01.FR.13, E02.FR.03, E03.FR.03, H01.FR.15"""
    charge = Charge(rules(start={"EVConnected"}))
    if first == "vehicle":
        charge.plug()
    charge.authorize(ChangeCause(TriggerReason.AUTHORIZED, id_token=fakes.CARD, reservation_id=7))
    if first == "card":
        charge.plug()
    charge.charge()
    reservation_ids = [event.reservation_id for event in charge.events]
    assert reservation_ids == ([None, 7, None] if first == "vehicle" else [7, None])


def test_an_authorization_that_ended_before_any_start_is_never_reported() -> None:
    charge = Charge(rules(start={"EVConnected"}))
    charge.authorize()
    charge.end_authorization(ChangeCause(TriggerReason.EV_CONNECT_TIMEOUT, StoppedReason.TIMEOUT, deauthorizes=True))
    charge.plug()
    assert charge.types_and_triggers == [(EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN)]
    assert charge.events[0].id_token is None


def test_a_start_without_energy_reports_its_charging_state_once() -> None:
    charge = Charge(rules(start={"Authorized"}))
    charge.change_state(replace(charge.state, offered_a=0.0))
    charge.plug()
    charge.authorize()
    charge.recorded()
    assert [event.charging_state for event in charge.events] == [ChargingState.SUSPENDED_EVSE]


def test_the_connector_is_reported_once_as_soon_as_the_vehicle_is_there() -> None:
    """E01.FR.16"""
    charge = Charge(rules())
    charge.authorize()
    charge.plug()
    charge.charge()
    assert [event.evse for event in charge.events[:2]] == [EvseRef(1), EvseRef(1, 1)]
    assert all(event.evse is None for event in charge.events[2:])
    assert [event.cable_max_a for event in charge.events[:3]] == [None, 32.0, None]


# Stop


def after_local_stop(charge: Charge) -> None:
    charge.end_authorization()


def after_unplugging(charge: Charge) -> None:
    charge.unplug()


def after_a_pause_of_the_vehicle(charge: Charge) -> None:
    charge.observe(pilot=PilotState.B)
    charge.apply_outputs()


def after_a_remote_stop(charge: Charge) -> None:
    charge.end_authorization(REMOTE_STOP)


def after_the_bay_is_free(charge: Charge) -> None:
    charge.observe(ChangeCause(TriggerReason.EV_DEPARTED), bay_occupied=False)


@each_row(
    ("stop", "action", "reason"),
    [
        ({"EVConnected"}, after_unplugging, StoppedReason.EV_DISCONNECTED),
        ({"EVConnected"}, after_local_stop, None),
        ({"EVConnected"}, after_a_pause_of_the_vehicle, None),
        ({"EVConnected"}, after_a_remote_stop, None),  # F03.FR.02
        ({"Authorized"}, after_local_stop, StoppedReason.LOCAL),
        ({"Authorized"}, after_unplugging, None),
        ({"Authorized"}, after_a_pause_of_the_vehicle, None),
        ({"PowerPathClosed"}, after_local_stop, StoppedReason.LOCAL),
        ({"PowerPathClosed"}, after_unplugging, StoppedReason.EV_DISCONNECTED),
        ({"EnergyTransfer"}, after_a_pause_of_the_vehicle, StoppedReason.STOPPED_BY_EV),
        ({"EnergyTransfer"}, after_local_stop, StoppedReason.LOCAL),
        ({"EnergyTransfer"}, after_unplugging, StoppedReason.EV_DISCONNECTED),
        ({"ParkingBayOccupancy"}, after_local_stop, None),
        ({"ParkingBayOccupancy"}, after_unplugging, None),
        ({"ParkingBayOccupancy"}, after_the_bay_is_free, StoppedReason.LOCAL),
        ({"ParkingBayOccupancy"}, after_a_remote_stop, None),
        (set[str](), after_local_stop, None),
        (set[str](), after_a_remote_stop, None),
        ({"Authorized"}, after_a_remote_stop, StoppedReason.REMOTE),  # F03.FR.03
        ({"PowerPathClosed"}, after_a_remote_stop, StoppedReason.REMOTE),
        ({"EnergyTransfer"}, after_a_remote_stop, StoppedReason.REMOTE),
        ({"EVConnected", "Authorized"}, after_local_stop, StoppedReason.LOCAL),
        ({"EVConnected", "Authorized"}, after_unplugging, StoppedReason.EV_DISCONNECTED),
    ],
)
def test_a_transaction_ends_at_its_stop_points_only(
    stop: set[str], action: Callable[[Charge], None], reason: StoppedReason | None
) -> None:
    """E06.FR.02 to E06.FR.07; while it charges, with the energy gone in the end."""
    charge = Charge(rules(stop=stop))
    charge.observe(ChangeCause(TriggerReason.EV_DETECTED), bay_occupied=True)
    charge.plug()
    charge.authorize()
    charge.charge()
    action(charge)
    charge.now_s += 10.0
    charge.apply_outputs()
    ended = [event.stopped_reason for event in charge.events if event.event_type is EventType.ENDED]
    assert ended == ([] if reason is None else [reason])
    assert (charge.state.transaction is None) is (reason is not None)


def test_the_energy_stops_before_the_transaction_ends() -> None:
    """Part 2, 2.6.6.2: the end of the authorization first stops the energy."""
    charge = Charge(rules())
    charge.plug()
    charge.authorize()
    charge.charge()
    count_before = len(charge.events)
    charge.end_authorization()
    assert len(charge.events) == count_before
    assert outputs(charge.state, charge.now_s).pilot_a is None
    charge.observe(pilot=PilotState.B)
    (ended,) = charge.events[count_before:]
    assert (ended.event_type, ended.trigger) == (EventType.ENDED, TriggerReason.STOP_AUTHORIZED)
    assert ended.stopped_reason is StoppedReason.LOCAL
    assert ended.id_token == fakes.CARD


def test_a_refused_token_is_reported_when_the_energy_has_stopped() -> None:
    """C15.FR.03, errata 6.2.118: Deauthorized carries EVConnected, also where it does not end the transaction."""
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.charge()
    count_before = len(charge.events)
    charge.end_authorization(DEAUTHORIZED)
    assert len(charge.events) == count_before
    assert outputs(charge.state, charge.now_s).pilot_a is None
    charge.observe(pilot=PilotState.B)
    charge.apply_outputs()
    (deauthorized,) = charge.events[count_before:]
    assert (deauthorized.event_type, deauthorized.trigger) == (EventType.UPDATED, TriggerReason.DEAUTHORIZED)
    assert deauthorized.charging_state is ChargingState.EV_CONNECTED
    charge.unplug()
    assert charge.types_and_triggers[count_before + 1 :] == [(EventType.ENDED, TriggerReason.EV_COMMUNICATION_LOST)]
    assert charge.events[-1].stopped_reason is StoppedReason.DE_AUTHORIZED


@pytest.mark.parametrize("then", ["unplug", "authorize"])
def test_the_cause_that_ends_the_wait_for_the_energy_is_reported_after_the_refusal(then: str) -> None:
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.charge()
    count_before = len(charge.events)
    charge.end_authorization(DEAUTHORIZED)
    perform_step(charge, then)
    charge.observe(pilot=PilotState.B if then != "unplug" else PilotState.A)
    triggers = [trigger for _, trigger in charge.types_and_triggers[count_before:]]
    assert triggers[0] is TriggerReason.DEAUTHORIZED
    assert triggers[1] is not TriggerReason.CHARGING_STATE_CHANGED
    assert triggers.count(TriggerReason.DEAUTHORIZED) == 1


@pytest.mark.parametrize(
    ("then", "trigger"), [("remote_stop", TriggerReason.REMOTE_STOP), ("bay", TriggerReason.EV_DETECTED)]
)
def test_other_causes_before_the_energy_has_stopped_are_reported_at_once_and_leave_the_refusal_its_state(
    then: str, trigger: TriggerReason
) -> None:
    """C15.FR.03, E05.FR.09: Deauthorized and EVConnected in one event, whatever happens meanwhile; E02.FR.17."""
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.charge()
    count_before = len(charge.events)
    charge.end_authorization(DEAUTHORIZED)
    perform_step(charge, then)
    charge.observe(pilot=PilotState.B)
    charge.apply_outputs()
    assert [(event.trigger, event.charging_state) for event in charge.events[count_before:]] == [
        (trigger, ChargingState.CHARGING),
        (TriggerReason.DEAUTHORIZED, ChargingState.EV_CONNECTED),
    ]


def test_a_welded_contactor_does_not_keep_a_refusal_unreported() -> None:
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.charge()
    charge.end_authorization(DEAUTHORIZED)
    charge.change_state(replace(charge.state, faults=frozenset({Fault.CONTACTOR_WELDED})))
    assert [trigger for _, trigger in charge.types_and_triggers[-2:]] == [
        TriggerReason.DEAUTHORIZED,
        TriggerReason.ABNORMAL_CONDITION,
    ]


def test_what_first_began_the_end_is_the_stopped_reason() -> None:
    """TransactionType.stoppedReason: with EVConnected as the only stop point, the card came first."""
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.charge()
    charge.end_authorization()
    charge.observe(pilot=PilotState.B)
    charge.apply_outputs()
    charge.unplug()
    assert charge.events[-1].event_type is EventType.ENDED
    assert charge.events[-1].stopped_reason is StoppedReason.LOCAL
    assert charge.events[-1].trigger is TriggerReason.EV_COMMUNICATION_LOST


def test_of_two_that_would_end_it_the_first_is_the_stopped_reason() -> None:
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.end_authorization()
    charge.end_authorization(DEAUTHORIZED)
    charge.unplug()
    assert charge.events[-1].stopped_reason is StoppedReason.LOCAL


def test_a_new_authorization_takes_the_old_stop_back() -> None:
    charge = Charge(rules(stop={"EVConnected"}))
    charge.plug()
    charge.authorize()
    charge.end_authorization()
    charge.authorize()
    charge.unplug()
    assert charge.events[-1].stopped_reason is StoppedReason.EV_DISCONNECTED


def test_a_welded_contactor_does_not_keep_a_transaction_open() -> None:
    charge = Charge(rules())
    charge.plug()
    charge.authorize()
    charge.charge()
    charge.end_authorization()
    charge.change_state(replace(charge.state, faults=frozenset({Fault.CONTACTOR_WELDED})))
    assert charge.events[-1].event_type is EventType.ENDED
    assert charge.state.observation.contactor_closed


def test_the_next_charge_is_another_transaction() -> None:
    charge = Charge(rules())
    for _ in range(3):
        charge.plug()
        charge.authorize()
        charge.charge()
        charge.end_authorization()
        charge.observe(pilot=PilotState.B)
        charge.apply_outputs()
        charge.unplug()
    ended = [event.transaction_id for event in charge.events if event.event_type is EventType.ENDED]
    assert ended == ["tx1", "tx2", "tx3"]


def test_a_second_card_on_the_same_cable_starts_a_second_transaction() -> None:
    charge = Charge(rules())
    charge.plug()
    charge.authorize()
    charge.end_authorization()
    charge.authorize(ChangeCause(TriggerReason.AUTHORIZED, id_token=fakes.OTHER_CARD))
    started = [event for event in charge.events if event.event_type is EventType.STARTED]
    assert [(event.transaction_id, event.evse) for event in started] == [("tx1", EvseRef(1, 1)), ("tx2", EvseRef(1, 1))]
    assert started[1].id_token == fakes.OTHER_CARD


def test_points_that_hold_are_facts_of_the_state() -> None:
    assert active_points(EvseState()) == frozenset()
    state = EvseState(observation=replace(PLUGGED, bay_occupied=True), authorization=Authorization(fakes.CARD))
    assert active_points(state) == {
        TxPoint.PARKING_BAY_OCCUPANCY,
        TxPoint.EV_CONNECTED,
        TxPoint.AUTHORIZED,
        TxPoint.POWER_PATH_CLOSED,
    }
    assert TxPoint.ENERGY_TRANSFER in active_points(replace(state, charging_state=ChargingState.CHARGING))


# Properties of random steps

STEP_NAMES = (
    "plug unplug ready pause authorize stop refuse remote_stop emergency recorded"
    " apply_outputs bay no_energy energy wait"
)
SINGLE = st.sampled_from([*STEP_NAMES.split(), "nothing"]).map(lambda step: (step,))
USUAL = st.sampled_from(
    [
        ("plug", "authorize", "recorded", "apply_outputs", "ready", "apply_outputs"),
        ("authorize", "plug", "recorded", "apply_outputs", "ready", "apply_outputs"),
        ("bay", "plug", "authorize", "recorded", "apply_outputs", "ready", "apply_outputs", "recorded"),
        ("pause", "apply_outputs", "wait"),
        ("no_energy", "pause", "apply_outputs"),
        ("stop", "pause", "apply_outputs", "unplug"),
    ]
)
"""sequences that random steps would reach once in a thousand runs"""
STEPS = st.lists(SINGLE | USUAL, max_size=30).map(lambda sequences: [step for some in sequences for step in some])
TX_POINTS = st.frozensets(st.sampled_from([point.value for point in TxPoint]))


def perform_step(charge: Charge, step: str) -> tuple[EvseState, TransactionChange | None]:
    """Perform one random step; returns the state before it and its outcome."""
    before = charge.state
    connected = ev_connected(before)
    bay = before.observation.bay_occupied
    actions = {
        "plug": lambda: None if connected else charge.plug(),
        "unplug": lambda: charge.unplug() if connected else None,
        "ready": lambda: charge.observe(pilot=PilotState.C) if connected else None,
        "pause": lambda: charge.observe(pilot=PilotState.B) if connected else None,
        "authorize": lambda: charge.authorize() if before.authorization is None else None,
        "stop": lambda: charge.end_authorization() if before.authorization is not None else None,
        "refuse": lambda: charge.end_authorization(DEAUTHORIZED) if before.authorization is not None else None,
        "remote_stop": lambda: charge.end_authorization(REMOTE_STOP),
        "emergency": lambda: charge.end_authorization(EMERGENCY),
        "recorded": charge.recorded,
        "apply_outputs": charge.apply_outputs,
        "bay": lambda: charge.observe(
            ChangeCause(TriggerReason.EV_DEPARTED if bay else TriggerReason.EV_DETECTED), bay_occupied=not bay
        ),
        "no_energy": lambda: charge.change_state(replace(before, offered_a=0.0)),
        "energy": lambda: charge.change_state(replace(before, offered_a=16.0)),
        "nothing": lambda: charge.change_state(before),
    }
    if step == "wait":
        charge.now_s += 7.0
        return before, charge.change_state(before)
    return before, actions[step]()


def refusal_was_pending(state: EvseState) -> bool:
    """Whether a refusal waited for the energy to stop."""
    return state.transaction is not None and state.transaction.stopping is not None


@given(steps=STEPS, start=TX_POINTS, stop=TX_POINTS)
def test_every_transaction_is_one_start_some_updates_and_at_most_one_end(
    steps: list[str], start: frozenset[str], stop: frozenset[str]
) -> None:
    charge = Charge(rules(start=set(start), stop=set(stop)))
    for step in steps:
        perform_step(charge, step)
    by_id = {
        name: list(events) for name, events in itertools.groupby(charge.events, lambda event: event.transaction_id)
    }
    assert sum(map(len, by_id.values())) == len(charge.events), "two transactions overlap, or an id came back"
    for index, events in enumerate(by_id.values()):
        kinds = [event.event_type for event in events]
        last = index == len(by_id) - 1
        assert kinds[0] is EventType.STARTED
        assert EventType.STARTED not in kinds[1:]
        assert EventType.ENDED not in kinds[:-1]
        assert kinds[-1] is EventType.ENDED or (last and charge.state.transaction is not None)
        lost = sum(event.trigger is TriggerReason.EV_COMMUNICATION_LOST for event in events)
        # E01.FR.16: once for each time that a vehicle is connected.
        assert sum(event.evse is not None and event.evse.connector_id is not None for event in events) <= 1 + lost
        assert events[0].evse is not None
        for event in events:
            assert (event.stopped_reason is not None) is (event.event_type is EventType.ENDED)


@given(steps=STEPS, start=TX_POINTS, stop=TX_POINTS)
@example(
    steps=[
        "bay",
        "plug",
        "authorize",
        "recorded",
        "apply_outputs",
        "ready",
        "apply_outputs",
        "recorded",
        "refuse",
        "unplug",
    ],
    start=frozenset({"ParkingBayOccupancy"}),
    stop=frozenset(),
)
def test_start_and_stop_points_are_followed_at_every_step(
    steps: list[str], start: frozenset[str], stop: frozenset[str]
) -> None:
    transaction_rules = rules(start=set(start), stop=set(stop))
    charge = Charge(transaction_rules)
    for step in steps:
        before, outcome = perform_step(charge, step)
        if outcome is None:
            continue
        after = charge.state
        kinds = {event.event_type for event in outcome.events}
        events = list(outcome.events)
        if len(events) > 1:
            # E05.FR.09, E02.FR.17: a refusal that waited for the energy to stop, and what ended the waiting.
            assert refusal_was_pending(before)
            assert events.pop(0).trigger is TriggerReason.DEAUTHORIZED
        assert len(events) <= 1
        if EventType.STARTED in kinds:
            triggers = {event.trigger for event in outcome.events}
            renewed = triggers <= {TriggerReason.AUTHORIZED, TriggerReason.REMOTE_START}
            reached = active_points(outcome.state) if renewed else active_points(outcome.state) - active_points(before)
            assert reached & transaction_rules.start
        lost = active_points(before) - active_points(after)
        running = before.transaction
        if running is not None and running.ending is None and lost & transaction_rules.stop_events:
            assert after.transaction is None or after.transaction.ending is not None
        if EventType.ENDED in kinds:
            assert after.authorization is None
            assert after.transaction is None
            assert not energy_flows(after)
        if after.transaction is not None and after.transaction.ending is not None:
            assert energy_flows(after), "it only waits for the energy to stop"
        if step in {"nothing", "recorded", "energy", "no_energy", "apply_outputs", "wait"} and outcome.events:
            (event,) = outcome.events
            state_changed = event.charging_state is not before.charging_state
            assert state_changed or event.event_type is EventType.ENDED, "an event needs a cause"
