"""Periodic event streams: they collect the events of frequent monitors, to send many in one message (N11 to N15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import StreamParameters
from station.maintenance.monitoring.monitor_request import MOST_STREAM_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from foundation.clock import Clock
    from station.maintenance.monitoring.event_queue import EventQueue, ReportedEvent
    from station.maintenance.monitoring.monitor import Monitor

MAX_STREAMS: Final = 20
"""monitors that have a stream (MonitoringCtrlr.MaxPeriodicEventStreams)"""
_MAX_LENGTH: Final = 65_536
"""characters of the values of a stream, so that its message stays small; it sends them early then"""
_MAX_COLLECTED: Final = 5_000
"""events of all streams; a further one waits in the queue"""


class StreamChunk(Frozen):
    """The events of one message of a stream."""

    stream: EventStream
    events: Sequence[ReportedEvent]
    """the oldest first; at least one"""
    pending: int
    """how many more were collected (N15.FR.04)"""


class EventStream:
    """The stream of a monitor, which has its id."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.is_open = False
        """whether the CSMS has opened it; before that, events are only collected"""
        self.due_s = 0.0
        """when it sends next (Clock.monotonic), if it has an interval"""
        self.collected: list[ReportedEvent] = []
        """the oldest first"""
        self.length = 0
        """characters of the collected values"""

    @property
    def parameters(self) -> StreamParameters:
        """How often it sends."""
        return self.monitor.stream or StreamParameters()

    @property
    def has_message(self) -> bool:
        """Whether there are values enough for a message."""
        return len(self.collected) >= (self.parameters.values or MOST_STREAM_VALUES) or self.length >= _MAX_LENGTH

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a further event."""
        return len(self.collected) >= MOST_STREAM_VALUES or self.length >= _MAX_LENGTH

    def is_due(self, now_s: float) -> bool:
        """Return whether it has something to send now (N15.FR.06, N15.FR.08)."""
        if not self.is_open or not self.collected:
            return False
        return self.has_message or (self.parameters.interval_s > 0 and now_s >= self.due_s)

    def add(self, reported: ReportedEvent) -> None:
        """Collect an event."""
        self.collected.append(reported)
        self.length += len(reported.event.value)

    def take(self, most: int) -> Sequence[ReportedEvent]:
        """Remove and return the oldest events."""
        taken, self.collected = self.collected[:most], self.collected[most:]
        self.length -= _length(taken)
        return taken


class EventStreams:
    """The streams that the CSMS has opened on this link, and those that it is asked to open.

    Whatever a stream cannot take or has not sent when it ends waits in the queue, as the events of other monitors.
    """

    def __init__(self, queue: EventQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._streams: dict[int, EventStream] = {}
        self.changed = ChangeSignal()
        """fires when a stream may have become due"""

    def __iter__(self) -> Iterator[EventStream]:
        return iter(list(self._streams.values()))

    def is_open(self, monitor: Monitor) -> bool:
        """Return whether the CSMS has opened the stream of a monitor."""
        stream = self._streams.get(monitor.id)
        return stream is not None and stream.monitor is monitor and stream.is_open

    def begin(self, monitor: Monitor) -> EventStream:
        """Collect the events of a monitor from now on, until the CSMS has answered whether it opens the stream."""
        stream = self._streams[monitor.id] = EventStream(monitor)
        return stream

    def open(self, stream: EventStream) -> None:
        """Send what is collected from now on: the CSMS has opened the stream."""
        stream.is_open = True
        stream.due_s = self._clock.monotonic() + stream.parameters.interval_s
        self.changed.notify()

    def adjust(self, former: Monitor, adjusted: Monitor) -> None:
        """Send with the parameters of the adjusted monitor, which replaces its former form, from the last message."""
        stream = self._streams[former.id]
        sent_s = stream.due_s - stream.parameters.interval_s
        stream.monitor = adjusted
        stream.due_s = sent_s + stream.parameters.interval_s
        self.changed.notify()

    def add(self, monitor: Monitor, reported: ReportedEvent) -> bool:
        """Collect an event, if the monitor has a stream with room for it; returns whether it has."""
        stream = self._streams.get(monitor.id)
        if stream is None or stream.monitor is not monitor or stream.is_full:
            return False
        if sum(len(other.collected) for other in self._streams.values()) >= _MAX_COLLECTED:
            return False
        stream.add(reported)
        if len(stream.collected) == 1 or stream.has_message:
            self.changed.notify()
        return True

    def take_due(self) -> StreamChunk | None:
        """Remove and return the events of the next message that is due; None: there is none yet."""
        now_s = self._clock.monotonic()
        for stream in self._streams.values():
            if stream.is_due(now_s):
                chunk = self._take(stream)
                if now_s < stream.due_s:  # enough values came before the interval was over
                    stream.due_s = now_s + stream.parameters.interval_s
                elif not chunk.pending:
                    interval_s = max(1, stream.parameters.interval_s)
                    stream.due_s += interval_s * ((now_s - stream.due_s) // interval_s + 1)
                return chunk
        return None

    def take_rest(self, stream: EventStream) -> StreamChunk | None:
        """Remove and return the events of the next message of a stream that is to end; None: nothing is left."""
        return self._take(stream) if stream.collected else None

    def put_back(self, chunk: StreamChunk) -> None:
        """Undo `take_due` or `take_rest`: the message was not sent. The events of a stream that has ended wait."""
        stream = chunk.stream
        stream.collected[:0] = chunk.events
        stream.length += _length(chunk.events)
        if self._streams.get(stream.monitor.id) is not stream:
            self.end(stream)

    def end(self, stream: EventStream) -> None:
        """End a stream: what is still collected waits in the queue."""
        if self._streams.get(stream.monitor.id) is stream:
            del self._streams[stream.monitor.id]
        for reported in stream.take(len(stream.collected)):
            self._queue.add(reported, keep=False)

    def end_all(self) -> None:
        """End all streams: the link is lost."""
        for stream in self:
            self.end(stream)

    @property
    def next_due_s(self) -> float:
        """When the next message is due (Clock.monotonic); infinite if an event must come first."""
        waiting = [stream for stream in self._streams.values() if stream.is_open and stream.collected]
        now_s = self._clock.monotonic()
        due = (now_s if stream.is_due(now_s) else stream.due_s for stream in waiting if stream.parameters.interval_s)
        return min(due, default=float("inf"))

    def _take(self, stream: EventStream) -> StreamChunk:
        events = stream.take(stream.parameters.values or MOST_STREAM_VALUES)
        return StreamChunk(stream, events, len(stream.collected))


def _length(events: Sequence[ReportedEvent]) -> int:
    return sum(len(reported.event.value) for reported in events)
