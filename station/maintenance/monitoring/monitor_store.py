"""Monitors, their states and the events that wait for the CSMS, on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import (
    HIGHEST_SEVERITY,
    EventNotificationType,
    EventTrigger,
    Monitor,
    MonitoringBase,
    MonitoringEvent,
    MonitorState,
    MonitorType,
    StreamParameters,
    VariableAddress,
)
from station.storage.fact_store import FactStore, fact_statement
from station.storage.stored_format import StoredFormat, StoredNames, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from station.storage.database import Database
    from station.storage.sql import Statement

T = TypeVar("T")

_ADDRESS_NAMES: Final[StoredNames] = {
    VariableAddress: names("component", "variable", "component_instance", "evse_id", "connector_id", "instance"),
    EventNotificationType: names(
        HARD_WIRED_NOTIFICATION="HardWiredNotification",
        HARD_WIRED_MONITOR="HardWiredMonitor",
        PRECONFIGURED_MONITOR="PreconfiguredMonitor",
        CUSTOM_MONITOR="CustomMonitor",
    ),
}
MONITORS: Final = StoredFormat(
    Monitor,
    {
        **_ADDRESS_NAMES,
        Monitor: names("id", "address", "type", "value", "severity", "transaction", "notification_type", "stream"),
        StreamParameters: names("interval_s", "values"),
        MonitorType: names(
            UPPER_THRESHOLD="UpperThreshold",
            LOWER_THRESHOLD="LowerThreshold",
            DELTA="Delta",
            TARGET_DELTA="TargetDelta",
            TARGET_DELTA_RELATIVE="TargetDeltaRelative",
            PERIODIC="Periodic",
            PERIODIC_CLOCK_ALIGNED="PeriodicClockAligned",
        ),
    },
)
EVENTS: Final = StoredFormat(
    MonitoringEvent,
    {
        **_ADDRESS_NAMES,
        MonitoringEvent: names(
            "id",
            "occurred_at",
            "trigger",
            "notification_type",
            "address",
            "value",
            "severity",
            "monitor_id",
            "cleared",
            "cause",
            "tech_code",
            "tech_info",
            "transaction_id",
        ),
        EventTrigger: names(ALERTING="Alerting", DELTA="Delta", PERIODIC="Periodic"),
    },
)

_KIND: Final = "monitoring"
_SAVE_MONITOR: Final = (
    "INSERT INTO monitors (id, monitor) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET monitor = excluded.monitor"
)
_DELETE_MONITOR: Final = "DELETE FROM monitors WHERE id = ?"
_SAVE_STATE: Final = "INSERT OR REPLACE INTO monitor_states (id, exceeded, reference) VALUES (?, ?, ?)"
_DELETE_STATE: Final = "DELETE FROM monitor_states WHERE id = ?"
_SAVE_EVENT: Final = "INSERT OR REPLACE INTO monitoring_events (number, event) VALUES (?, ?)"
_DELETE_EVENT: Final = "DELETE FROM monitoring_events WHERE number = ?"


def monitor_from_text(stored: object) -> Monitor:
    """Parse a stored monitor.

    Raises:
        ValueError: a field is missing, invalid or unknown.
    """
    monitor = MONITORS.from_text(stored)
    _check_severity(monitor.severity)
    return monitor


def monitoring_event_from_text(stored: object) -> MonitoringEvent:
    """Parse a stored event of a monitor.

    Raises:
        ValueError: a field is missing, invalid or unknown.
    """
    event = EVENTS.from_text(stored)
    _check_severity(event.severity)
    return event


def _check_severity(severity: int) -> None:
    if not 0 <= severity <= HIGHEST_SEVERITY:
        raise ValueError(f"severity: is not between 0 and {HIGHEST_SEVERITY}")


class StoredMonitoring(Frozen):
    """Facts of variable monitoring on disk, beside monitors and events."""

    base: MonitoringBase = MonitoringBase.FACTORY_DEFAULT
    level: int | None = None
    """None: never set"""
    inactive: frozenset[int] = frozenset()
    """the ids of the preconfigured monitors that are switched off"""
    reserved_event_ids: int = 0
    """event ids up to this one may have been used"""
    dropped_events: int = 0
    """how many events were dropped since the first start of the station, because too many waited"""


class MonitorStore:
    """Stores monitors, their states and waiting events; a change of several rows is on disk as a whole or not at all.

    A row that cannot be read is listed as unreadable, stays on disk, and is ignored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._facts = FactStore(database, _KIND)

    async def load_facts(self) -> StoredMonitoring:
        """Load base, level and counters; an unreadable one has its default.

        Raises:
            StorageError: the disk cannot be read.
        """
        stored = await self._facts.load()

        def read(name: str, parse: Callable[[str], T], default: T) -> T:
            value = self._facts.read(name, parse, stored[name]) if name in stored else None
            return default if value is None else value

        default = StoredMonitoring()
        return StoredMonitoring(
            read("base", MonitoringBase, default.base),
            read("level", _parse_severity, default.level),
            read("inactive", _parse_ids, default.inactive),
            read("event-ids", _parse_count, default.reserved_event_ids),
            read("dropped", _parse_count, default.dropped_events),
        )

    async def load_monitors(self) -> list[Monitor]:
        """Load the monitors of the CSMS.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT id, monitor FROM monitors ORDER BY id")
        read = self._database.unreadable.read
        monitors = (read(monitor_from_text, text, RowAddress("monitors", str(key))) for key, text in rows)
        return [monitor for monitor in monitors if monitor is not None]

    async def load_states(self) -> dict[int, MonitorState]:
        """Load the states of monitors by id.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT id, exceeded, reference FROM monitor_states")
        return {
            int(str(key)): MonitorState(exceeded == 1, str(reference) if reference is not None else None)
            for key, exceeded, reference in rows
        }

    async def load_events(self) -> dict[int, MonitoringEvent]:
        """Load the waiting events by their number, in order.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT number, event FROM monitoring_events ORDER BY number")
        read = self._database.unreadable.read
        events = {
            int(str(key)): read(monitoring_event_from_text, text, RowAddress("monitoring_events", str(key)))
            for key, text in rows
        }
        return {number: event for number, event in events.items() if event is not None}

    async def highest_monitor_id(self) -> int:
        """The highest id of a stored monitor, readable or not; 0 if there is none.

        Raises:
            StorageError: the disk cannot be read.
        """
        ((highest,),) = await self._database.rows("SELECT MAX(id) FROM monitors")
        return int(str(highest or 0))

    async def highest_event_number(self) -> int:
        """The highest number of a stored event, readable or not; 0 if there is none.

        Raises:
            StorageError: the disk cannot be read.
        """
        ((highest,),) = await self._database.rows("SELECT MAX(number) FROM monitoring_events")
        return int(str(highest or 0))

    async def save_monitors(
        self,
        monitors: Mapping[Monitor, MonitorState],
        *,
        removed: Collection[int] = (),
        inactive: frozenset[int] | None = None,
    ) -> None:
        """Store monitors with their states, delete others, and store which preconfigured ones are switched off.

        `inactive` None: unchanged.

        Raises:
            StorageError: nothing is changed.
        """
        removed_rows = [(key,) for key in removed]
        statements: list[Statement] = [
            (_DELETE_MONITOR, removed_rows),
            (_DELETE_STATE, removed_rows),
            (_SAVE_MONITOR, [(monitor.id, MONITORS.to_text(monitor)) for monitor in monitors]),
            (_SAVE_STATE, [_state_row(monitor.id, state) for monitor, state in monitors.items()]),
        ]
        if inactive is not None:
            statements.append(fact_statement(_KIND, "inactive", json.dumps(sorted(inactive))))
        await self._database.write_together(*statements)

    async def save_monitor(self, monitor: Monitor) -> None:
        """Store a monitor whose state stays as it is.

        Raises:
            StorageError: nothing is changed.
        """
        await self._database.write_together((_SAVE_MONITOR, [(monitor.id, MONITORS.to_text(monitor))]))

    async def save_base(self, base: MonitoringBase, removed: Collection[int], inactive: frozenset[int]) -> None:
        """Store the monitoring base, delete monitors with their states, and store which are switched off.

        Raises:
            StorageError: nothing is changed.
        """
        removed_rows = [(key,) for key in removed]
        await self._database.write_together(
            (_DELETE_MONITOR, removed_rows),
            (_DELETE_STATE, removed_rows),
            fact_statement(_KIND, "inactive", json.dumps(sorted(inactive))),
            fact_statement(_KIND, "base", base.value),
        )

    async def save_level(self, level: int) -> None:
        """Store the monitoring level.

        Raises:
            StorageError: it is unchanged.
        """
        await self._facts.save("level", str(level))

    async def reserve_event_ids(self, last: int) -> None:
        """Store that event ids up to this one may be used.

        Raises:
            StorageError: it is unchanged.
        """
        await self._facts.save("event-ids", str(last))

    async def save_events(
        self,
        events: Mapping[int, MonitoringEvent],
        removed: Collection[int],
        states: Mapping[int, MonitorState],
        dropped: int | None,
    ) -> None:
        """Store events by number, delete others, and store states of monitors by id and the count of dropped events.

        `dropped` None: unchanged.

        Raises:
            StorageError: nothing is changed.
        """
        counted = [fact_statement(_KIND, "dropped", str(dropped))] if dropped is not None else []
        await self._database.write_together(
            (_SAVE_EVENT, [(number, EVENTS.to_text(event)) for number, event in events.items()]),
            (_DELETE_EVENT, [(number,) for number in removed]),
            (_SAVE_STATE, [_state_row(key, state) for key, state in states.items()]),
            *counted,
        )


def _state_row(state_id: int, state: MonitorState) -> tuple[int, int, str | None]:
    return state_id, int(state.exceeded), state.reference


def _parse_severity(text: str) -> int | None:
    severity = int(text)
    _check_severity(severity)
    return severity


def _parse_count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError("is negative")
    return count


def _parse_ids(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in json.loads(text))
