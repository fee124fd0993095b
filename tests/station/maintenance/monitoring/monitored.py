"""A device model with a few variables, and the monitoring of it on a virtual clock and a real database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from foundation.events import Event
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.monitored_model import MonitoredModel
from ocpp_handlers.variables.variable import Component, DataType, Mutability, Variable, create_variable
from simulator.clock import VirtualClock
from station.core.csms import NoCsms
from station.maintenance.monitoring.built_in import BuiltInMonitors, HardWiredNotification, TechnicalDetails
from station.maintenance.monitoring.event_detection import EventDetection
from station.maintenance.monitoring.event_ids import EventIds
from station.maintenance.monitoring.event_queue import EventQueue, WaitingEvent
from station.maintenance.monitoring.event_streams import EventStreams
from station.maintenance.monitoring.monitor import (
    EventNotificationType,
    Monitor,
    MonitoringEvent,
    MonitorType,
    VariableAddress,
)
from station.maintenance.monitoring.monitor_registry import MonitorRegistry
from station.maintenance.monitoring.monitor_request import MonitorRequest, SetMonitorResult
from station.maintenance.monitoring.monitor_store import MonitorStore
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings
from station.maintenance.monitoring.reporting_rules import EventReporting, ReportingRules
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
from station.storage.database import Database
from station.storage.set_aside_rows import SetAsideRows
from tests import fakes
from tests.databases import open_database

LEVEL, STATE, SECRET = (
    VariableAddress("Thing", "Level"),
    VariableAddress("Thing", "State"),
    VariableAddress("Thing", "Secret"),
)
LIVE, FIXED, POWER = (
    VariableAddress("Thing", "Live"),
    VariableAddress("Thing", "Fixed"),
    VariableAddress("EVSE", "Power", evse_id=1),
)
AVAILABILITY = VariableAddress("EVSE", "AvailabilityState", evse_id=1)
PROBLEM = VariableAddress("Lock", "Problem", evse_id=1, connector_id=1)
UPPER, LOWER, DELTA = MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD, MonitorType.DELTA
PERIODIC, ALIGNED = MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED
HARD_WIRED = Monitor(1, LEVEL, UPPER, 90.0, 2, notification_type=EventNotificationType.HARD_WIRED_MONITOR)
PRECONFIGURED = Monitor(100, STATE, DELTA, 1.0, 6, notification_type=EventNotificationType.PRECONFIGURED_MONITOR)
NOTIFICATION = Monitor(1_001, PROBLEM, DELTA, 0.0, 2, notification_type=EventNotificationType.HARD_WIRED_NOTIFICATION)
ABSENT = Monitor(
    101, VariableAddress("Absent", "X"), DELTA, 0.0, 6, notification_type=EventNotificationType.HARD_WIRED_MONITOR
)


class Environment:
    """The parts that survive a reboot: values of the variables, CSMS link, transactions, clock and disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: VirtualClock = fakes.clock()
        self.values = {
            "Level": "50",
            "State": "Idle",
            "Secret": "",
            "Live": "1.5",
            "Fixed": "5",
            "Power": "0.0",
            "AvailabilityState": "Available",
            "Problem": "false",
        }
        self.online = True
        self.transactions: dict[int, str] = {}
        self.settings = MonitoringSettings()
        self.has_csms = True
        self.observed = asyncio.Event()
        self.observed.set()


class _Csms(NoCsms):
    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @property
    def online(self) -> bool:
        return self._environment.online


class _Evses:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.transaction_changed: Event[int] = Event()

    def has_transaction(self, evse_id: int | None) -> bool:
        return bool(self._environment.transactions) if evse_id is None else evse_id in self._environment.transactions

    def transaction_id(self, evse_id: int, *, measured: bool) -> str | None:
        del measured
        return self._environment.transactions.get(evse_id)

    async def wait_observed(self) -> None:
        await self._environment.observed.wait()


class Monitored:
    """One run of a station that consists of variables and their monitoring."""

    def __init__(self, environment: Environment, database: Database) -> None:
        self.environment, self.store, self.set_aside = environment, MonitorStore(database), SetAsideRows(database)
        store = self.store
        self.clock = environment.clock
        self.moved: Event[None] = Event()
        auxiliary = fakes.RaisingCalls()
        self.model = DeviceModel(self._variables(), auxiliary)
        variables = MonitoredModel(self.model, auxiliary)
        self.evses = _Evses(environment)
        self.registry, self.queue = MonitorRegistry(variables), EventQueue(store, self.clock)
        self.rules = ReportingRules(environment.settings, _Csms(environment), auxiliary, has_csms=environment.has_csms)
        reporting = EventReporting(EventIds(store), self.rules, self.queue, EventStreams(self.queue, self.clock))
        notification = HardWiredNotification(NOTIFICATION, lambda: TechnicalDetails("lock-failure", "it is stuck"))
        built_in = BuiltInMonitors([HARD_WIRED, PRECONFIGURED, ABSENT], [notification])
        self.detection = EventDetection(
            variables,
            self.evses,
            self.registry,
            reporting,
            {NOTIFICATION.id: notification},
            self.clock,
            auxiliary,
        )
        self.monitoring = VariableMonitoring(variables, self.registry, self.detection, reporting, built_in, store)
        self.events: list[MonitoringEvent] = []
        """all events, published by the detection"""
        self.detection.triggered.subscribe(self.events.append)

    def _variables(self) -> list[Variable]:
        thing, evse = Component("Thing"), Component("EVSE", evse_id=1)
        lock = Component("Lock", evse_id=1, connector_id=1)
        values, read_only = self.environment.values, Mutability.READ_ONLY

        def variable(place: Component, name: str, kind: DataType, *, live: bool = True, **limits: float) -> Variable:
            changes = self.moved if live else None
            return create_variable(
                place,
                name,
                kind,
                read_only,
                lambda: values[name],
                changes=changes,
                minimum=limits.get("minimum"),
                maximum=limits.get("maximum"),
            )

        async def write(text: str) -> None:
            values["Secret"] = text

        return [
            variable(thing, "Level", DataType.INTEGER, minimum=0.0, maximum=100.0),
            variable(thing, "State", DataType.OPTION_LIST),
            variable(thing, "Live", DataType.DECIMAL, live=False),
            create_variable(thing, "Fixed", DataType.INTEGER, read_only, lambda: values["Fixed"], constant=True),
            create_variable(thing, "Secret", DataType.STRING, Mutability.WRITE_ONLY, lambda: "", write),
            variable(evse, "Power", DataType.DECIMAL, maximum=22_000.0),
            variable(evse, "AvailabilityState", DataType.OPTION_LIST),
            variable(lock, "Problem", DataType.BOOLEAN),
        ]

    async def set(
        self, address: VariableAddress, kind: MonitorType, value: float, severity: int = 5, **more: int
    ) -> SetMonitorResult:
        """Set one monitor."""
        request = MonitorRequest(address, kind, value, severity, bool(more.get("transaction", False)), more.get("id"))
        (result,) = await self.monitoring.set_monitors([request])
        return result

    async def set_values(self, **values: str) -> None:
        """Change values of variables, and let the monitors evaluate them."""
        self.environment.values.update(values)
        self.moved.publish(None)
        await self.clock.settle()

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.advance(seconds)
        await self.clock.settle()

    async def save_due_events(self) -> None:
        """Let the queue save the events that are due."""
        while self.queue.save_due_s is not None and self.queue.save_due_s <= self.clock.monotonic():
            await self.queue.save()

    async def go_offline(self) -> None:
        """Lose the link."""
        self.environment.online = False
        self.detection.mark_offline()
        await self.clock.settle()

    async def go_online(self) -> None:
        """The CSMS accepts the station again."""
        self.environment.online = True
        self.detection.report_current()
        await self.clock.settle()

    async def begin_transaction(self, transaction_id: str = "tx-1") -> None:
        """Begin a transaction at EVSE 1."""
        self.environment.transactions[1] = transaction_id
        self.evses.transaction_changed.publish(1)
        await self.clock.settle()

    async def end_transaction(self) -> None:
        """End the transaction at EVSE 1."""
        del self.environment.transactions[1]
        self.evses.transaction_changed.publish(1)
        await self.clock.settle()

    def waiting(self) -> list[MonitoringEvent]:
        """The events that the CSMS has not received yet."""
        return [queued.event for queued in self.queue.oldest(10_000, 2**30)]

    def delivered(self) -> list[MonitoringEvent]:
        """Let the CSMS receive all waiting events; returns them."""
        sent: Sequence[WaitingEvent] = self.queue.oldest(10_000, 2**30)
        self.queue.settle(list(sent))
        return [queued.event for queued in sent]


def values_and_cleared(events: Sequence[MonitoringEvent]) -> list[tuple[str, str, bool | None]]:
    """Variable, value and cleared of events."""
    return [(event.address.variable, event.value, event.cleared) for event in events]


@contextlib.asynccontextmanager
async def running(environment: Environment, *, settled: bool = True) -> AsyncGenerator[Monitored]:
    """Boot: monitoring is loaded and runs; at the end the power fails."""
    async with open_database(environment.folder / "borne.sqlite", environment.clock) as database:
        monitored = Monitored(environment, database)
        await monitored.monitoring.load()
        task = asyncio.ensure_future(monitored.detection.run())
        try:
            if settled:
                await environment.clock.settle()
            yield monitored
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
