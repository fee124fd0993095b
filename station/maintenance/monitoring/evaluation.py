"""Decides whether a value triggers a monitor (N07.FR.02, N07.FR.16 to N07.FR.19); pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import EventTrigger, Monitor, MonitorState, MonitorType

_TRUE = "true"
_MAX_EXPONENT = 400
"""of a number: beyond those of any float, and small enough that the difference of two numbers can be computed"""


class Occurrence(Frozen):
    """A monitor was triggered by a value."""

    trigger: EventTrigger
    cleared: bool | None = None
    """as `MonitoringEvent.cleared`"""


class Evaluation(Frozen):
    """The state of a monitor after a value, and what the value triggered; None: nothing."""

    state: MonitorState
    occurrence: Occurrence | None = None


def initial_state(monitor: Monitor, value: str, *, numeric: bool) -> MonitorState:
    """The state of a monitor that was just set: a Delta monitor counts from the present value."""
    if monitor.type is not MonitorType.DELTA or monitor.is_notification:
        return MonitorState()
    return MonitorState(reference=value if not numeric or parse_number(value) is not None else None)


def evaluate(monitor: Monitor, state: MonitorState, value: str, *, numeric: bool, target: str = "") -> Evaluation:
    """Compare a value with the state of a monitor; an unknown value of a numeric variable changes nothing.

    A periodic monitor is never triggered by a value. `target`: that of the variable, for TargetDelta and
    TargetDeltaRelative; empty: unknown, which changes nothing either.
    """
    if monitor.is_notification:
        return _threshold_evaluation(state, exceeded=value == _TRUE, trigger=EventTrigger.DELTA)  # TC_G_20_CS
    match monitor.type:
        case (
            MonitorType.UPPER_THRESHOLD
            | MonitorType.LOWER_THRESHOLD
            | MonitorType.TARGET_DELTA
            | MonitorType.TARGET_DELTA_RELATIVE
        ):
            exceeded = is_exceeded(monitor, value, target)
            return Evaluation(state) if exceeded is None else _threshold_evaluation(state, exceeded=exceeded)
        case MonitorType.DELTA:
            return _delta_evaluation(monitor, state, value, numeric=numeric)
        case MonitorType.PERIODIC | MonitorType.PERIODIC_CLOCK_ALIGNED:
            return Evaluation(state)


def replaced_state(
    former: Monitor, state: MonitorState, monitor: Monitor, value: str, *, numeric: bool, target: str = ""
) -> Evaluation:
    """The state of a monitor that replaces another one, and what the replacement triggers (N07.FR.11).

    A threshold that clears the former one triggers an event, and so does each one that the value exceeds. Otherwise
    the monitor starts as if it was just set.
    """
    exceeded = is_exceeded(monitor, value, target)
    if former.type is not monitor.type or exceeded is None:
        return Evaluation(initial_state(monitor, value, numeric=numeric))
    if exceeded:
        return Evaluation(MonitorState(exceeded=True), Occurrence(EventTrigger.ALERTING, cleared=False))
    return _threshold_evaluation(state, exceeded=False)


def is_exceeded(monitor: Monitor, value: str, target: str = "") -> bool | None:
    """Return whether a value is beyond a threshold, or too far from its target; None: unknown, or no such monitor.

    On the threshold itself it is not beyond it (N07.FR.16, N07.FR.17, N07.FR.22, N07.FR.23).
    """
    number, goal, limit = parse_number(value), parse_number(target), _exact_decimal(monitor.value)
    match monitor.type:
        case MonitorType.UPPER_THRESHOLD if number is not None:
            return number > limit
        case MonitorType.LOWER_THRESHOLD if number is not None:
            return number < limit
        case MonitorType.TARGET_DELTA if number is not None and goal is not None:
            return abs(number - goal) > limit
        case MonitorType.TARGET_DELTA_RELATIVE if number is not None and goal is not None:
            return abs(number - goal) > limit * abs(goal)
        case _:
            return None


def parse_number(text: str) -> Decimal | None:
    """Parse the text of a numeric value; None if it is empty, no finite number, or of an exorbitant size."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= _MAX_EXPONENT else None


def _threshold_evaluation(
    state: MonitorState, *, exceeded: bool, trigger: EventTrigger = EventTrigger.ALERTING
) -> Evaluation:
    if exceeded is state.exceeded:
        return Evaluation(state)
    return Evaluation(MonitorState(exceeded=exceeded), Occurrence(trigger, cleared=not exceeded))


def _delta_evaluation(monitor: Monitor, state: MonitorState, value: str, *, numeric: bool) -> Evaluation:
    if state.reference is None:
        return Evaluation(initial_state(monitor, value, numeric=numeric))
    if numeric:
        number, reference = parse_number(value), parse_number(state.reference)
        if number is None or reference is None or abs(number - reference) <= _exact_decimal(monitor.value):
            return Evaluation(state)
    elif value == state.reference:
        return Evaluation(state)
    return Evaluation(MonitorState(reference=value), Occurrence(EventTrigger.DELTA))


def _exact_decimal(value: float) -> Decimal:
    """The number as it is written: 0.1 is a tenth, so that a change by exactly 0.1 is not more than 0.1."""
    return Decimal(repr(value))
