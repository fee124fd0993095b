"""When a shortage becomes a pause, and when a pause ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.pausing import (
    MAX_FAILURES,
    PAUSE_AFTER_S,
    RESUME_A,
    RESUME_AFTER_S,
    RESUME_TRIAL_S,
    SUSTAINABLE_PAUSE_AFTER_S,
    PauseState,
    pause_or_allow,
    start_pause,
)
from foundation.constants import MINIMUM_CURRENT_A

available_currents = st.lists(st.tuples(st.sampled_from([0.0, 5.9, 6.0, 7.4, 7.5, 16.0]), st.booleans()), max_size=600)
WAIT = int(RESUME_AFTER_S)


def run(
    available_a: list[float], *, charging: bool = True, pause: PauseState | None = None, begin_s: int = 0
) -> list[float]:
    """The allowed current of a vehicle, second by second."""
    pause, passed = pause or PauseState(), list[float]()
    for second, current_a in enumerate(available_a, begin_s):
        pause, allowed_a = pause_or_allow(pause, current_a, charging, float(second))
        passed.append(allowed_a)
    return passed


@given(available_currents)
def test_nobody_ever_gets_something_between_0_and_6_a(seconds: list[tuple[float, bool]]) -> None:
    pause = PauseState()
    for second, (available_a, charging) in enumerate(seconds):
        pause, allowed_a = pause_or_allow(pause, available_a, charging, float(second))
        assert allowed_a == 0.0 or allowed_a >= MINIMUM_CURRENT_A
        assert allowed_a <= max(available_a, MINIMUM_CURRENT_A)


@given(available_currents)
def test_a_shortage_is_bridged_for_a_few_seconds_only(seconds: list[tuple[float, bool]]) -> None:
    pause, short_s = PauseState(), 0
    for second, (available_a, charging) in enumerate(seconds):
        pause, allowed_a = pause_or_allow(pause, available_a, charging, float(second))
        short_s = short_s + 1 if available_a < MINIMUM_CURRENT_A and allowed_a > available_a else 0
        assert short_s <= PAUSE_AFTER_S


@given(available_currents)
def test_a_shortage_that_the_connection_bears_is_bridged_for_two_minutes_at_the_most(
    seconds: list[tuple[float, bool]],
) -> None:
    pause, short_s = PauseState(), 0
    for second, (available_a, charging) in enumerate(seconds):
        pause, allowed_a = pause_or_allow(
            pause, available_a, charging, float(second), max_shortage_s=SUSTAINABLE_PAUSE_AFTER_S
        )
        short_s = short_s + 1 if available_a < MINIMUM_CURRENT_A and allowed_a > available_a else 0
        assert allowed_a in (0.0, MINIMUM_CURRENT_A) or allowed_a == available_a
        assert short_s <= 120


def test_a_shortage_that_gets_worse_is_bridged_no_longer() -> None:
    pause, offers = PauseState(), list[float]()
    for second in range(40):
        bridges_s = SUSTAINABLE_PAUSE_AFTER_S if second < 30 else PAUSE_AFTER_S
        pause, allowed_a = pause_or_allow(pause, 3.0, True, float(second), max_shortage_s=bridges_s)
        offers.append(allowed_a)
    assert offers == [MINIMUM_CURRENT_A] * 30 + [0.0] * 10


@given(available_currents)
def test_no_pause_is_shorter_than_three_minutes(seconds: list[tuple[float, bool]]) -> None:
    pause, began_s = PauseState(), 0.0
    for second, (available_a, charging) in enumerate(seconds * 3):
        before = pause
        pause, _ = pause_or_allow(pause, available_a, charging, float(second))
        if pause.paused and not before.paused:
            began_s = float(second)
        if before.paused and not pause.paused:
            assert second - began_s >= RESUME_AFTER_S


def test_enough_passes_unchanged() -> None:
    assert run([6.0, 10.0, 32.0]) == [6.0, 10.0, 32.0]


def test_a_short_shortage_does_not_interrupt_a_charge() -> None:
    shortage = int(PAUSE_AFTER_S)
    assert run([16.0] + [3.0] * shortage + [16.0]) == [16.0] + [6.0] * shortage + [16.0]


def test_a_long_shortage_pauses_the_charge() -> None:
    assert run([0.0] * 30) == [6.0] * int(PAUSE_AFTER_S) + [0.0] * (30 - int(PAUSE_AFTER_S))


def test_a_vehicle_that_does_not_charge_yet_waits_and_starts_without_delay() -> None:
    assert run([5.9] * 30 + [6.0], charging=False) == [0.0] * 30 + [6.0]


def test_a_pause_ends_when_there_was_enough_for_long_enough() -> None:
    paused = PauseState(paused_at_s=0.0)
    assert run([RESUME_A] * (WAIT + 1), charging=False, pause=paused) == [0.0] * WAIT + [RESUME_A]


def test_a_dip_during_a_pause_restarts_the_wait() -> None:
    paused = PauseState(paused_at_s=0.0)
    passed = run([16.0] * (WAIT - 1) + [7.0] + [16.0] * (WAIT + 1), charging=False, pause=paused)
    assert passed == [0.0] * (2 * WAIT) + [16.0]


def test_each_pause_that_ended_too_soon_doubles_the_next() -> None:
    pause, now_s, lengths = PauseState(), 0.0, list[float]()
    for _ in range(6):
        pause = start_pause(pause, now_s)
        began_s = now_s
        while pause.paused:
            pause, _ = pause_or_allow(pause, 16.0, False, now_s)
            now_s += 1.0
        lengths.append(now_s - 1.0 - began_s)
        now_s += 20.0
    assert lengths == [180.0, 360.0, 720.0, 1440.0, 1440.0, 1440.0]
    assert lengths[-1] == RESUME_AFTER_S * 2**MAX_FAILURES


def test_a_charge_that_lasted_forgives() -> None:
    pause = PauseState(failures=2, resumed_at_s=0.0)
    assert start_pause(pause, RESUME_TRIAL_S - 1).failures == 3
    assert start_pause(pause, RESUME_TRIAL_S).failures == 0


def test_whether_there_is_enough_may_be_judged_elsewhere() -> None:
    paused = PauseState(paused_at_s=0.0, enough_since_s=0.0)
    assert pause_or_allow(paused, 6.0, False, RESUME_AFTER_S, enough=True) == (
        PauseState(resumed_at_s=RESUME_AFTER_S),
        6.0,
    )
    assert pause_or_allow(paused, 32.0, False, RESUME_AFTER_S, enough=False)[1] == 0.0


@pytest.mark.parametrize(
    ("pause", "next_s"),
    [
        (PauseState(), None),
        (PauseState(short_since_s=90.0), 100.0),
        (PauseState(short_since_s=90.0, max_shortage_s=SUSTAINABLE_PAUSE_AFTER_S), 210.0),
        (PauseState(paused_at_s=90.0), 280.0),
        (PauseState(paused_at_s=90.0, enough_since_s=95.0), 275.0),
        (PauseState(paused_at_s=90.0, enough_since_s=95.0, failures=1), 450.0),
    ],
)
def test_it_says_when_it_may_change(pause: PauseState, next_s: float | None) -> None:
    assert pause.next_change_s(100.0) == next_s
