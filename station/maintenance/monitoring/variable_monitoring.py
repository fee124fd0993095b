"""The monitors of the station: set, cleared and listed; stored before a change takes effect (N03 to N06)."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from station.maintenance.monitoring.built_in import FIRST_CUSTOM_ID, BuiltInMonitors
from station.maintenance.monitoring.evaluation import Evaluation, initial_state, replaced_state
from station.maintenance.monitoring.event_streams import MAX_STREAMS
from station.maintenance.monitoring.monitor import (
    HIGHEST_SEVERITY,
    EventNotificationType,
    Monitor,
    MonitoringBase,
    MonitorState,
)
from station.maintenance.monitoring.monitor_registry import ActiveMonitor, MonitorRegistry
from station.maintenance.monitoring.monitor_request import (
    MonitorRequest,
    SetMonitorResult,
    SetMonitorStatus,
    rejected,
    stream_fault,
    unsuitable,
)
from station.maintenance.monitoring.monitored_variables import MonitorableVariable, VariableMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from station.maintenance.monitoring.event_detection import EventDetection
    from station.maintenance.monitoring.monitor import StreamParameters
    from station.maintenance.monitoring.monitor_store import MonitorStore
    from station.maintenance.monitoring.monitored_variables import MonitoredVariables
    from station.maintenance.monitoring.reporting_rules import EventReporting

_log = logging.getLogger(__name__)

MAX_MONITORS: Final = 1_000
"""monitors of the CSMS; a further one is rejected"""
_MISSING: Final = {
    VariableMissing.COMPONENT: SetMonitorStatus.UNKNOWN_COMPONENT,
    VariableMissing.VARIABLE: SetMonitorStatus.UNKNOWN_VARIABLE,
}


class ClearMonitorStatus(StrEnum):
    """The outcome of clearing one monitor (ClearMonitoringStatusEnumType)."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    """it is hard-wired"""
    NOT_FOUND = "NotFound"


class _PreparedMonitor(Frozen):
    """A request that can be carried out: the monitor, and its state from the beginning."""

    active: ActiveMonitor
    start: Evaluation

    @property
    def known_state(self) -> MonitorState:
        """The state that the CSMS knows, which is stored: an event that a power cut loses is then triggered again."""
        state = self.start.state
        return state if self.start.occurrence is None else MonitorState(exceeded=not state.exceeded)


class VariableMonitoring:
    """The monitors of the station: those of the program, and those that the CSMS has set.

    `detection` evaluates them; its `triggered` publishes their events, and `recent` has the last ones.
    """

    def __init__(
        self,
        variables: MonitoredVariables,
        registry: MonitorRegistry,
        detection: EventDetection,
        reporting: EventReporting,
        built_in: BuiltInMonitors,
        store: MonitorStore,
    ) -> None:
        self.detection = detection
        self.queue = reporting.queue
        """the events that wait for the CSMS"""
        self.streams = reporting.streams
        """the open periodic event streams"""
        self.rules = reporting.rules
        """which events the CSMS receives"""
        self.base = MonitoringBase.FACTORY_DEFAULT
        """the base that was set last"""
        self.configured: Event[None] = Event()
        """monitors, base or level were changed"""
        self._variables = variables
        self._registry = registry
        self._ids = reporting.ids
        self._built_in = built_in
        self._store = store
        self._inactive: frozenset[int] = frozenset()
        self._last_id = FIRST_CUSTOM_ID - 1
        self._change_lock = asyncio.Lock()
        """one change at a time, since each is stored before it takes effect"""

    # Read

    def monitors(self) -> list[Monitor]:
        """All active monitors, by id; hard-wired notifications are none."""
        monitors = (active.monitor for active in self._registry if not active.monitor.is_notification)
        return sorted(monitors, key=lambda monitor: monitor.id)

    # Change

    async def load(self) -> None:
        """Load and activate all monitors, with the states that they had; call once, before `detection` runs.

        A monitor whose variable does not exist any more, or cannot be monitored any more, is removed.

        Raises:
            StorageError: the disk cannot be read or written.
        """
        facts, states = await self._store.load_facts(), await self._store.load_states()
        self.base, self._inactive = facts.base, facts.inactive
        if facts.level is not None:
            self.rules.level = facts.level
        self._ids.load(facts.reserved_event_ids)
        await self.queue.load(facts.dropped_events)
        custom = await self._store.load_monitors()
        self._last_id = max(self._last_id, await self._store.highest_monitor_id())
        notifications = [notification.monitor for notification in self._built_in.notifications]
        built_in = [monitor for monitor in self._built_in.monitors if monitor.id not in self._inactive]
        not_restored: list[int] = []
        for monitor in (*notifications, *built_in, *custom):  # a custom one overrules the preconfigured one of its id
            if (active := self._restore(monitor, states.get(monitor.id, MonitorState()))) is None:
                not_restored.append(monitor.id)
            else:
                self.detection.start(active)
        if removed := {monitor.id for monitor in custom} & set(not_restored):
            _log.warning("%d monitors are removed, since their variables cannot be monitored any more", len(removed))
        if removed := removed | {monitor_id for monitor_id in states if self._registry.get(monitor_id) is None}:
            await self._store.save_monitors({}, removed=removed)

    async def set_monitors(self, requests: Sequence[MonitorRequest]) -> list[SetMonitorResult]:
        """Set or replace monitors, and return the result of each request, in order; accepted ones are on disk.

        A value that exceeds a new threshold triggers an event at once. N04.FR.01, N04.FR.03 to N04.FR.18.

        Raises:
            StorageError: nothing was set.
        """
        async with self._change_lock:
            results: list[SetMonitorResult] = []
            accepted: dict[int, _PreparedMonitor] = {}
            for request in requests:
                result = self._refusal_of(request, accepted)
                if result is None:
                    monitor = self._monitor_of(request)
                    accepted[monitor.id] = self._prepare(monitor)
                    result = SetMonitorResult(SetMonitorStatus.ACCEPTED, monitor.id)
                results.append(result)
            if accepted:
                overruled = self._inactive | (accepted.keys() & self._built_in.preconfigured.keys())
                stored = {prepared.active.monitor: prepared.known_state for prepared in accepted.values()}
                await self._store.save_monitors(stored, inactive=overruled if overruled != self._inactive else None)
                self._inactive = overruled
            for prepared in accepted.values():
                self._activate(prepared)
            if accepted:
                self.configured.publish(None)
            return results

    async def adjust_stream(self, stream_id: int, parameters: StreamParameters) -> SetMonitorResult:
        """Change how often an open stream sends its values; stored with its monitor (N14.FR.02, N14.FR.03).

        Raises:
            StorageError: nothing was changed.
        """
        async with self._change_lock:
            active = self._registry.get(stream_id)
            if active is None or not self.streams.is_open(active.monitor):
                return rejected("NotFound", "there is no open periodic event stream with this id")
            if (fault := stream_fault(parameters)) is not None:
                return rejected("ValueOutOfRange", fault)
            former, adjusted = active.monitor, replace(active.monitor, stream=parameters)
            await self._store.save_monitor(adjusted)
            active.monitor = adjusted
            self.streams.adjust(former, adjusted)
            return SetMonitorResult(SetMonitorStatus.ACCEPTED, stream_id)

    async def clear(self, ids: Sequence[int]) -> list[ClearMonitorStatus]:
        """Clear monitors, and return the result for each id, in order; cleared ones are deleted from disk.

        No event follows, even if a threshold was exceeded (N07.FR.12). A preconfigured one returns with
        `set_base`. N06.FR.01 to N06.FR.05.

        Raises:
            StorageError: nothing was cleared.
        """
        async with self._change_lock:
            results: list[ClearMonitorStatus] = []
            removed: set[int] = set()
            for monitor_id in ids:
                active = self._registry.get(monitor_id)
                if active is None or active.monitor.is_notification or monitor_id in removed:
                    results.append(ClearMonitorStatus.NOT_FOUND)
                elif active.monitor.notification_type is EventNotificationType.HARD_WIRED_MONITOR:
                    results.append(ClearMonitorStatus.REJECTED)
                else:
                    removed.add(monitor_id)
                    results.append(ClearMonitorStatus.ACCEPTED)
            if removed:
                inactive = self._inactive | (removed & self._built_in.preconfigured.keys())
                await self._store.save_monitors({}, removed=removed, inactive=inactive)
                self._inactive = inactive
                self._remove(removed)
                self.configured.publish(None)
            return results

    async def set_base(self, base: MonitoringBase) -> None:
        """Activate the monitors of a base; all bases but All clear those of the CSMS (N03.FR.03 to N03.FR.05).

        Raises:
            StorageError: nothing was changed.
        """
        async with self._change_lock:
            preconfigured, all_custom = self._built_in.preconfigured, EventNotificationType.CUSTOM_MONITOR
            custom = {monitor.id for monitor in self.monitors() if monitor.notification_type is all_custom}
            retained = custom if base is MonitoringBase.ALL else set[int]()
            off = preconfigured.keys() - retained if base is MonitoringBase.HARD_WIRED_ONLY else set[int]()
            inactive = frozenset(off | (retained & preconfigured.keys()))
            await self._store.save_base(base, (custom - retained) | off, inactive)
            self.base, self._inactive = base, inactive
            self._remove((custom - retained) | off)
            for monitor in preconfigured.values():
                if monitor.id in inactive or self._registry.get(monitor.id) is not None:
                    continue
                if (active := self._restore(monitor, MonitorState())) is not None:
                    self.detection.start(active)
            self.configured.publish(None)

    async def set_level(self, severity: int) -> bool:
        """Set the highest severity number of events that the CSMS wants; returns whether it is valid (N05.FR.02).

        Raises:
            StorageError: it is unchanged.
        """
        if not 0 <= severity <= HIGHEST_SEVERITY:
            return False
        await self._store.save_level(severity)
        self.rules.set_level(severity)
        self.configured.publish(None)
        return True

    # Requests

    def _refusal_of(self, request: MonitorRequest, accepted: dict[int, _PreparedMonitor]) -> SetMonitorResult | None:
        """The refusal of a request; None: it can be accepted. `accepted`: of the same message, not active yet."""
        variable = request.unknown_part or self._variables.find(request.address)
        if isinstance(variable, VariableMissing):
            return SetMonitorResult(_MISSING[variable])
        if request.id is not None:
            former = accepted[request.id].active if request.id in accepted else self._registry.get(request.id)
            if former is None or former.monitor.is_notification:
                return rejected("NotFound", "there is no monitor with this id")  # N04.FR.13
            if former.key != request.address.key:
                return rejected("InvalidValue", "the monitor with this id is of another variable")  # N04.FR.16
            if former.monitor.notification_type is EventNotificationType.HARD_WIRED_MONITOR:
                return rejected("ReadOnly", "the monitor with this id is hard-wired")  # N04.FR.18
        if (refusal := unsuitable(request, variable)) is not None:
            return refusal
        if self._has_duplicate(request, accepted):
            return SetMonitorResult(SetMonitorStatus.DUPLICATE)  # N04.FR.10
        added = sum(self._registry.get(monitor_id) is None for monitor_id in accepted)
        if request.id is None and self._registry.custom_count + added >= MAX_MONITORS:
            return rejected("OutOfMemory", f"there are {MAX_MONITORS} monitors already")
        if request.stream is not None and self._count_streams(request.id, accepted) >= MAX_STREAMS:
            return rejected("OutOfMemory", f"there are {MAX_STREAMS} monitors with a periodicEventStream already")
        return None

    def _count_streams(self, replaced_id: int | None, accepted: dict[int, _PreparedMonitor]) -> int:
        """How many monitors have a stream, without the one that is replaced."""
        monitors = {active.monitor.id: active.monitor for active in self._registry}
        monitors |= {monitor_id: prepared.active.monitor for monitor_id, prepared in accepted.items()}
        return sum(monitor.stream is not None for monitor in monitors.values() if monitor.id != replaced_id)

    def _has_duplicate(self, request: MonitorRequest, accepted: dict[int, _PreparedMonitor]) -> bool:
        """Return whether another monitor of the variable has the same type and severity."""
        same_variable = [entry.active for entry in accepted.values() if entry.active.key == request.address.key]
        same_variable += [
            entry for entry in self._registry.of_variable(request.address.key) if entry.monitor.id not in accepted
        ]
        return any(
            (active.monitor.type, active.monitor.severity) == (request.type, request.severity)
            and active.monitor.id != request.id
            and not active.monitor.is_notification
            for active in same_variable
        )

    def _monitor_of(self, request: MonitorRequest) -> Monitor:
        if (monitor_id := request.id) is None:
            self._last_id += 1
            monitor_id = self._last_id
        return Monitor(
            monitor_id,
            request.address,
            request.type,
            request.value,
            request.severity,
            request.transaction,
            EventNotificationType.CUSTOM_MONITOR,  # also if it replaces a preconfigured one: N04.FR.15
            request.stream,
        )

    def _prepare(self, monitor: Monitor) -> _PreparedMonitor:
        """The monitor with its state from the beginning: from the present value, or from the monitor it replaces."""
        variable = self._variables.find(monitor.address)
        if not isinstance(variable, MonitorableVariable):
            raise LookupError(f"{monitor.address} does not exist")  # judged before
        active, value = ActiveMonitor(monitor, variable), self._variables.read(monitor.address.key)
        former = self._registry.get(monitor.id)
        if former is None:
            return _PreparedMonitor(active, Evaluation(initial_state(monitor, value, numeric=variable.numeric)))
        target = self._variables.target(active.key)
        start = replaced_state(former.monitor, former.state, monitor, value, numeric=variable.numeric, target=target)
        return _PreparedMonitor(active, start)

    def _activate(self, prepared: _PreparedMonitor) -> None:
        active, start = prepared.active, prepared.start
        active.state = active.reported = start.state
        self.queue.forget_state(active.monitor.id)
        replaces = self._registry.get(active.monitor.id) is not None
        self._registry.put(active)
        if replaces:
            self.detection.replace(active, start.occurrence)
        else:
            self.detection.start(active)

    def _restore(self, monitor: Monitor, state: MonitorState) -> ActiveMonitor | None:
        """Activate a monitor with a state, without evaluating it; None if its variable cannot be monitored."""
        variable = self._variables.find(monitor.address)
        if isinstance(variable, VariableMissing) or not variable.supports_monitoring:
            return None
        active = ActiveMonitor(monitor, variable)
        if not variable.write_only:  # its writes are counted from 0 after each start
            active.state = active.reported = state
        self._registry.put(active)
        return active

    def _remove(self, ids: Collection[int]) -> None:
        for monitor_id in ids:
            self.queue.forget_state(monitor_id)
            self._registry.remove(monitor_id)
