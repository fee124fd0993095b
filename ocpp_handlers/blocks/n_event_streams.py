"""Block N: opens, adjusts and closes periodic event streams, and sends their values (N11 to N15, OCPP 2.1)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from ocpp_handlers.blocks.n_monitoring import stream_from_wire
from ocpp_handlers.translate import translate
from ocpp_handlers.variables.monitored_model import came_later
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import LinkLostError
from ocpp_handlers.wire.edition import V21
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.maintenance.monitoring.monitor_request import SetMonitorStatus
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.wire import messages as m
    from station.maintenance.monitoring.event_streams import EventStream, StreamChunk
    from station.maintenance.monitoring.monitor import Monitor
    from station.maintenance.monitoring.variable_monitoring import VariableMonitoring

_log = logging.getLogger(__name__)

_LONGEST_WAIT_S: Final = 86_400.0


class EventStreamBlock:
    """Keeps a stream open for each monitor that the CSMS wants to have one, and answers the requests about streams.

    A stream that the CSMS does not open is not asked for again until the next link, or until its monitor is set again.
    """

    def __init__(
        self, link: Link, model: DeviceModel, monitoring: VariableMonitoring, clock: Clock, auxiliary: AuxiliaryCalls
    ) -> None:
        self._link = link
        self._model = model
        self._monitoring = monitoring
        self._streams = monitoring.streams
        self._clock = clock
        self._configured = ChangeSignal()
        """fires when monitors were set or cleared"""
        self._auxiliary = auxiliary

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of the two requests about open streams."""
        handlers.on(actions.GET_PERIODIC_EVENT_STREAM, self.get_periodic_event_stream, since=V21)
        handlers.on(actions.ADJUST_PERIODIC_EVENT_STREAM, self.adjust_periodic_event_stream, since=V21)

    async def get_periodic_event_stream(
        self, _: m.GetPeriodicEventStreamRequest
    ) -> HandlerResult[m.GetPeriodicEventStreamResponse]:
        """List the open streams (N12.FR.01)."""
        streams = [_stream_to_wire(stream) for stream in self._streams if stream.is_open]
        return HandlerResult({"constantStreamData": streams} if streams else {})

    async def adjust_periodic_event_stream(
        self, request: m.AdjustPeriodicEventStreamRequest
    ) -> HandlerResult[m.AdjustPeriodicEventStreamResponse]:
        """Change how often a stream sends its values (N14.FR.02, N14.FR.03)."""
        stream_id = translate.parse_integer(request["id"], "id")
        try:
            result = await self._monitoring.adjust_stream(stream_id, stream_from_wire(request["params"]))
        except StorageError as error:
            _log.error("the parameters of a periodic event stream could not be stored: %s", error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}})
        if result.status is SetMonitorStatus.ACCEPTED:
            return HandlerResult({"status": "Accepted"})
        reason: m.StatusInfoType = {"reasonCode": result.reason or "InvalidValue"}
        if result.info is not None:
            reason["additionalInfo"] = result.info
        return HandlerResult({"status": "Rejected", "statusInfo": reason})

    async def keep_open(self) -> None:
        """Task of a link: open the streams that monitors want, and close those of monitors that have changed.

        Raises:
            LinkLostError: the session has ended.
        """
        unsubscribe = self._auxiliary.subscribe(self._monitoring.configured, lambda _: self._configured.notify())
        try:
            await self._follow_monitors()
        finally:
            unsubscribe()

    async def _follow_monitors(self) -> None:
        not_opened: dict[int, Monitor] = {}
        while True:
            count = self._configured.count
            if self._link.edition.includes(V21):
                wanted = {monitor.id: monitor for monitor in self._monitoring.monitors() if self._is_wanted(monitor)}
                for stream in self._streams:
                    if wanted.get(stream.monitor.id) is not stream.monitor:
                        await self._close(stream)
                present = {stream.monitor.id for stream in self._streams}
                for monitor in wanted.values():
                    if monitor.id in present or not_opened.get(monitor.id) is monitor:
                        continue
                    if not await self._open(monitor):
                        not_opened[monitor.id] = monitor
            await self._configured.wait(count)

    async def send_values(self) -> None:
        """Task of a link: send the values of open streams when they are due (N15.FR.01, N15.FR.06 to N15.FR.08).

        Raises:
            LinkLostError: the session has ended.
        """
        while True:
            count = self._streams.changed.count
            while (chunk := self._streams.take_due()) is not None:
                await self._send(chunk)
            wait_s = min(_LONGEST_WAIT_S, max(0.0, self._streams.next_due_s - self._clock.monotonic()))
            await self._streams.changed.wait_for(count, self._clock, wait_s)

    def _is_wanted(self, monitor: Monitor) -> bool:
        known = not came_later(self._model, monitor.address, self._link.edition)
        return monitor.stream is not None and known

    async def _open(self, monitor: Monitor) -> bool:
        """Ask the CSMS to open the stream of a monitor; returns whether it is open (N11.FR.02, N11.FR.07)."""
        stream = self._streams.begin(monitor)
        try:
            request: m.OpenPeriodicEventStreamRequest = {"constantStreamData": _stream_to_wire(stream)}
            response = await self._link.call(actions.OPEN_PERIODIC_EVENT_STREAM, request)
            if response["status"] == "Accepted":
                self._streams.open(stream)
            else:
                _log.warning("the CSMS has not opened periodic event stream %d", monitor.id)
        except LinkLostError:
            raise
        except NoAnswerError as error:
            _log.warning("the CSMS has not opened periodic event stream %d: %s", monitor.id, error)
        finally:
            if not stream.is_open:
                self._streams.end(stream)
        return stream.is_open

    async def _close(self, stream: EventStream) -> None:
        """Close a stream, once its last values are sent (N13.FR.01, N13.FR.03)."""
        while (chunk := self._streams.take_rest(stream)) is not None:
            await self._send(chunk)
        self._streams.end(stream)
        try:
            await self._link.call(actions.CLOSE_PERIODIC_EVENT_STREAM, {"id": stream.monitor.id})
        except LinkLostError:
            raise
        except NoAnswerError as error:
            _log.warning("the CSMS has not answered that periodic event stream %d ends: %s", stream.monitor.id, error)

    async def _send(self, chunk: StreamChunk) -> None:
        try:
            await self._link.send(actions.NOTIFY_PERIODIC_EVENT_STREAM, _chunk_to_wire(chunk))
        except BaseException:
            self._streams.put_back(chunk)
            raise
        self._monitoring.queue.note_streamed(chunk.events)


def _stream_to_wire(stream: EventStream) -> m.ConstantStreamDataType:
    parameters: m.PeriodicEventStreamParamsType = {}
    if stream.parameters.interval_s:
        parameters["interval"] = stream.parameters.interval_s
    if stream.parameters.values:
        parameters["values"] = stream.parameters.values
    return {"id": stream.monitor.id, "variableMonitoringId": stream.monitor.id, "params": parameters}


def _chunk_to_wire(chunk: StreamChunk) -> m.NotifyPeriodicEventStream:
    """One message of a stream; times are seconds after its first value (N15.FR.04, N15.FR.09)."""
    events = [reported.event for reported in chunk.events]
    base = events[0].occurred_at
    return {
        "id": chunk.stream.monitor.id,
        "pending": chunk.pending,
        "basetime": timestamps.encode(base),
        "data": [{"t": round((event.occurred_at - base).total_seconds(), 3), "v": event.value} for event in events],
    }
