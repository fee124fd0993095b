"""The steps of commissioning as a pure model: which apply, what each test concludes, what hinders the end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.maintenance.commissioning.problems import Evidence
from station.maintenance.commissioning.steps import (
    SKIPPABLE,
    TORQUES_NM,
    Finding,
    Installation,
    Outcome,
    Step,
    Trial,
    basis,
    breaker_trial,
    clamps_left,
    clamps_trial,
    contact_trial,
    inapplicable,
    left_open,
    wiring_trial,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
BARE = Installation("BORNE-1", 16.0)
FULL = Installation(
    "BORNE-1",
    16.0,
    csms_url="wss://csms.example",
    meter="ct",
    clamps=3,
    contact="closed-dims 5",
    limits="40 6",
    shunt_trip=True,
    learns=(1,),
)


def found(step: Step, outcome: Outcome = Outcome.PASSED, there: Installation = FULL) -> Finding:
    """What an installer found."""
    return Finding(step, Trial(outcome), AT, "installer", basis(step, there))


def test_where_nothing_but_the_station_is_installed_the_other_steps_do_not_apply_and_say_why() -> None:
    applying = [step for step in Step if inapplicable(step, BARE) is None]
    assert applying == [
        Step.IDENTITY,
        Step.SITE,
        Step.BREAKER,
        Step.WIRING,
        Step.RESIDUAL,
        Step.TEST_SESSION,
    ]
    assert inapplicable(Step.CLAMPS, BARE) == "there are no current transformers"
    assert [step for step in Step if inapplicable(step, FULL) is not None] == []


@given(st.sampled_from(Step), st.sampled_from([Outcome.FAILED, Outcome.BEGUN]))
def test_a_step_that_failed_or_is_half_done_hinders_the_end(step: Step, outcome: Outcome) -> None:
    findings = {one: found(one) for one in Step}
    assert left_open(FULL, findings) == []
    assert left_open(FULL, findings | {step: found(step, outcome)}) == [step]


@given(st.sampled_from(Step))
def test_what_is_a_matter_of_safety_cannot_be_left_out(step: Step) -> None:
    findings = {one: found(one) for one in Step} | {step: found(step, Outcome.SKIPPED)}
    assert (left_open(FULL, findings) == []) is (step in SKIPPABLE)
    safety = {Step.BREAKER, Step.WIRING, Step.GRID_CONTACT, Step.LIMITS, Step.RESIDUAL, Step.SHUNT_TRIP}
    assert SKIPPABLE.isdisjoint(safety)


def test_a_selector_that_was_turned_since_opens_the_breakers_step_again() -> None:
    findings = {one: found(one) for one in Step}
    turned = Installation("BORNE-1", 32.0, "wss://csms.example", "ct", 3, "closed-dims 5", "40 6", True, (1,))
    assert left_open(turned, findings) == [Step.BREAKER]


def test_another_polarity_opens_the_contacts_step_again() -> None:
    findings = {one: found(one) for one in Step}
    other = Installation("BORNE-1", 16.0, "wss://csms.example", "ct", 3, "open-dims 5", "40 6", True, (1,))
    assert left_open(other, findings) == [Step.GRID_CONTACT]


@given(st.floats(6, 125), st.sampled_from([32.0, 25.0, 20.0, 16.0, 12.0, 8.0]))
def test_the_selector_never_allows_more_than_the_breaker_carries(rating_a: float, selector_a: float) -> None:
    passed = breaker_trial(rating_a, "C", selector_a).outcome is Outcome.PASSED
    assert passed is (selector_a <= rating_a)


def test_a_selector_that_nobody_knows_is_no_passed_test() -> None:
    assert breaker_trial(32, "C", None).outcome is Outcome.FAILED


@pytest.mark.parametrize(("size", "torque"), [(2.5, 2.26), (4.0, 2.26), (6.0, 2.82), (10.0, 4.0), (16.0, 4.0)])
def test_the_card_of_torques_is_evidence(size: float, torque: float) -> None:
    trial = wiring_trial(size, terminals=True, cover=True)
    assert trial.outcome is Outcome.PASSED
    assert (trial.evidence["torque_nm"], trial.evidence["cover_screws_nm"]) == (torque, 0.5)
    assert len(TORQUES_NM) == 5
    assert wiring_trial(size, terminals=True, cover=False).reason == "to be tightened: cover screws"


def test_a_contact_passes_when_both_ways_are_seen_and_the_limit_follows() -> None:
    first = contact_trial(None, dims=True, seen=True, limited=True, at=AT)
    assert first.outcome is Outcome.BEGUN
    again = contact_trial(first, dims=True, seen=True, limited=True, at=AT)
    assert again.outcome is Outcome.BEGUN, "the same way twice is one way"
    both = contact_trial(again, dims=False, seen=False, limited=False, at=AT)
    assert both.outcome is Outcome.PASSED
    assert set(both.evidence) == {"dimmed", "free"}


def test_a_contact_of_the_wrong_polarity_fails_and_what_was_seen_before_is_worth_nothing() -> None:
    wrong = contact_trial(None, dims=True, seen=False, limited=False, at=AT)
    assert wrong.outcome is Outcome.FAILED
    assert wrong.reason is not None
    assert "polarity" in wrong.reason
    assert contact_trial(wrong, dims=False, seen=False, limited=False, at=AT).outcome is Outcome.BEGUN


def test_a_limit_that_does_not_follow_the_contact_fails() -> None:
    assert contact_trial(None, dims=True, seen=True, limited=False, at=AT).outcome is Outcome.FAILED


def test_clamps_that_move_with_their_load_pass() -> None:
    trial = clamps_trial([1.0, 2.0, 3.0], [11.2, 2.1, 3.0], [10.0, 0.0, 0.0], signed=True)
    assert trial.outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("after_a", "why"),
    [
        ([-9.0, 2.0, 3.0], "CT1 is turned round"),
        ([1.0, 12.0, 3.0], "CT1 shows 0.0 A of a load of 10.0 A; CT2 moves with a load that is on another phase"),
        ([3.0, 2.0, 3.0], "CT1 shows 2.0 A of a load of 10.0 A"),
    ],
)
def test_a_clamp_that_is_turned_round_swapped_or_of_another_kind_is_named(after_a: list[float], why: str) -> None:
    trial = clamps_trial([1.0, 2.0, 3.0], after_a, [10.0, 0.0, 0.0], signed=True)
    assert (trial.outcome, trial.reason) == (Outcome.FAILED, why)


def test_each_clamp_has_to_move_with_a_load_of_its_own_phase() -> None:
    """One that is not plugged in moves with no load either: the house would draw on a phase that nobody sees."""
    first: Evidence = {"without_a": [1.0, 2.0, 3.0], "car_a": [0.0, 0.0, 0.0]}
    one = clamps_left(
        clamps_trial([1.0, 2.0, 3.0], [11.0, 2.0, 3.0], [10.0, 0.0, 0.0], signed=True), first, [10.0, 0.0, 0.0], 3
    )
    assert (one.outcome, one.reason) == (Outcome.BEGUN, "no load was seen yet on the phase of CT 2, 3")
    others_a = [0.0, 8.0, 8.0]
    loose = clamps_trial([1.0, 2.0, 3.0], [1.0, 10.0, 3.0], others_a, signed=True)
    assert clamps_left(loose, one.evidence, others_a, 3).reason == "CT3 shows 0.0 A of a load of 8.0 A"
    whole = clamps_trial([1.0, 2.0, 3.0], [1.0, 10.0, 11.0], others_a, signed=True)
    assert clamps_left(whole, one.evidence, others_a, 3).outcome is Outcome.PASSED
    alone_a = [10.0, 0.0, 0.0]
    single = clamps_trial([1.0, 0.0, 0.0], [11.0, 0.0, 0.0], alone_a, signed=True)
    assert clamps_left(single, first, alone_a, 1).outcome is Outcome.PASSED, "a house with one phase has one clamp"


def test_a_load_that_drowns_in_the_noise_proves_nothing() -> None:
    assert clamps_trial([1.0] * 3, [1.5, 1.0, 1.0], [0.5, 0.0, 0.0], signed=True).outcome is Outcome.FAILED
