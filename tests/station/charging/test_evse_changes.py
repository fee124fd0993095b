"""How each event changes an EVSE's state: single transitions, without a board, a meter or a clock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from station.charging.evse_changes import (
    EndConditions,
    apply_authorization,
    apply_energy_refusal,
    apply_fault,
    apply_observation,
    apply_reading,
    reset_state,
)
from station.charging.evse_state import Authorization, ChangeCause, EvseState, OpenTransaction
from station.core.hardware.board import NO_OBSERVATION, Observation
from station.core.model import Fault, PilotState, StoppedReason, TriggerReason
from tests import fakes

NONE = EndConditions(on_meter_failure=False, on_disconnection=False, unlock_on_disconnection=False)
UNPLUGGED = replace(NO_OBSERVATION, pilot=PilotState.A)
PLUGGED = replace(NO_OBSERVATION, pilot=PilotState.B, cable_plugged=True)
CHARGING = EvseState(
    observation=replace(PLUGGED, pilot=PilotState.C),
    authorization=Authorization(fakes.CARD),
    transaction=OpenTransaction("tx", fakes.NOON),
)


@pytest.mark.parametrize(
    ("before", "observation", "trigger"),
    [
        (UNPLUGGED, PLUGGED, TriggerReason.CABLE_PLUGGED_IN),
        (PLUGGED, UNPLUGGED, TriggerReason.EV_COMMUNICATION_LOST),
        (UNPLUGGED, replace(UNPLUGGED, bay_occupied=True), TriggerReason.EV_DETECTED),
        (replace(UNPLUGGED, bay_occupied=True), UNPLUGGED, TriggerReason.EV_DEPARTED),
        (PLUGGED, replace(PLUGGED, pilot=PilotState.C), None),
    ],
)
def test_what_the_board_sees_has_its_trigger_reason(
    before: Observation, observation: Observation, trigger: TriggerReason | None
) -> None:
    after, cause = apply_observation(EvseState(observation=before), observation, NONE)
    assert after.observation == observation
    assert (cause.trigger if cause is not None else None) is trigger


def test_a_residual_current_that_the_board_sees_no_more_stays_on_record() -> None:
    leaking = replace(CHARGING.observation, faults=frozenset({Fault.DC_RESIDUAL_CURRENT}))
    after, cause = apply_observation(CHARGING, leaking, NONE)
    assert cause == ChangeCause(
        TriggerReason.ABNORMAL_CONDITION, StoppedReason.GROUND_FAULT, deauthorizes=True, ends_transaction=True
    )
    assert after.authorization is None
    recovered, cause = apply_observation(after, CHARGING.observation, NONE)
    assert recovered.faults == {Fault.DC_RESIDUAL_CURRENT}
    assert cause is None


@pytest.mark.parametrize("stops", [True, False])
def test_a_vehicle_that_disconnects_ends_the_authorization_where_the_setting_says_so(stops: bool) -> None:
    after, cause = apply_observation(
        CHARGING, replace(PLUGGED, pilot=PilotState.A), EndConditions(False, stops, unlock_on_disconnection=False)
    )
    assert (after.authorization is None) is stops
    assert cause is not None
    assert cause.stopped_reason is (StoppedReason.EV_DISCONNECTED if stops else None)
    assert after.lock_held_for == (fakes.CARD if stops else None)  # E09.FR.03


@pytest.mark.parametrize("ends", [True, False])
def test_a_meter_that_fails_ends_a_transaction_only_where_the_setting_says_so(ends: bool) -> None:
    after, cause = apply_fault(CHARGING, Fault.METER, True, EndConditions(ends, False, False))
    assert after.faults == {Fault.METER}
    assert (cause is not None) is ends
    assert (after.authorization is None) is ends
    recovered, cause = apply_fault(after, Fault.METER, False, EndConditions(ends, False, False))
    assert (recovered.faults, cause) == (frozenset(), None)


@pytest.mark.parametrize(
    ("register_wh", "beyond_wh", "limit_wh", "refused"),
    [(1000.0, 500.0, 1500.0, False), (1000.0, 0.0, None, True), (None, 500.0, None, True)],
)
def test_a_refused_id_has_its_grace_only_where_a_register_counts_it(
    register_wh: float | None, beyond_wh: float, limit_wh: float | None, refused: bool
) -> None:
    """E05.FR.02, E05.FR.03"""
    after = apply_energy_refusal(CHARGING, register_wh, beyond_wh=beyond_wh).transaction
    assert after is not None
    assert (after.energy_limit_wh, after.energy_refused) == (limit_wh, refused)


def test_the_grace_is_used_up_at_its_register_and_a_new_authorization_knows_nothing_of_it() -> None:
    graced = apply_energy_refusal(CHARGING, 1000.0, beyond_wh=500.0)
    assert apply_reading(graced, fakes.reading(1499.9, 16.0)).transaction == graced.transaction
    spent = apply_reading(graced, fakes.reading(1500.0, 16.0))
    assert spent.draw_a == 16.0
    assert spent.transaction is not None
    assert spent.transaction.energy_refused
    reauthorized = apply_authorization(spent, Authorization(fakes.OTHER_CARD)).transaction
    assert reauthorized is not None
    assert (reauthorized.energy_limit_wh, reauthorized.energy_refused) == (None, False)


def test_a_state_reset_clears_latched_faults_and_keeps_what_still_applies() -> None:
    latched = frozenset({Fault.OVER_CURRENT, Fault.DIODE, Fault.CONTACTOR_WELDED, Fault.METER})
    after = reset_state(replace(CHARGING, faults=latched, lock_held_for=fakes.CARD))
    assert after.faults == {Fault.METER}
    assert (after.authorization, after.lock_held_for) == (None, None)
