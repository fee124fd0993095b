"""When a shortage becomes a pause, and when a pause ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from energy.pausing import PAUSE_AFTER_S, RESUME_A, RESUME_AFTER_S, Pause, let_pass
from energy.sharing import MINIMUM_A

lefts = st.lists(st.tuples(st.sampled_from([0.0, 5.9, 6.0, 7.4, 7.5, 16.0]), st.booleans()), max_size=600)


def run(left_a: list[float], *, charging: bool = True, pause: Pause | None = None) -> list[float]:
    """What a vehicle may have, second by second."""
    pause, passed = pause or Pause(), list[float]()
    for second, current_a in enumerate(left_a):
        pause, allowed_a = let_pass(pause, current_a, charging, float(second))
        passed.append(allowed_a)
    return passed


@given(lefts)
def test_nobody_ever_gets_something_between_0_and_6_a(seconds: list[tuple[float, bool]]) -> None:
    pause = Pause()
    for second, (left_a, charging) in enumerate(seconds):
        pause, allowed_a = let_pass(pause, left_a, charging, float(second))
        assert allowed_a == 0.0 or allowed_a >= MINIMUM_A
        assert allowed_a <= max(left_a, MINIMUM_A)


@given(lefts)
def test_a_shortage_is_bridged_for_a_few_seconds_only(seconds: list[tuple[float, bool]]) -> None:
    pause, short_s = Pause(), 0
    for second, (left_a, charging) in enumerate(seconds):
        pause, allowed_a = let_pass(pause, left_a, charging, float(second))
        short_s = short_s + 1 if left_a < MINIMUM_A and allowed_a > left_a else 0
        assert short_s <= PAUSE_AFTER_S


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
    paused = Pause(paused=True)
    wait = int(RESUME_AFTER_S)
    assert run([RESUME_A] * (wait + 1), charging=False, pause=paused) == [0.0] * wait + [RESUME_A]


def test_a_dip_during_a_pause_starts_the_wait_anew() -> None:
    paused = Pause(paused=True)
    wait = int(RESUME_AFTER_S)
    passed = run([16.0] * (wait - 1) + [7.0] + [16.0] * (wait + 1), charging=False, pause=paused)
    assert passed == [0.0] * (2 * wait) + [16.0]
