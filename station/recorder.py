"""Brings the events of one EVSE to the record: in order, with their meter values, and none is given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from metering.reading import Reading
from metering.sampling import MOST_ENDED_VALUES, Context, Measurand, MeterValue, sample, thin_out
from station.database import StorageError
from station.model import ChargingState, EventType, TransactionEvent, TriggerReason

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.meter_watch import MeterWatch
    from station.outbox import Outbox
    from station.settings import Settings

_log = logging.getLogger(__name__)

_MOST_WAITING = 500
"""with so many events waiting for the disk, periodic samples are thinned out (E04.FR.07)"""
_RETRY_S = (1.0, 2.0, 5.0, 10.0)
_PERIODIC = frozenset({TriggerReason.METER_VALUE_PERIODIC, TriggerReason.METER_VALUE_CLOCK})


class Recorder:
    """A queue in memory, only as long as the disk takes. What is in the outbox is safe."""

    def __init__(self, outbox: Outbox, meter: MeterWatch, settings: Settings, clock: Clock) -> None:
        self._outbox = outbox
        self._meter = meter
        self._settings = settings
        self._clock = clock
        self._waiting: asyncio.Queue[TransactionEvent] = asyncio.Queue()
        self._dropped = 0
        self._thin = False
        self.on_recorded: Callable[[TransactionEvent], None] | None = None
        self.on_failure: Callable[[bool], None] | None = None
        """told when the disk refuses (True) and when it takes events again (False)"""

    def put(self, event: TransactionEvent) -> None:
        """Record this event after those that were put before."""
        if event.trigger in _PERIODIC and self._waiting.qsize() >= _MOST_WAITING:
            self._thin = not self._thin
            if self._thin:  # every second one, never the last of them (E04.FR.08)
                self._dropped += 1
                _log.error("disk refuses events: %d periodic samples left out so far", self._dropped)
                return
        self._waiting.put_nowait(event)

    async def settled(self) -> None:
        """Wait until all that was put is on disk."""
        await self._waiting.join()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            event = await self._waiting.get()
            recorded = await self._append(await self._with_meter_values(event))
            self._waiting.task_done()
            if self.on_recorded is not None:
                self.on_recorded(recorded)

    async def _append(self, event: TransactionEvent) -> TransactionEvent:
        for attempt in range(1_000_000_000):
            try:
                recorded = await self._outbox.append(event)
            except StorageError as error:
                if attempt == 0:
                    _log.error("transaction event %s is not on disk: %s", event.event_type, error)
                    self._tell_failure(True)
                await self._clock.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                continue
            if attempt:
                _log.info("disk takes events again")
                self._tell_failure(False)
            return recorded
        raise AssertionError("unreachable")

    def _tell_failure(self, failing: bool) -> None:
        if self.on_failure is not None:
            self.on_failure(failing)

    async def _with_meter_values(self, event: TransactionEvent) -> TransactionEvent:
        """Begin and end carry the register (E01.FR.09, E06.FR.11); samples brought their own."""
        settings = self._settings
        if event.event_type is EventType.STARTED:
            reading = await self._meter.fresh() or self._meter.latest
            wanted = settings.sampled_tx_started_measurands
            return replace(event, meter_values=_values(reading, wanted, Context.TRANSACTION_BEGIN))
        if event.event_type is EventType.ENDED:
            return replace(event, meter_values=await self._end_values(event))
        if event.meter_values and event.charging_state is ChargingState.CHARGING:
            return replace(event, phases_used=_phases_used(self._meter.latest))
        return event

    async def _end_values(self, event: TransactionEvent) -> tuple[MeterValue, ...]:
        # The contactor is open: a meter that is silent now would show what it showed last.
        reading = await self._meter.fresh() or self._meter.latest
        try:
            kept = await self._outbox.kept_for_end(event.transaction_id)
        except StorageError as error:
            _log.error("samples of transaction %s cannot be read: %s", event.transaction_id, error)
            kept = []
        last = _values(reading, self._settings.sampled_tx_ended_measurands, Context.TRANSACTION_END)
        aligned = _values(reading, self._settings.aligned_tx_ended_measurands, Context.TRANSACTION_END)
        if aligned and last:
            extra = tuple(one for one in aligned[0].samples if one not in last[0].samples)
            last = (replace(last[0], samples=last[0].samples + extra),)
        return thin_out([*kept, *(last or aligned)], MOST_ENDED_VALUES)


def _values(reading: Reading | None, measurands: tuple[str, ...], context: Context) -> tuple[MeterValue, ...]:
    if reading is None:
        return ()
    value = sample(reading, [Measurand(name) for name in measurands], context)
    return (value,) if value is not None else ()


def _phases_used(reading: Reading | None) -> int | None:
    """How many phases carry current (E02.FR.18); None when the meter does not tell."""
    if reading is None:
        return None
    used = sum(1 for current_a in reading.currents_a if current_a is not None and abs(current_a) >= 1.0)
    return used or None
