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
    CommissioningFinding,
    CommissioningStep,
    Installation,
    StepOutcome,
    StepResult,
    breaker_result,
    clamps_result,
    contact_result,
    inapplicable_reason,
    open_steps,
    step_preconditions,
    wiring_result,
    with_untested_clamps,
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


def finding(
    step: CommissioningStep, outcome: StepOutcome = StepOutcome.PASSED, there: Installation = FULL
) -> CommissioningFinding:
    """An installer's finding of a step, with this outcome."""
    return CommissioningFinding(step, StepResult(outcome), AT, "installer", step_preconditions(step, there))


def test_where_nothing_but_the_station_is_installed_the_other_steps_do_not_apply_and_say_why() -> None:
    applying = [step for step in CommissioningStep if inapplicable_reason(step, BARE) is None]
    assert applying == [
        CommissioningStep.IDENTITY,
        CommissioningStep.SITE,
        CommissioningStep.BREAKER,
        CommissioningStep.WIRING,
        CommissioningStep.RESIDUAL,
        CommissioningStep.TEST_SESSION,
    ]
    assert inapplicable_reason(CommissioningStep.CLAMPS, BARE) == "no current transformers are configured"
    assert [step for step in CommissioningStep if inapplicable_reason(step, FULL) is not None] == []


@given(st.sampled_from(CommissioningStep), st.sampled_from([StepOutcome.FAILED, StepOutcome.BEGUN]))
def test_a_step_that_failed_or_is_half_done_hinders_the_end(step: CommissioningStep, outcome: StepOutcome) -> None:
    findings = {each: finding(each) for each in CommissioningStep}
    assert open_steps(FULL, findings) == []
    assert open_steps(FULL, findings | {step: finding(step, outcome)}) == [step]


@given(st.sampled_from(CommissioningStep))
def test_what_is_a_matter_of_safety_cannot_be_left_out(step: CommissioningStep) -> None:
    findings = {each: finding(each) for each in CommissioningStep} | {step: finding(step, StepOutcome.SKIPPED)}
    assert (open_steps(FULL, findings) == []) is (step in SKIPPABLE)
    safety = {
        CommissioningStep.BREAKER,
        CommissioningStep.WIRING,
        CommissioningStep.GRID_CONTACT,
        CommissioningStep.LIMITS,
        CommissioningStep.RESIDUAL,
        CommissioningStep.SHUNT_TRIP,
    }
    assert SKIPPABLE.isdisjoint(safety)


def test_a_selector_that_was_turned_since_opens_the_breakers_step_again() -> None:
    findings = {each: finding(each) for each in CommissioningStep}
    turned = Installation("BORNE-1", 32.0, "wss://csms.example", "ct", 3, "closed-dims 5", "40 6", True, (1,))
    assert open_steps(turned, findings) == [CommissioningStep.BREAKER]


def test_another_polarity_opens_the_contacts_step_again() -> None:
    findings = {each: finding(each) for each in CommissioningStep}
    reversed_polarity = Installation("BORNE-1", 16.0, "wss://csms.example", "ct", 3, "open-dims 5", "40 6", True, (1,))
    assert open_steps(reversed_polarity, findings) == [CommissioningStep.GRID_CONTACT]


@given(st.floats(6, 125), st.sampled_from([32.0, 25.0, 20.0, 16.0, 12.0, 8.0]))
def test_the_selector_never_allows_more_than_the_breaker_carries(rating_a: float, selector_a: float) -> None:
    passed = breaker_result(rating_a, "C", selector_a).outcome is StepOutcome.PASSED
    assert passed is (selector_a <= rating_a)


def test_a_selector_that_nobody_knows_is_no_passed_test() -> None:
    assert breaker_result(32, "C", None).outcome is StepOutcome.FAILED


@pytest.mark.parametrize(("size", "torque"), [(2.5, 2.26), (4.0, 2.26), (6.0, 2.82), (10.0, 4.0), (16.0, 4.0)])
def test_the_card_of_torques_is_evidence(size: float, torque: float) -> None:
    trial = wiring_result(size, terminals=True, cover=True)
    assert trial.outcome is StepOutcome.PASSED
    assert (trial.evidence["torque_nm"], trial.evidence["cover_screws_nm"]) == (torque, 0.5)
    assert len(TORQUES_NM) == 5
    assert wiring_result(size, terminals=True, cover=False).reason == "the cover screws are not tightened"


def test_a_contact_passes_when_both_ways_are_seen_and_the_limit_follows() -> None:
    first = contact_result(None, dims=True, observed=True, limited=True, at=AT)
    assert first.outcome is StepOutcome.BEGUN
    again = contact_result(first, dims=True, observed=True, limited=True, at=AT)
    assert again.outcome is StepOutcome.BEGUN, "the same way twice is one way"
    both = contact_result(again, dims=False, observed=False, limited=False, at=AT)
    assert both.outcome is StepOutcome.PASSED
    assert set(both.evidence) == {"dimmed", "free"}


def test_a_contact_of_the_wrong_polarity_fails_and_what_was_seen_before_is_worth_nothing() -> None:
    wrong = contact_result(None, dims=True, observed=False, limited=False, at=AT)
    assert wrong.outcome is StepOutcome.FAILED
    assert wrong.reason is not None
    assert "polarity" in wrong.reason
    assert contact_result(wrong, dims=False, observed=False, limited=False, at=AT).outcome is StepOutcome.BEGUN


def test_a_limit_that_does_not_follow_the_contact_fails() -> None:
    assert contact_result(None, dims=True, observed=True, limited=False, at=AT).outcome is StepOutcome.FAILED


def test_clamps_that_move_with_their_load_pass() -> None:
    trial = clamps_result([1.0, 2.0, 3.0], [11.2, 2.1, 3.0], [10.0, 0.0, 0.0], signed=True)
    assert trial.outcome is StepOutcome.PASSED


@pytest.mark.parametrize(
    ("after_a", "why"),
    [
        ([-9.0, 2.0, 3.0], "CT1 is mounted in reverse"),
        ([1.0, 12.0, 3.0], "CT1 shows 0.0 A for a load of 10.0 A; CT2 responds to a load on another phase"),
        ([3.0, 2.0, 3.0], "CT1 shows 2.0 A for a load of 10.0 A"),
    ],
)
def test_a_clamp_that_is_turned_round_swapped_or_of_another_kind_is_named(after_a: list[float], why: str) -> None:
    trial = clamps_result([1.0, 2.0, 3.0], after_a, [10.0, 0.0, 0.0], signed=True)
    assert (trial.outcome, trial.reason) == (StepOutcome.FAILED, why)


def test_each_clamp_has_to_move_with_a_load_of_its_own_phase() -> None:
    """One that is not plugged in moves with no load either: the house would draw on a phase that nobody sees."""
    first: Evidence = {"without_a": [1.0, 2.0, 3.0], "car_a": [0.0, 0.0, 0.0]}
    first_clamp = with_untested_clamps(
        clamps_result([1.0, 2.0, 3.0], [11.0, 2.0, 3.0], [10.0, 0.0, 0.0], signed=True), first, [10.0, 0.0, 0.0], 3
    )
    assert (first_clamp.outcome, first_clamp.reason) == (
        StepOutcome.BEGUN,
        "no load has been measured yet on the phase of CT 2, 3",
    )
    remaining_a = [0.0, 8.0, 8.0]
    loose = clamps_result([1.0, 2.0, 3.0], [1.0, 10.0, 3.0], remaining_a, signed=True)
    assert (
        with_untested_clamps(loose, first_clamp.evidence, remaining_a, 3).reason
        == "CT3 shows 0.0 A for a load of 8.0 A"
    )
    complete = clamps_result([1.0, 2.0, 3.0], [1.0, 10.0, 11.0], remaining_a, signed=True)
    assert with_untested_clamps(complete, first_clamp.evidence, remaining_a, 3).outcome is StepOutcome.PASSED
    alone_a = [10.0, 0.0, 0.0]
    single = clamps_result([1.0, 0.0, 0.0], [11.0, 0.0, 0.0], alone_a, signed=True)
    assert with_untested_clamps(single, first, alone_a, 1).outcome is StepOutcome.PASSED, (
        "a house with one phase has one clamp"
    )


def test_a_load_that_drowns_in_the_noise_proves_nothing() -> None:
    assert clamps_result([1.0] * 3, [1.5, 1.0, 1.0], [0.5, 0.0, 0.0], signed=True).outcome is StepOutcome.FAILED
