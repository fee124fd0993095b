"""Stores the transaction events of one EVSE: in order, with their meter values, retrying until stored."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from foundation.events import Event
from foundation.monitored_task import MonitoredTask
from metering.reading import Phases, Reading, RegisterReading
from station.charging.sampler import configured_sample
from station.core.model import ChargingState, EventType, TransactionEvent, TriggerReason
from station.core.sampling import MAX_ENDED_VALUES, MeterValue, ReadingContext, Series, thin_out
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.time_quality import TimeStatus
    from station.charging.evse_settings import EvseSettings
    from station.charging.meter_polling import MeterPoller
    from station.charging.recording import Recording
    from station.charging.sampling_settings import SamplingSettings
    from station.charging.signing.meter_value_signing import MeterValueSigning
    from station.charging.signing.signed_records import SignedRecord
    from station.charging.unrecorded_events import UnrecordedEvents

_log = logging.getLogger(__name__)

_WRITE_DEADLINE_S = 60.0
"""watchdog limit for storing an event"""
_RETRY_S = (1.0, 2.0, 5.0, 10.0)
_METER_RETRY_S = 1.0


class RecordedEvse(Protocol):
    """The member of `Evse` that `EventRecorder` needs."""

    @property
    def offered(self) -> Phases[float]:
        """The current that the pilot offers now on each phase, in A (Current.Offered)."""
        ...

    @property
    def soc(self) -> float | None:
        """State of charge of the vehicle, 0 to 1; None: not known."""
        ...


class EventRecorder:
    """Stores the queued transaction events of one EVSE in the outbox, in order.

    Before that it reads the meter at begin and end and adds meter values, register, signatures and public key.
    """

    def __init__(
        self,
        evse: RecordedEvse,
        queue: UnrecordedEvents,
        meter: MeterPoller,
        recording: Recording,
        signing: MeterValueSigning | None,
        settings: EvseSettings,
        clock: Clock,
    ) -> None:
        """`queue`: the events to store; `signing`: None if readings are not signed."""
        self._evse = evse
        self._queue = queue
        self._outbox = recording.outbox
        self._csms = recording.csms
        self._time_source = recording.time
        self._meter = meter
        self._signing = signing
        self._settings = settings.sampling
        self._transaction_settings = settings.transactions
        self._record_settings = settings.records
        self._clock = clock
        self._start_values: tuple[MeterValue, ...] = ()
        """values at the start of the transaction, to be stored for its end"""
        self._key_sent_in: str | None = None
        """the transaction whose events have already carried the public key"""
        self._last_readings: dict[str, Reading] = {}
        """last recorded reading of transactions interrupted by a power cut, by transaction id"""
        self.writing = MonitoredTask("the record of transactions", clock, _WRITE_DEADLINE_S)
        """runs while an event is being stored, for the watchdog"""
        self.recorded: Event[TransactionEvent] = Event()
        """published with each event once it is in the outbox"""
        self.disk_failed: Event[bool] = Event()
        """published True when an event could not be stored, and False when events are stored again"""

    def record_recovered_end(self, event: TransactionEvent, last_reading: Reading | None, *, key_sent: bool) -> None:
        """Queue the Ended event of a transaction interrupted by a power cut; call before `run` and any other event.

        `run` stores it once the meter has answered, at the latest after `end_register_wait_s`, then with the values of
        `last_reading` (the last recorded one; None: there is none). `key_sent`: the public key was sent.
        """
        if last_reading is not None:
            self._last_readings[event.transaction_id] = last_reading
        if key_sent:
            self._key_sent_in = event.transaction_id
        self._queue.put(event)

    async def run(self) -> None:
        """Task until cancelled: complete and store the queued events, retrying each until it is stored."""
        while True:
            count_before = self._queue.changed.count
            if (oldest := self._queue.oldest) is None:
                await self._queue.changed.wait(count_before)
                continue
            event = await self._with_meter_values(oldest)
            await self._store_start_values(
                event.transaction_id
            )  # before the event, so that a power cut in between cannot lose it
            recorded = await self._append(self._with_public_key(event))
            await self._store_start_values(event.transaction_id)  # again, in case it could not be stored before
            self._queue.remove_oldest()
            self.recorded.publish(recorded)
            await self._bound_outbox()

    async def _bound_outbox(self) -> None:
        try:
            dropped = await self._outbox.limit_queue(self._record_settings.queued_events_limit)
        except StorageError as error:
            _log.error("the samples in the event queue cannot be reduced: %s", error)
        else:
            if dropped:
                _log.warning("too many transaction events wait for the CSMS: %d samples dropped", dropped)

    async def _append(self, event: TransactionEvent) -> TransactionEvent:
        attempt = 0
        while True:
            if not self._csms.online:  # E11.FR.07: the connection may have failed while waiting for meter or disk
                event = replace(event, offline=True)
            try:
                with self.writing:
                    recorded = await self._outbox.append(event)
            except StorageError as error:
                if attempt == 0:
                    _log.error("transaction event %s cannot be stored and is retried: %s", event.event_type, error)
                    self.disk_failed.publish(True)
                await self._clock.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
                continue
            if attempt:
                _log.info("transaction events can be stored again")
                self.disk_failed.publish(False)
            return recorded

    async def _with_meter_values(self, event: TransactionEvent) -> TransactionEvent:
        """Add meter values and register to begin and end (E01.FR.09, E06.FR.11); samples already have values."""
        if event.event_type is EventType.ENDED:
            return await self._with_end_values(event)
        begins = event.event_type is EventType.STARTED
        energy_begins = event.trigger is TriggerReason.CHARGING_STATE_CHANGED
        charging = event.charging_state is ChargingState.CHARGING
        needs_reading = begins or (charging and energy_begins)
        reading = await self._meter.read_now() if needs_reading else self._meter.latest
        signed = None
        if self._signing is not None and (begins or event.trigger is TriggerReason.SIGNED_DATA_RECEIVED):
            signed = await self._signing.begin_value(event.transaction_id)
            reading = self._signing.begin_reading(event.transaction_id) or reading  # the reading that was signed
        if begins or signed is not None:
            measurands = self._settings.sampled_tx_started_measurands
            values = self._values(reading or self._meter.latest, measurands, ReadingContext.TRANSACTION_BEGIN)
            event = replace(event, meter_values=tuple(value.with_signature(signed) for value in values))
        if begins:
            self._meter.starts.begin_transaction(reading)
            event = replace(event, register=self._register(reading))
            if self._settings.sampled_tx_ended_interval_s == 0:  # only the values of the start and of the end
                ended_measurands = self._settings.sampled_tx_ended_measurands
                self._start_values = self._values(
                    reading or self._meter.latest, ended_measurands, ReadingContext.TRANSACTION_BEGIN
                )
        if charging and (event.meter_values or energy_begins):
            event = replace(event, phases_used=_phases_used(reading))  # E02.FR.18, E02.FR.19, E03.FR.13, E03.FR.14
        return event

    async def _store_start_values(self, transaction_id: str) -> None:
        """Store the values of the start, which the Ended event repeats (SampledDataTxEndedInterval)."""
        try:
            while self._start_values:
                await self._outbox.end_data.store_sample(transaction_id, self._start_values[0])
                self._start_values = self._start_values[1:]
        except StorageError as error:
            _log.error(
                "transaction %s: its start values cannot be stored for the Ended event: %s", transaction_id, error
            )

    async def _with_end_values(self, event: TransactionEvent) -> TransactionEvent:
        last_reading = self._meter.latest or self._last_readings.pop(event.transaction_id, None)
        end_reading, records = await self._read_and_sign_end(event, last_reading)
        # The contactor is open: if the meter does not answer, its last reading still applies.
        reading = end_reading or last_reading
        try:
            samples = await self._outbox.end_data.samples(event.transaction_id)
        except StorageError as error:
            _log.error("transaction %s: its stored samples cannot be read: %s", event.transaction_id, error)
            samples = []
        # Clock-aligned data has no sample at the end (TC_J_03_CS).
        since = self._meter.starts.since(Series.SAMPLED_FOR_END)
        end_values = self._values(
            reading, self._settings.sampled_tx_ended_measurands, ReadingContext.TRANSACTION_END, since
        )
        values = [*samples, *end_values]
        if self._signing is not None:
            values = self._signing.end_values(records, samples, list(end_values))
        register = register_reading(end_reading, last_reading, self._time_source.status)
        return replace(event, meter_values=thin_out(values, MAX_ENDED_VALUES), register=register)

    async def _read_and_sign_end(
        self, event: TransactionEvent, last_reading: Reading | None
    ) -> tuple[Reading | None, list[SignedRecord]]:
        """Read the meter at the end of a transaction and sign; wait for a meter that does not answer.

        The register does not change meanwhile: the contactor is open, and the next transaction is queued behind this
        event. Returns the reading, None if the wait timed out, and the signed records.
        """
        deadline_s = self._clock.monotonic() + self._transaction_settings.end_register_wait_s
        while True:
            end_reading = await self._meter.read_now()
            left_s = deadline_s - self._clock.monotonic()
            if self._signing is None or (end_reading is None and left_s > 0.0):
                records, complete = [], end_reading is not None
            else:
                records = await self._signing.sign_end(event, end_reading, last_reading)
                complete = end_reading is not None and not self._signing.may_end_later
            if complete or left_s <= 0.0:
                if end_reading is None:
                    _log.error(
                        "transaction %s ends without a register at its end: it cannot be billed", event.transaction_id
                    )
                return end_reading, records
            await self._await_meter(event)
            await self._clock.sleep(min(_METER_RETRY_S, left_s))

    async def _await_meter(self, event: TransactionEvent) -> None:
        """Store the reason of an end that waits for the meter, in case of a power cut."""
        if self._queue.oldest_awaits_meter:
            return
        try:
            await self._outbox.end_data.store_end(event)
        except StorageError as error:
            _log.error("transaction %s: its stop reason cannot be stored: %s", event.transaction_id, error)
            return
        _log.warning("transaction %s has ended: its Ended event waits for the meter", event.transaction_id)
        self._queue.note_awaited_meter()

    def _with_public_key(self, event: TransactionEvent) -> TransactionEvent:
        if self._signing is None:
            return event
        key_sent = self._key_sent_in == event.transaction_id
        values, key_sent = self._signing.with_public_keys(event.meter_values, sent=key_sent)
        self._key_sent_in = event.transaction_id if key_sent else self._key_sent_in
        return replace(event, meter_values=values)

    def _register(self, reading: Reading | None) -> RegisterReading | None:
        return register_reading(reading, self._meter.latest, self._time_source.status)

    def _values(
        self,
        reading: Reading | None,
        measurands: tuple[str, ...],
        context: ReadingContext,
        since: Reading | None = None,
    ) -> tuple[MeterValue, ...]:
        evse = self._evse
        return sampled_values(
            reading, measurands, context, self._settings, offered=evse.offered, soc=evse.soc, since=since
        )


def sampled_values(
    reading: Reading | None,
    measurands: tuple[str, ...],
    context: ReadingContext,
    settings: SamplingSettings,
    *,
    offered: Phases[float],
    soc: float | None = None,
    since: Reading | None = None,
) -> tuple[MeterValue, ...]:
    """Sample `measurands` of a reading for an event; empty without values, or if SampledDataCtrlr.Enabled is false.

    `offered`: by the pilot on each phase, in A; `soc`: of the vehicle, 0 to 1; `since`: the reading at the start of the
    interval, for its energy.
    """
    if not settings.sampled_data_enabled:
        return ()
    value = configured_sample(reading, measurands, context, settings, offered=offered, soc=soc, since=since)
    return (value,) if value is not None else ()


def register_reading(current: Reading | None, latest: Reading | None, time: TimeStatus) -> RegisterReading | None:
    """Build the import register stored with an event for billing: of `current`, else of `latest`, marked as substitute.

    None if there is no register. `time`: how reliable the clock is.
    """
    reading = current or latest
    if reading is None or reading.energy_import_wh is None:
        return None
    return RegisterReading(reading.energy_import_wh, reading.taken_at, time, substitute=current is None)


def _phases_used(reading: Reading | None) -> int | None:
    """The number of phases that carry current (E02.FR.18); None if unknown."""
    if reading is None:
        return None
    used = sum(1 for current_a in reading.currents_a if current_a is not None and abs(current_a) >= 1.0)
    return used or None
