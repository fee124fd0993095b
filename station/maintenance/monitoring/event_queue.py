"""The events that wait for the CSMS, in order; those of an offline station are kept on disk."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import HIGHEST_SEVERITY, MonitoringEvent, MonitorState
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.maintenance.monitoring.monitor_store import MonitorStore

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 5_000
"""events that wait; beyond this the one with the highest severity number is dropped, the oldest of these first"""
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""of their texts, about"""
_EVENT_BYTES: Final = 400
"""of an event on disk, about, without its texts"""
_STATE_SAVE_INTERVAL_S: Final = 60.0
"""the longest time for which a changed reference value is not on disk yet"""
_RETRY_S: Final = 5.0
_MAX_SAVED_AT_ONCE: Final = 200
"""events, so that serializing them does not hold the event loop"""


class ReportedEvent(Frozen):
    """An event that the CSMS is to receive, with the states of its monitor before and after it."""

    event: MonitoringEvent
    state_id: int
    """the id under which the states are stored: that of the monitor or notification"""
    before: MonitorState
    after: MonitorState

    @property
    def size(self) -> int:
        """About how many bytes it needs on disk."""
        return _EVENT_BYTES + len(self.event.value) + len(self.event.tech_info or "")


class WaitingEvent(ReportedEvent, kw_only=True):
    """An event in the queue."""

    number: int


class EventQueue:
    """The events that the CSMS has not answered yet, the oldest first.

    Events that are added with `keep` are on disk after the next `save`. States of monitors are stored when the CSMS
    knows of them, or together with the event that waits on disk.
    """

    def __init__(self, store: MonitorStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting: dict[int, WaitingEvent] = {}
        self._by_severity: list[dict[int, None]] = [{} for _ in range(HIGHEST_SEVERITY + 1)]
        """numbers of the waiting events by severity, in order"""
        self._bytes = 0
        self._stored: set[int] = set()
        """numbers of the events on disk"""
        self._unsaved: dict[int, WaitingEvent] = {}
        self._numbers_to_delete: set[int] = set()
        """numbers of stored events that the next `save` deletes"""
        self._states: dict[int, MonitorState] = {}
        self._save_at_once = False
        self._save_due_s = 0.0
        self._dropped_unsaved = False
        self.dropped = 0
        """how many events were dropped since the first start of the station"""
        self.changed = ChangeSignal()
        """fires when an event is added"""
        self.save_requested: Event[None] = Event()
        """`save` has something to write, at once or later"""
        self.dropped_changed: Event[None] = Event()
        """`dropped_reported` has changed"""
        self.dropped_reported = 0
        """`dropped`, updated once the CSMS has answered an event, so that there is room to report it"""

    def __len__(self) -> int:
        return len(self._waiting)

    async def load(self, dropped: int) -> None:
        """Load the events that waited at the last end of the program; `dropped`: the stored count.

        Raises:
            StorageError: the disk cannot be read.
        """
        self.dropped = self.dropped_reported = dropped
        for number, event in (await self._store.load_events()).items():
            state = MonitorState()  # that of the monitor is stored already
            self._insert(WaitingEvent(event, 0, state, state, number=number))
            self._stored.add(number)
        self._numbers = itertools.count(await self._store.highest_event_number() + 1)

    def add(self, reported: ReportedEvent, *, keep: bool) -> None:
        """Add an event; `keep`: also on disk, since the CSMS is offline. Beyond the bounds one is dropped."""
        event, before, after = reported.event, reported.before, reported.after
        waiting = WaitingEvent(event, reported.state_id, before, after, number=next(self._numbers))
        self._insert(waiting)
        if keep:
            self._persist(waiting)
        while len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._drop()
        self.changed.notify()

    def oldest(self, most: int, most_bytes: int) -> list[WaitingEvent]:
        """The oldest events, at most `most` and about `most_bytes`, but at least one; they stay in the queue."""
        chosen: list[WaitingEvent] = []
        size = 0
        for waiting in itertools.islice(self._waiting.values(), most):
            size += waiting.size
            if chosen and size > most_bytes:
                break
            chosen.append(waiting)
        return chosen

    def settle(self, events: list[WaitingEvent]) -> None:
        """Remove events that the CSMS has answered."""
        for waiting in events:
            if self._waiting.get(waiting.number) is not waiting:
                continue  # dropped meanwhile
            self._remove(waiting)
            if waiting.after != waiting.before:
                self._set_state(waiting)
        if self.dropped != self.dropped_reported:
            self.dropped_reported = self.dropped
            self.dropped_changed.publish(None)
        self.save_requested.publish(None)

    def note_streamed(self, events: Sequence[ReportedEvent]) -> None:
        """Store the states of monitors whose events the CSMS has received by a stream, never having waited here."""
        changed = [reported for reported in events if reported.after != reported.before]
        for reported in changed:
            self._set_state(reported)
        if changed:
            self.save_requested.publish(None)

    def keep_offline(self, highest_severity: int) -> list[WaitingEvent]:
        """Keep the events that were triggered online on disk too; remove and return those above a severity.

        Called when the link is lost. Events that were kept before stay.
        """
        on_disk = self._stored | self._unsaved.keys()
        online = [waiting for waiting in self._waiting.values() if waiting.number not in on_disk]
        removed = [waiting for waiting in online if waiting.event.severity > highest_severity]
        for waiting in removed:
            self._remove(waiting)
        for waiting in online:
            if waiting.event.severity <= highest_severity:
                self._persist(waiting)
        return removed

    def forget_state(self, state_id: int) -> None:
        """Do not store the pending state of a monitor that was removed or replaced."""
        self._states.pop(state_id, None)

    @property
    def save_due_s(self) -> float | None:
        """When `save` has something to write (Clock.monotonic); None: nothing."""
        if not (self._unsaved or self._numbers_to_delete or self._states or self._dropped_unsaved):
            return None
        return self._save_due_s if not self._save_at_once else min(self._save_due_s, self._clock.monotonic())

    async def save(self) -> None:
        """Write what has changed: events at once, reference values at most once a minute. A failure is retried."""
        due_s = self.save_due_s
        if due_s is None or due_s > self._clock.monotonic():
            return
        events = dict(itertools.islice(self._unsaved.items(), _MAX_SAVED_AT_ONCE))
        complete = len(events) == len(self._unsaved)
        removed, states = (
            set(self._numbers_to_delete),
            dict(self._states) if complete else {},
        )  # no state before its event
        dropped = self.dropped if self._dropped_unsaved else None
        self._save_at_once = False
        try:
            await self._store.save_events(
                {number: waiting.event for number, waiting in events.items()}, removed, states, dropped
            )
        except StorageError as error:
            _log.error("events of monitors are not stored yet: %s", error)
            self._save_at_once, self._save_due_s = False, self._clock.monotonic() + _RETRY_S
            return  # the next urgent change retries at once
        self._stored = (self._stored | events.keys()) - removed
        self._numbers_to_delete -= removed
        self._numbers_to_delete |= {number for number in events if number not in self._waiting}  # settled meanwhile
        for number in events:
            self._unsaved.pop(number, None)
        for key, state in states.items():
            if self._states.get(key) is state:
                del self._states[key]
        if dropped == self.dropped:
            self._dropped_unsaved = False
        self._save_at_once = self._save_at_once or bool(self._unsaved or self._numbers_to_delete)
        self._save_due_s = self._clock.monotonic() + _STATE_SAVE_INTERVAL_S

    def _insert(self, waiting: WaitingEvent) -> None:
        self._waiting[waiting.number] = waiting
        self._by_severity[waiting.event.severity][waiting.number] = None
        self._bytes += waiting.size

    def _persist(self, waiting: WaitingEvent) -> None:
        self._unsaved[waiting.number] = waiting
        self._save_at_once = True
        if waiting.after != waiting.before:
            self._set_state(waiting)

    def _remove(self, waiting: WaitingEvent) -> None:
        del self._waiting[waiting.number]
        del self._by_severity[waiting.event.severity][waiting.number]
        self._bytes -= waiting.size
        self._unsaved.pop(waiting.number, None)
        if waiting.number in self._stored:
            self._numbers_to_delete.add(waiting.number)
            self._save_at_once = True

    def _set_state(self, waiting: ReportedEvent) -> None:
        self._states[waiting.state_id] = waiting.after
        if waiting.after.exceeded is not waiting.before.exceeded:
            self._save_at_once = True

    def _drop(self) -> None:
        """Drop the oldest event with the highest severity number."""
        numbers = next(numbers for numbers in reversed(self._by_severity) if numbers)
        self._remove(self._waiting[next(iter(numbers))])
        self.dropped += 1
        self._dropped_unsaved = True
        if self.dropped % 1_000 == 1:
            _log.error("too many events of monitors wait for the CSMS: %d were dropped", self.dropped)
