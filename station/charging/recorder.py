"""Brings the events of one EVSE to the record: in order, with their meter values, and none is given up."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.monitored_task import MonitoredTask
from metering.reading import Phases, Reading, RegisterReading
from station.charging.sampler import configured_sample
from station.core.model import SAMPLE_TRIGGERS, ChargingState, EventType, TransactionEvent, TriggerReason
from station.core.sampling import MOST_ENDED_VALUES, MeterValue, ReadingContext, Series, thin_out
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.time_quality import TimeStatus
    from station.charging.meter_polling import MeterPoller
    from station.charging.recording import Recording
    from station.charging.signing.meter_value_signing import MeterValueSigning
    from station.charging.signing.signed_records import SignedRecord
    from station.core.setting_groups import SamplingSettings
    from station.core.settings import Settings

_log = logging.getLogger(__name__)

_MOST_SAMPLES = 500
"""with so many samples waiting in memory for the disk, every second one goes (E04.FR.07)"""
_WRITE_S = 60.0
"""a disk that neither takes an event nor refuses it within this does not come back"""
_RETRY_S = (1.0, 2.0, 5.0, 10.0)
_ASK_METER_EVERY_S = 1.0


class RecordedEvse(Protocol):
    """The EVSE, as far as its events need it."""

    @property
    def offered(self) -> Phases[float]:
        """What the pilot offers now on each phase, amperes (Current.Offered)."""
        ...


class EventRecorder:
    """A queue in memory, only as long as the disk takes. What is in the outbox is safe."""

    def __init__(
        self,
        evse: RecordedEvse,
        meter: MeterPoller,
        recording: Recording,
        signing: MeterValueSigning | None,
        settings: Settings,
        clock: Clock,
    ) -> None:
        """`signing` is None where nothing is signed."""
        self._evse = evse
        self._outbox = recording.outbox
        self._csms = recording.csms
        self._time = recording.time
        self._meter = meter
        self._signing = signing
        self._settings = settings
        self._clock = clock
        self._waiting: deque[TransactionEvent] = deque()
        self._changed = ChangeSignal()
        self._dropped = 0
        self._first: tuple[MeterValue, ...] = ()
        """what the transaction that starts keeps for its end"""
        self._key_told: str | None = None
        """the transaction that the CSMS has been told the public key of"""
        self._awaits_meter = False
        """the oldest event is an end that waits for its meter, and the disk knows how it ended"""
        self._shown: dict[str, Reading] = {}
        """what the meters of transactions that a power cut ended showed last"""
        self.writing = MonitoredTask("the record of transactions", clock, _WRITE_S)
        self.recorded = Event[TransactionEvent]()
        """each event once it is on disk"""
        self.disk_failed = Event[bool]()
        """True: the disk refuses an event; False: it takes events again"""

    def record(self, event: TransactionEvent) -> None:
        """Record this event after those that were put before."""
        self._waiting.append(event)
        if event.trigger in SAMPLE_TRIGGERS:
            self._bound()
        self._changed.notify()

    def count_waiting(self, transaction_id: str | None = None) -> int:
        """How many events are not on disk yet, of one transaction or of all."""
        return sum(1 for event in self._waiting if transaction_id in (None, event.transaction_id))

    @property
    def end_pending(self) -> bool:
        """Whether the end of a transaction is not on record yet."""
        return any(event.event_type is EventType.ENDED for event in self._waiting)

    def record_end(self, event: TransactionEvent, shown: Reading | None, *, key_told: bool) -> None:
        """Record an end that a power cut left behind, before anything else; `shown` is what the meter showed last."""
        if shown is not None:
            self._shown[event.transaction_id] = shown
        if key_told:
            self._key_told = event.transaction_id
        self.record(event)

    async def wait_recorded(self) -> None:
        """Wait until all that was put is on disk; of an end that waits for its meter, how it ended.

        What comes after such an end has had no energy, and nobody has been told of it.
        """
        seen = self._changed.count
        while self._waiting and not self._awaits_meter:
            seen = await self._changed.wait(seen)

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            seen = self._changed.count
            if not self._waiting:
                await self._changed.wait(seen)
                continue
            event = await self._with_meter_values(self._waiting[0])
            await self._keep_first(event.transaction_id)  # before: a power cut in between must not leave it out
            recorded = await self._append(self._with_public_key(event))
            await self._keep_first(event.transaction_id)  # a disk that refused it may take it now
            self._awaits_meter = False
            self._waiting.popleft()
            self._changed.notify()
            self.recorded.publish(recorded)
            await self._bound_outbox()

    def _bound(self) -> None:
        """Too many samples for the memory: the 1st, 3rd, 5th … go, nothing else (E04.FR.08, E12.FR.05)."""
        # The oldest event is being written.
        samples = [place for place, event in enumerate(self._waiting) if place and event.trigger in SAMPLE_TRIGGERS]
        if len(samples) < _MOST_SAMPLES:
            return
        gone = set(samples[::2])
        self._waiting = deque(event for place, event in enumerate(self._waiting) if place not in gone)
        self._dropped += len(gone)
        _log.error("disk refuses events: %d samples left out so far", self._dropped)

    async def _bound_outbox(self) -> None:
        try:
            dropped = await self._outbox.limit_queue(self._settings.queued_events_limit)
        except StorageError as error:
            _log.error("the queue of events cannot be thinned out: %s", error)
        else:
            if dropped:
                _log.warning("too many events wait for the CSMS: %d samples dropped", dropped)

    async def _append(self, event: TransactionEvent) -> TransactionEvent:
        attempt = 0
        while True:
            if not self._csms.online:  # E11.FR.07: the link went while the meter or the disk was waited for
                event = replace(event, offline=True)
            try:
                with self.writing:
                    recorded = await self._outbox.append(event)
            except StorageError as error:
                if attempt == 0:
                    _log.error("transaction event %s is not on disk: %s", event.event_type, error)
                    self.disk_failed.publish(True)
                await self._clock.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
                continue
            if attempt:
                _log.info("disk takes events again")
                self.disk_failed.publish(False)
            return recorded

    async def _with_meter_values(self, event: TransactionEvent) -> TransactionEvent:
        """Begin and end carry the register (E01.FR.09, E06.FR.11); samples brought their own."""
        if event.event_type is EventType.ENDED:
            return await self._with_end_values(event)
        begins = event.event_type is EventType.STARTED
        energy_begins = event.trigger is TriggerReason.CHARGING_STATE_CHANGED
        charging = event.charging_state is ChargingState.CHARGING
        look = begins or (charging and energy_begins)
        reading = await self._meter.read_now() if look else self._meter.latest
        signed = None
        if self._signing is not None and (begins or event.trigger is TriggerReason.SIGNED_DATA_RECEIVED):
            signed = await self._signing.begin_value(event.transaction_id)
            reading = self._signing.begin_reading(event.transaction_id) or reading  # what it is signed with
        if begins or signed is not None:
            wanted = self._settings.sampled_tx_started_measurands
            values = self._values(reading or self._meter.latest, wanted, ReadingContext.TRANSACTION_BEGIN)
            event = replace(event, meter_values=tuple(value.with_signature(signed) for value in values))
        if begins:
            self._meter.starts.begin_transaction(reading)
            event = replace(event, register=self._register(reading))
            if self._settings.sampled_tx_ended_interval_s == 0:  # only the values of the start and of the end
                ended = self._settings.sampled_tx_ended_measurands
                self._first = self._values(reading or self._meter.latest, ended, ReadingContext.TRANSACTION_BEGIN)
        if charging and (event.meter_values or energy_begins):
            event = replace(event, phases_used=_phases_used(reading))  # E02.FR.18, E02.FR.19, E03.FR.13, E03.FR.14
        return event

    async def _keep_first(self, transaction_id: str) -> None:
        """The value of the start belongs into the end too (SampledDataTxEndedInterval)."""
        try:
            while self._first:
                await self._outbox.end_data.store_sample(transaction_id, self._first[0])
                self._first = self._first[1:]
        except StorageError as error:
            _log.error("the first sample for the end of transaction %s is not on disk: %s", transaction_id, error)

    async def _with_end_values(self, event: TransactionEvent) -> TransactionEvent:
        shown = self._meter.latest or self._shown.pop(event.transaction_id, None)
        fresh, records = await self._at_end(event, shown)
        # The contactor is open: a meter that is silent now would show what it showed last.
        reading = fresh or shown
        try:
            kept = await self._outbox.end_data.samples(event.transaction_id)
        except StorageError as error:
            _log.error("samples of transaction %s cannot be read: %s", event.transaction_id, error)
            kept = []
        # What is aligned with the clock has no sample of the end (TC_J_03_CS).
        since = self._meter.starts.since(Series.SAMPLED_FOR_END)
        last = self._values(reading, self._settings.sampled_tx_ended_measurands, ReadingContext.TRANSACTION_END, since)
        values = [*kept, *last]
        if self._signing is not None:
            values = self._signing.end_values(records, kept, list(last))
        register = register_reading(fresh, shown, self._time.status)
        return replace(event, meter_values=thin_out(values, MOST_ENDED_VALUES), register=register)

    async def _at_end(
        self, event: TransactionEvent, shown: Reading | None
    ) -> tuple[Reading | None, list[SignedRecord]]:
        """What the meter shows at the end, and the records that vouch for it; a meter that is silent is waited for.

        Its register stays as it is meanwhile: the contactor is open, and the next charge waits behind this event.
        """
        given_up_s = self._clock.monotonic() + self._settings.end_register_wait_s
        while True:
            fresh = await self._meter.read_now()
            left_s = given_up_s - self._clock.monotonic()
            if self._signing is None or (fresh is None and left_s > 0.0):
                records, complete = [], fresh is not None
            else:
                records = await self._signing.sign_end(event, fresh, shown)
                complete = fresh is not None and not self._signing.may_end_later
            if complete or left_s <= 0.0:
                if fresh is None:
                    _log.error("transaction %s ends without a register: nothing to bill", event.transaction_id)
                return fresh, records
            await self._await_meter(event)
            await self._clock.sleep(min(_ASK_METER_EVERY_S, left_s))

    async def _await_meter(self, event: TransactionEvent) -> None:
        """See that the disk knows how a transaction ended whose meter is waited for."""
        if self._awaits_meter:
            return
        try:
            await self._outbox.end_data.store_end(event)
        except StorageError as error:
            _log.error("how transaction %s ended is not on disk: %s", event.transaction_id, error)
            return
        _log.warning("transaction %s has ended, and its meter is silent: its end waits", event.transaction_id)
        self._awaits_meter = True
        self._changed.notify()

    def _with_public_key(self, event: TransactionEvent) -> TransactionEvent:
        if self._signing is None:
            return event
        told = self._key_told == event.transaction_id
        values, told = self._signing.with_public_keys(event.meter_values, told=told)
        self._key_told = event.transaction_id if told else self._key_told
        return replace(event, meter_values=values)

    def _register(self, reading: Reading | None) -> RegisterReading | None:
        return register_reading(reading, self._meter.latest, self._time.status)

    def _values(
        self,
        reading: Reading | None,
        measurands: tuple[str, ...],
        context: ReadingContext,
        since: Reading | None = None,
    ) -> tuple[MeterValue, ...]:
        return sampled_values(reading, measurands, context, self._settings, offered=self._evse.offered, since=since)


def sampled_values(
    reading: Reading | None,
    measurands: tuple[str, ...],
    context: ReadingContext,
    settings: SamplingSettings,
    *,
    offered: Phases[float],
    since: Reading | None = None,
) -> tuple[MeterValue, ...]:
    """What an event tells of a reading; nothing without `measurands`, or where SampledDataCtrlr.Enabled is off.

    `offered` is what the pilot offers on each phase, amperes; `since` the reading with which the interval began.
    """
    if not settings.sampled_data_enabled:
        return ()
    value = configured_sample(reading, measurands, context, settings, offered=offered, since=since)
    return (value,) if value is not None else ()


def register_reading(fresh: Reading | None, last: Reading | None, time: TimeStatus) -> RegisterReading | None:
    """The billing register for the record; of a meter that is silent now the last one, which says so."""
    reading = fresh or last
    if reading is None or reading.energy_import_wh is None:
        return None
    return RegisterReading(reading.energy_import_wh, reading.taken_at, time, substitute=fresh is None)


def _phases_used(reading: Reading | None) -> int | None:
    """How many phases carry current (E02.FR.18); None when the meter does not tell."""
    if reading is None:
        return None
    used = sum(1 for current_a in reading.currents_a if current_a is not None and abs(current_a) >= 1.0)
    return used or None
