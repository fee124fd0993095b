"""Evaluates monitors: observes their variables, and creates an event whenever one is triggered (N07, N08)."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from station.core.sampling import next_aligned
from station.maintenance.monitoring.built_in import TechnicalDetails
from station.maintenance.monitoring.evaluation import Evaluation, Occurrence, evaluate
from station.maintenance.monitoring.event_counts import EventCounts
from station.maintenance.monitoring.event_queue import ReportedEvent
from station.maintenance.monitoring.monitor import (
    OF_TARGET,
    EventTrigger,
    MonitoringEvent,
    MonitorState,
    MonitorType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.maintenance.monitoring.built_in import HardWiredNotification
    from station.maintenance.monitoring.monitor import AddressKey
    from station.maintenance.monitoring.monitor_registry import ActiveMonitor, MonitorRegistry
    from station.maintenance.monitoring.monitored_variables import (
        MonitoredEvses,
        MonitoredVariables,
        ObservedValue,
    )
    from station.maintenance.monitoring.reporting_rules import EventReporting

_log = logging.getLogger(__name__)

SETTLING_S: Final = 5.0
"""how long the boards may take to answer after the start; before that values are not evaluated"""
SAMPLING_S: Final = 10.0
"""interval at which a monitored variable is read that publishes no changes"""
MAX_RECENT: Final = 200
"""events kept in memory, for the page"""
_MAX_INFO: Final = 500
"""characters of techInfo"""
_MAX_VALUE: Final = 2_500
"""characters of actualValue"""
_MAX_STALE_ENTRIES: Final = 100
"""limit of outdated entries of the heap, in addition to as many as there are monitors"""
_MAX_CHANGES: Final = 20_000
"""changes that wait to be evaluated, which takes less than a second"""
_AT_ONCE: Final = 100
"""values evaluated before other tasks may run"""
_CONSEQUENCES: Final = frozenset({("availabilitystate", "Faulted"), ("problem", "true")})
"""variables and values that result from the fault of a part"""


class _ObservedChange(Frozen):
    key: AddressKey
    value: str
    at: datetime
    noticed_s: float
    """Clock.monotonic, since the clock may be set between two changes"""


class EventDetection:
    """Evaluates the monitors of a registry when their variables change, and periodically; publishes each event.

    Events that the CSMS is to receive are added to the queue. A monitor costs nothing until its variable changes.
    """

    def __init__(
        self,
        variables: MonitoredVariables,
        evses: MonitoredEvses,
        registry: MonitorRegistry,
        reporting: EventReporting,
        notifications: Mapping[int, HardWiredNotification],
        clock: Clock,
        auxiliary: AuxiliaryCalls,
    ) -> None:
        """`notifications`: by id of their monitor."""
        self._variables = variables
        self._evses = evses
        self._registry = registry
        self._queue = reporting.queue
        self._streams = reporting.streams
        self._rules = reporting.rules
        self._ids = reporting.ids
        self._notifications = notifications
        self._clock = clock
        self._changes: deque[_ObservedChange] = deque(maxlen=_MAX_CHANGES)
        self._transaction_changes: deque[int] = deque()
        self._wake = ChangeSignal()
        self._due: list[tuple[float, int]] = []
        """a heap of when periodic monitors trigger, with their ids; entries of removed monitors are skipped"""
        self._sample_due_s = 0.0
        self._faults: dict[int, MonitoringEvent] = {}
        """the events of the notified faults that are present, by id of the notification"""
        self._evaluation_started = False
        self._differences_due = False
        self.recent: deque[MonitoringEvent] = deque(maxlen=MAX_RECENT)
        """the last events, the newest last"""
        self.counts = EventCounts()
        """how many events were triggered since the start"""
        self.triggered: Event[MonitoringEvent] = Event()
        """each event once, whether or not the CSMS receives it"""
        auxiliary.subscribe(variables.changed, self._note_change)
        auxiliary.subscribe(evses.transaction_changed, self._note_transaction)
        auxiliary.subscribe(reporting.rules.changed, lambda _: self.report_current())
        auxiliary.subscribe(reporting.queue.save_requested, lambda _: self._wake.notify())

    async def run(self) -> None:
        """Task until cancelled: evaluate monitors, and keep the queue of events on disk."""
        await self._ids.reserve()
        if not self._evaluation_started:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(SETTLING_S):
                    await self._evses.wait_observed()
            await self._evaluate_all()
        while True:
            wake_count = self._wake.count
            await self._evaluate_pending()
            await self._queue.save()
            await self._ids.reserve()
            await self._wake.wait_for(wake_count, self._clock, max(0.0, self._next_due_s() - self._clock.monotonic()))

    def start(self, active: ActiveMonitor) -> None:
        """Begin to evaluate a monitor of the registry from now on, with its present value (N07.FR.16)."""
        active.in_transaction = self._evses.has_transaction(active.monitor.address.evse_id)
        self._schedule(active)
        if self._evaluation_started:
            self._evaluate_now(active)
        self._wake.notify()

    def replace(self, active: ActiveMonitor, occurrence: Occurrence | None) -> None:
        """Begin to evaluate a monitor that replaced another one; `occurrence`: what this triggered (N07.FR.11)."""
        if occurrence is not None and self._is_active(active):
            value = self._variables.read(active.key)
            event = self._create_event(active, occurrence, value, self._clock.now())
            self._publish(event)
            if self._rules.may_report(active.monitor.severity):
                self._report(active, event, MonitorState(exceeded=not active.state.exceeded))
            else:
                active.reported = MonitorState(exceeded=not active.state.exceeded)
        self.start(active)

    def report_current(self) -> None:
        """Report what the CSMS does not know yet of the monitors that it may know: it is back, or allows more."""
        self._differences_due = True
        self._wake.notify()

    def forget_reported(self) -> None:
        """Report all present faults and exceeded thresholds again: the CSMS may be another one (B10.FR.10)."""
        for active in self._registry:
            active.reported = MonitorState(reference=active.state.reference)

    def mark_offline(self) -> None:
        """Keep the waiting events on disk, or take them back if they may not wait: the link is lost (N07.FR.04).

        Those of streams, which end with the link, wait as all others.
        """
        self._streams.end_all()
        for waiting in reversed(self._queue.keep_offline(self._rules.offline_severity)):
            if (active := self._registry.get(waiting.state_id)) is not None:
                active.reported = waiting.before
        self._wake.notify()

    def reschedule(self) -> None:
        """Compute the next times of clock-aligned monitors again, since the clock was set."""
        for active in self._registry:
            if active.monitor.type is MonitorType.PERIODIC_CLOCK_ALIGNED:
                self._schedule(active)
        self._wake.notify()

    # Listeners: they run in tasks of other parts, so they only note what `run` evaluates

    def _note_change(self, change: ObservedValue) -> None:
        if self._evaluation_started and self._registry.is_monitored(change.key):
            self._changes.append(_ObservedChange(change.key, change.value, self._clock.now(), self._clock.monotonic()))
            self._wake.notify()

    def _note_transaction(self, evse_id: int) -> None:
        self._transaction_changes.append(evse_id)
        self._wake.notify()

    # Evaluation

    async def _evaluate_all(self) -> None:
        """Compare what was known at the last end of the program with the present values (N07.FR.14)."""
        self._evaluation_started = True
        for count, active in enumerate(list(self._registry)):
            self._evaluate_now(active)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _evaluate_pending(self) -> None:
        while self._transaction_changes:
            self._apply_transaction(self._transaction_changes.popleft())
        changes = list(self._changes)
        self._changes.clear()
        # Consequences of a fault follow the notification of the fault, whose event is their cause.
        changes.sort(key=lambda change: (round(change.noticed_s, 2), change.key[0][0] in _COMPOSITE_COMPONENTS))
        for count, change in enumerate(changes, 1):
            for active in list(self._registry.of_variable(change.key)):
                self._evaluate(active, change.value, change.at)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if self._differences_due:
            self._differences_due = False
            await self._report_differences()
        await self._trigger_due()

    def _evaluate_now(self, active: ActiveMonitor) -> None:
        self._evaluate(active, self._variables.read(active.key), self._clock.now())

    def _evaluate(self, active: ActiveMonitor, value: str, at: datetime) -> None:
        """Evaluate a monitor with a value: publish the event, and report it if the CSMS may know of it."""
        if not self._is_active(active):
            return
        before, reported_is_current = active.state, active.reported == active.state
        monitor = active.monitor
        evaluation = self._evaluated(active, before, value)
        active.state = evaluation.state
        event = None
        if evaluation.occurrence is not None:
            event = self._create_event(active, evaluation.occurrence, value, at)
            self._publish(event)
        if not self._rules.may_report(monitor.severity):
            return
        if not reported_is_current:
            self._report_difference(active, value, at)
        elif event is not None:
            self._report(active, event, before)
        else:
            active.reported = active.state

    def _evaluated(self, active: ActiveMonitor, before: MonitorState, value: str) -> Evaluation:
        target = self._variables.target(active.key) if active.monitor.type in OF_TARGET else ""
        return evaluate(active.monitor, before, value, numeric=active.variable.numeric, target=target)

    def _report_difference(self, active: ActiveMonitor, value: str, at: datetime) -> None:
        """Report the present value if it triggers the monitor as the CSMS knows it."""
        before = active.reported
        evaluation = self._evaluated(active, before, value)
        active.reported = evaluation.state
        if evaluation.occurrence is not None:
            active.state = evaluation.state
            self._report(active, self._create_event(active, evaluation.occurrence, value, at), before)

    async def _report_differences(self) -> None:
        """Evaluate all monitors, also from the states that the CSMS knows."""
        for count, active in enumerate(list(self._registry), 1):
            if self._evaluation_started:
                self._evaluate_now(active)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _report(self, active: ActiveMonitor, event: MonitoringEvent, before: MonitorState) -> None:
        active.reported = active.state
        reported = ReportedEvent(event, active.monitor.id, before, active.state)
        if not self._streams.add(active.monitor, reported):
            self._queue.add(reported, keep=not self._rules.online)

    def _publish(self, event: MonitoringEvent) -> None:
        self.recent.append(event)
        self.counts.add(event)
        self.triggered.publish(event)

    def _is_active(self, active: ActiveMonitor) -> bool:
        """Return whether a monitor is evaluated now; hard-wired notifications are even if monitoring is disabled."""
        if active.monitor.is_notification:
            return True
        if not self._rules.enabled:
            return False
        return not active.monitor.transaction or self._evses.has_transaction(active.monitor.address.evse_id)

    def _create_event(self, active: ActiveMonitor, occurrence: Occurrence, value: str, at: datetime) -> MonitoringEvent:
        monitor = active.monitor
        notification = self._notifications.get(monitor.id)
        details = notification.details() if notification is not None and not occurrence.cleared else TechnicalDetails()
        evse_id = monitor.address.evse_id
        event = MonitoringEvent(
            self._ids.next(),
            at,
            occurrence.trigger,
            monitor.notification_type,
            monitor.address,
            "" if active.variable.write_only else value[:_MAX_VALUE],
            monitor.severity,
            None if monitor.is_notification else monitor.id,
            occurrence.cleared,
            self._cause(monitor.address.evse_id, active.key, value),
            details.code,
            details.info[:_MAX_INFO] if details.info is not None else None,
            self._evses.transaction_id(evse_id, measured=active.variable.numeric) if evse_id is not None else None,
        )
        if notification is not None:
            if occurrence.cleared:
                self._faults.pop(monitor.id, None)
            else:
                self._faults[monitor.id] = event
        return event

    def _cause(self, evse_id: int | None, key: AddressKey, value: str) -> int | None:
        """The id of the event of the latest fault that made an EVSE or the station faulty; None: another cause."""
        if (key[1][0], value) not in _CONSEQUENCES or key[0][0] not in _COMPOSITE_COMPONENTS:
            return None
        faults = [
            fault_event.id for fault_event in self._faults.values() if evse_id in {None, fault_event.address.evse_id}
        ]
        return faults[-1] if faults else None

    # Periodic monitors

    def _schedule(self, active: ActiveMonitor) -> None:
        monitor, now = active.monitor, self._clock.now()
        now_s = self._clock.monotonic()  # after `now`, so that it is never due just before the aligned time, and again
        if monitor.type is MonitorType.PERIODIC:
            active.due_s = now_s + monitor.value
        elif monitor.type is MonitorType.PERIODIC_CLOCK_ALIGNED:
            active.due_s = now_s + (next_aligned(now, round(monitor.value)) - now).total_seconds()
        if active.due_s is not None:
            self._push(active.due_s, monitor.id)

    async def _trigger_due(self) -> None:
        """Trigger the periodic monitors that are due, and sample variables (N08.FR.06, N08.FR.07)."""
        now_s = self._clock.monotonic()
        count = 0
        while self._due and self._due[0][0] <= now_s:
            due_s, monitor_id = heapq.heappop(self._due)
            active = self._registry.get(monitor_id)
            if active is None or active.due_s != due_s:
                continue  # removed, replaced or scheduled again
            self._trigger(active)
            self._schedule_next(active, due_s, now_s)
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if self._registry.sampled and now_s >= self._sample_due_s:
            self._sample_due_s = now_s + SAMPLING_S
            for key in list(self._registry.sampled):
                self._variables.sample(key)

    def _trigger(self, active: ActiveMonitor) -> None:
        if not self._evaluation_started or not self._is_active(active):
            return
        value = self._variables.read(active.key)
        event = self._create_event(active, Occurrence(EventTrigger.PERIODIC), value, self._clock.now())
        self._publish(event)
        if self._rules.may_report(active.monitor.severity):
            self._report(active, event, active.state)

    def _schedule_next(self, active: ActiveMonitor, due_s: float, now_s: float) -> None:
        if active.monitor.type is MonitorType.PERIODIC_CLOCK_ALIGNED:
            self._schedule(active)
            return
        missed = (now_s - due_s) // active.monitor.value  # during a pause: left out
        active.due_s = due_s + (missed + 1) * active.monitor.value
        self._push(active.due_s, active.monitor.id)

    def _push(self, due_s: float, monitor_id: int) -> None:
        if len(self._due) > _MAX_STALE_ENTRIES + 2 * self._registry.count:  # mostly of monitors that were replaced
            self._due = [(active.due_s, active.monitor.id) for active in self._registry if active.due_s is not None]
            heapq.heapify(self._due)
        else:
            heapq.heappush(self._due, (due_s, monitor_id))

    def _next_due_s(self) -> float:
        """When the next evaluation, sample or write is due (Clock.monotonic)."""
        due = [self._due[0][0]] if self._due else []
        if self._registry.sampled:
            due.append(self._sample_due_s)
        if (save_due_s := self._queue.save_due_s) is not None:
            due.append(save_due_s)
        return min(due, default=self._clock.monotonic() + 86_400.0)

    # Transactions

    def _apply_transaction(self, evse_id: int) -> None:
        """Begin or end the evaluation of the monitors that are active during a transaction only."""
        for active in list(self._registry):
            if not active.monitor.transaction or active.monitor.address.evse_id not in {None, evse_id}:
                continue
            is_open = self._evses.has_transaction(active.monitor.address.evse_id)
            if is_open is active.in_transaction:
                continue
            active.in_transaction = is_open
            active.start(self._variables.read(active.key))
            if is_open:
                self._schedule(active)
                self._evaluate_now(active)


_COMPOSITE_COMPONENTS: Final = frozenset({"evse", "connector", "chargingstation"})
"""components that are faulty if one of their parts is"""
