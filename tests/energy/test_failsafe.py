"""What holds while the grid meter is silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.failsafe import HOLD_S, STALE_AFTER_S, limit_in_silence

amperes = st.floats(0, 80)
seconds = st.floats(0, 1e6)


@given(amperes, amperes, seconds)
def test_silence_never_gives_more_than_the_last_sample_and_never_less_than_both(
    last_a: float, safe_a: float, silent_s: float
) -> None:
    limit_a = limit_in_silence(last_a, safe_a, silent_s)
    assert limit_a <= last_a + 1e-9
    assert limit_a >= min(last_a, safe_a)


@given(amperes, amperes, seconds, seconds)
def test_a_longer_silence_never_gives_more(last_a: float, safe_a: float, one_s: float, other_s: float) -> None:
    sooner_s, later_s = sorted((one_s, other_s))
    assert limit_in_silence(last_a, safe_a, later_s) <= limit_in_silence(last_a, safe_a, sooner_s) + 1e-9


@given(amperes, amperes, st.floats(STALE_AFTER_S, 1e6))
def test_a_stale_source_leaves_no_more_than_the_safe_current(last_a: float, safe_a: float, silent_s: float) -> None:
    """Enedis CPT_54E §9.4"""
    assert limit_in_silence(last_a, safe_a, silent_s) == min(last_a, safe_a)


@given(amperes, amperes, st.floats(0, HOLD_S))
def test_a_short_silence_changes_nothing(last_a: float, safe_a: float, silent_s: float) -> None:
    assert limit_in_silence(last_a, safe_a, silent_s) == last_a


@pytest.mark.parametrize(("silent_s", "limit_a"), [(5.0, 26.0), (6.0, 22.0), (7.5, 16.0), (9.0, 10.0), (10.0, 6.0)])
def test_in_between_it_is_a_straight_ramp(silent_s: float, limit_a: float) -> None:
    assert limit_in_silence(26.0, 6.0, silent_s) == pytest.approx(limit_a)
