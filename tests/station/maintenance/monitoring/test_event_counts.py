"""Events are counted by variable, for as many variables as metrics can bear."""

from __future__ import annotations

from datetime import UTC, datetime

from station.maintenance.monitoring.event_counts import MAX_COUNTED, OTHER, EventCount, EventCounts
from station.maintenance.monitoring.monitor import (
    EventNotificationType,
    EventTrigger,
    MonitoringEvent,
    VariableAddress,
)


def event(component: str, variable: str = "Problem", evse_id: int | None = None) -> MonitoringEvent:
    return MonitoringEvent(
        1,
        datetime(2026, 1, 1, tzinfo=UTC),
        EventTrigger.DELTA,
        EventNotificationType.CUSTOM_MONITOR,
        VariableAddress(component, variable, evse_id=evse_id),
        "true",
        5,
    )


def test_events_of_all_evses_are_counted_together_however_the_names_are_written() -> None:
    counts = EventCounts()
    for counted in (event("EVSE", evse_id=1), event("evse", evse_id=2), event("EVSE", "Power")):
        counts.add(counted)
    assert counts.counts() == [EventCount("EVSE", "Problem", 2), EventCount("EVSE", "Power", 1)]


def test_events_of_more_variables_than_can_be_counted_are_counted_as_one() -> None:
    counts = EventCounts()
    for number in range(MAX_COUNTED + 50):
        counts.add(event(f"Component{number}"))
    counts.add(event("Component0"))
    assert len(counts.counts()) == MAX_COUNTED + 1
    assert counts.counts()[0] == EventCount("Component0", "Problem", 2)
    assert counts.counts()[-1] == EventCount(OTHER, OTHER, 50)
