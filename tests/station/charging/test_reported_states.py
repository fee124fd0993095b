"""What the events tell the CSMS after each random step: charging state, token and connector of the transaction."""

from __future__ import annotations

from hypothesis import find, given

from station.charging.evse_state import energy_flows, ev_connected
from tests.examples import examples
from tests.station.bare_charge import Charge, rules
from tests.station.charging.test_transaction import STEPS, TX_POINTS, perform_step


@examples(300)
@given(steps=STEPS, start=TX_POINTS, stop=TX_POINTS)
def test_the_charging_state_of_a_transaction_is_always_the_one_reported_last(
    steps: list[str], start: frozenset[str], stop: frozenset[str]
) -> None:
    """E01.FR.18, E02.FR.13"""
    charge = Charge(rules(start=set(start), stop=set(stop)))
    for step in steps:
        perform_step(charge, step)
        transaction = charge.state.transaction
        if transaction is None or transaction.ending is not None:
            continue
        events = [event for event in charge.events if event.transaction_id == transaction.id]
        assert events[-1].charging_state is charge.state.charging_state, step


@examples(300)
@given(steps=STEPS, start=TX_POINTS, stop=TX_POINTS)
def test_an_authorized_transaction_has_reported_its_token_and_one_with_a_vehicle_its_connector(
    steps: list[str], start: frozenset[str], stop: frozenset[str]
) -> None:
    """E01.FR.10, E01.FR.16, E02.FR.20"""
    charge = Charge(rules(start=set(start), stop=set(stop)))
    for step in steps:
        perform_step(charge, step)
        state = charge.state
        if state.transaction is None or state.transaction.ending is not None:
            continue
        events = [event for event in charge.events if event.transaction_id == state.transaction.id]
        if state.authorization is not None:
            assert any(event.id_token == state.authorization.id_token for event in events), step
        if ev_connected(state):
            assert any(event.evse is not None and event.evse.connector_id is not None for event in events), step


def test_random_steps_reach_charging_and_a_pause() -> None:
    """Otherwise these properties, and those of test_transaction, would not cover energy flow."""

    def charges_and_pauses(steps: list[str]) -> bool:
        charge, flowed = Charge(rules()), False
        for step in steps:
            perform_step(charge, step)
            flowed |= energy_flows(charge.state)
        return flowed and not energy_flows(charge.state) and charge.state.transaction is not None

    assert len(find(STEPS, charges_and_pauses, settings=examples(1_000))) >= 6
