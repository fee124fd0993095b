"""When a value triggers a monitor."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.maintenance.monitoring.evaluation import (
    Evaluation,
    Occurrence,
    evaluate,
    initial_state,
    parse_number,
    replaced_state,
)
from station.maintenance.monitoring.monitor import (
    EventTrigger,
    Monitor,
    MonitorState,
    MonitorType,
    VariableAddress,
)
from tests.rows import each_row

THING = VariableAddress("Thing", "Level")
UPPER, LOWER, DELTA = MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD, MonitorType.DELTA
VALUES = st.decimals(-1_000, 1_000, places=1)


def monitor(kind: MonitorType, value: float) -> Monitor:
    return Monitor(1, THING, kind, value, 5)


def triggered(subject: Monitor, *values: str, numeric: bool = True) -> list[tuple[str, bool | None]]:
    """Value and cleared flag of each occurrence in a sequence of values; the monitor is set at the first one."""
    state = initial_state(subject, values[0], numeric=numeric)
    found: list[tuple[str, bool | None]] = []
    for value in values:
        outcome = evaluate(subject, state, value, numeric=numeric)
        state = outcome.state
        if outcome.occurrence is not None:
            assert outcome.occurrence.trigger is (
                EventTrigger.DELTA if subject.type is DELTA else EventTrigger.ALERTING
            )
            found.append((value, outcome.occurrence.cleared))
    return found


def test_an_upper_threshold_is_exceeded_above_it_and_cleared_on_it() -> None:
    """N07.FR.02, N07.FR.16: not on the threshold."""
    assert triggered(monitor(UPPER, 10), "9", "10", "10.1", "11", "10", "10.5") == [
        ("10.1", False),
        ("10", True),
        ("10.5", False),
    ]


def test_a_lower_threshold_is_exceeded_below_it_and_cleared_on_it() -> None:
    """N07.FR.02, N07.FR.17."""
    assert triggered(monitor(LOWER, 10), "11", "10", "9.9", "9", "10") == [("9.9", False), ("10", True)]


def test_a_threshold_that_is_exceeded_when_it_is_set_triggers_at_once() -> None:
    """N07.FR.16."""
    assert triggered(monitor(UPPER, 10), "20") == [("20", False)]


def test_a_number_must_change_by_more_than_the_difference_since_the_last_event() -> None:
    """N07.FR.18: by strictly more, in either direction, and in decimal numbers."""
    assert triggered(monitor(DELTA, 0.1), "1.0", "1.1", "1.2", "1.1", "1.09") == [("1.2", None), ("1.09", None)]
    assert triggered(monitor(DELTA, 5), "0", "3", "5", "-5", "-6") == [("-6", None)]
    assert triggered(monitor(DELTA, 0), "0", "0.0", "0.1") == [("0.1", None)]


@pytest.mark.parametrize("difference", [0.0, 1.0, 1_000.0])
def test_every_change_of_a_text_triggers_whatever_the_difference_is(difference: float) -> None:
    """N07.FR.19."""
    changes = triggered(monitor(DELTA, difference), "Idle", "Idle", "Charging", "", "Idle", numeric=False)
    assert changes == [("Charging", None), ("", None), ("Idle", None)]


@each_row("kind", [UPPER, LOWER, DELTA])
@each_row("unknown", ["", "NaN", "sNaN", "Infinity", "x", "9e999999", "-9e999999", "1e-999999"])
def test_an_unknown_number_changes_nothing(kind: MonitorType, unknown: str) -> None:
    for state in (MonitorState(exceeded=True), MonitorState(reference="1")):
        outcome = evaluate(monitor(kind, 5), state, unknown, numeric=True)
        assert outcome.occurrence is None
        assert kind is DELTA or outcome.state == state
    assert parse_number(unknown) is None


def test_a_delta_that_did_not_know_the_value_counts_from_the_first_one() -> None:
    assert triggered(monitor(DELTA, 1), "", "5", "6", "6.5") == [("6.5", None)]


@pytest.mark.parametrize("kind", [MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED])
def test_no_value_triggers_a_periodic_monitor(kind: MonitorType) -> None:
    assert triggered(monitor(kind, 1), "1", "100") == []


@pytest.mark.parametrize(
    ("former", "state", "replacement", "value", "event", "exceeded"),
    [
        (20, False, 10, "15", False, True),  # exceeded by the new threshold
        (10, True, 20, "15", True, False),  # the new threshold clears the old one
        (10, True, 12, "15", False, True),  # still exceeded: the CSMS is notified of the new threshold
        (20, False, 30, "15", None, False),
        (10, True, 20, "", None, False),  # unknown
    ],
)
def test_a_replaced_threshold_is_compared_with_the_present_value(
    former: float, state: bool, replacement: float, value: str, event: bool | None, exceeded: bool
) -> None:
    """N07.FR.11"""
    outcome = replaced_state(
        monitor(UPPER, former), MonitorState(exceeded=state), monitor(UPPER, replacement), value, numeric=True
    )
    assert outcome.state.exceeded is exceeded
    assert (outcome.occurrence.cleared if outcome.occurrence is not None else None) is event


def test_a_monitor_of_another_type_restarts() -> None:
    outcome = replaced_state(monitor(UPPER, 1), MonitorState(exceeded=True), monitor(DELTA, 1), "5", numeric=True)
    assert outcome.occurrence is None
    assert outcome.state == MonitorState(reference="5")


@given(st.sampled_from([UPPER, LOWER]), VALUES, st.lists(VALUES, min_size=1))
def test_exceeded_and_cleared_alternate_and_the_last_one_says_how_it_is(
    kind: MonitorType, limit: Decimal, values: list[Decimal]
) -> None:
    events = [cleared for _, cleared in triggered(monitor(kind, float(limit)), *map(str, values))]
    assert events == [bool(number % 2) for number in range(len(events))]
    exceeded = values[-1] > limit if kind is UPPER else values[-1] < limit
    assert exceeded is (len(events) % 2 == 1)


@pytest.mark.parametrize(
    ("kind", "limit", "value", "target", "exceeded"),
    [
        (MonitorType.TARGET_DELTA, 5.0, "105", "100", False),
        (MonitorType.TARGET_DELTA, 5.0, "105.1", "100", True),
        (MonitorType.TARGET_DELTA, 5.0, "94.9", "100", True),
        (MonitorType.TARGET_DELTA_RELATIVE, 0.1, "110", "100", False),
        (MonitorType.TARGET_DELTA_RELATIVE, 0.1, "111", "100", True),
        (MonitorType.TARGET_DELTA_RELATIVE, 0.1, "-111", "-100", True),
        (MonitorType.TARGET_DELTA_RELATIVE, 0.1, "1", "0", True),
    ],
)
def test_a_difference_to_the_target_is_reported_and_cleared(
    kind: MonitorType, limit: float, value: str, target: str, *, exceeded: bool
) -> None:
    """N07.FR.02, N07.FR.22, N07.FR.23."""
    subject = monitor(kind, limit)
    outcome = evaluate(subject, MonitorState(), value, numeric=True, target=target)
    assert outcome.state.exceeded is exceeded
    expected = Occurrence(EventTrigger.ALERTING, cleared=False) if exceeded else None
    assert outcome.occurrence == expected
    back = evaluate(subject, outcome.state, target, numeric=True, target=target)
    assert (back.occurrence is not None) is exceeded
    assert evaluate(subject, outcome.state, value, numeric=True, target="") == Evaluation(outcome.state), "unknown"
