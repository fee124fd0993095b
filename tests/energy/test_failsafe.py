"""What holds while the grid meter is silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.failsafe import HOLD_S, MINIMUM_AFTER_S, PAUSE_AFTER_S, STALE_AFTER_S, FailsafeSteps, silence_s

amperes = st.floats(0, 80)
seconds = st.floats(0, 1e6)


@given(amperes, amperes, seconds)
def test_silence_never_gives_more_than_the_last_sample(last_a: float, safe_a: float, silent_s: float) -> None:
    assert 0.0 <= FailsafeSteps(safe_a).limit_a(last_a, silent_s) <= last_a + 1e-9


@given(amperes, amperes, seconds, seconds)
def test_a_longer_silence_never_gives_more(last_a: float, safe_a: float, first_s: float, second_s: float) -> None:
    shorter_s, later_s = sorted((first_s, second_s))
    assert FailsafeSteps(safe_a).limit_a(last_a, later_s) <= FailsafeSteps(safe_a).limit_a(last_a, shorter_s) + 1e-9


@given(amperes, amperes, st.floats(STALE_AFTER_S, MINIMUM_AFTER_S - 1))
def test_a_stale_source_leaves_no_more_than_the_safe_current(last_a: float, safe_a: float, silent_s: float) -> None:
    """Enedis CPT_54E §9.4"""
    assert FailsafeSteps(safe_a).limit_a(last_a, silent_s) == min(last_a, safe_a)


@given(amperes, amperes, st.floats(MINIMUM_AFTER_S, PAUSE_AFTER_S - 1))
def test_a_broken_source_leaves_the_least_that_charges(last_a: float, safe_a: float, silent_s: float) -> None:
    assert FailsafeSteps(safe_a).limit_a(last_a, silent_s) == min(last_a, safe_a, 6.0)


@given(amperes, amperes, st.floats(PAUSE_AFTER_S, 1e9))
def test_a_silent_source_always_ends_in_a_pause(last_a: float, safe_a: float, silent_s: float) -> None:
    assert FailsafeSteps(safe_a).limit_a(last_a, silent_s) == 0.0


def test_the_installer_may_leave_the_last_rung_out() -> None:
    assert FailsafeSteps(16.0, pause_after_s=None).limit_a(32.0, 1e9) == 6.0


@given(amperes, amperes, st.floats(0, HOLD_S))
def test_a_short_silence_changes_nothing(last_a: float, safe_a: float, silent_s: float) -> None:
    assert FailsafeSteps(safe_a).limit_a(last_a, silent_s) == last_a


@pytest.mark.parametrize(("silent_s", "limit_a"), [(5.0, 26.0), (6.0, 22.0), (7.5, 16.0), (9.0, 10.0), (10.0, 6.0)])
def test_in_between_it_is_a_straight_ramp(silent_s: float, limit_a: float) -> None:
    assert FailsafeSteps(6.0).limit_a(26.0, silent_s) == pytest.approx(limit_a)


@given(amperes, seconds)
def test_before_the_first_sample_there_is_never_more_than_the_safe_current(safe_a: float, waiting_s: float) -> None:
    assert FailsafeSteps(safe_a).limit_before_sample_a(waiting_s) <= safe_a
    assert FailsafeSteps(safe_a).limit_before_sample_a(0.0) == safe_a


@given(amperes, amperes, st.floats(0, PAUSE_AFTER_S * 2))
def test_between_the_rungs_nothing_changes_but_on_the_ramp(last_a: float, safe_a: float, silent_s: float) -> None:
    failsafe = FailsafeSteps(safe_a)
    step_s = failsafe.next_step_s(silent_s)
    if step_s is None:
        assert failsafe.limit_a(last_a, silent_s) == failsafe.limit_a(last_a, 1e9)
    elif silent_s >= STALE_AFTER_S:
        assert failsafe.limit_a(last_a, silent_s) == failsafe.limit_a(last_a, step_s - 1e-3)


@pytest.mark.parametrize(
    ("age_s", "period_s", "silent_s"), [(0.5, 1.0, 0.5), (10.0, 1.0, 10.0), (9.9, 10.0, 0.9), (19.0, 10.0, 10.0)]
)
def test_a_slow_source_is_silent_only_when_its_next_sample_is_late(
    age_s: float, period_s: float, silent_s: float
) -> None:
    assert silence_s(age_s, period_s) == pytest.approx(silent_s)
