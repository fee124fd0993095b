"""Ends transactions that were interrupted by a power cut, with the current register of their meter."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from metering.reading import Phases, Reading
from metering.time_quality import TimeStatus
from station.charging.recorder import register_reading, sampled_values
from station.charging.signing.meter_value_signing import was_key_sent
from station.core.model import EventType, StoppedReason, TransactionEvent, TriggerReason
from station.core.sampling import MAX_ENDED_VALUES, MeterValue, ReadingContext, thin_out
from station.storage.database import StorageError
from station.storage.recorded_register import last_register, last_sampled_register

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from station.charging.evse_assembly import EvseAssembly
    from station.charging.sampling_settings import SamplingSettings
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_METER_WAIT_S = 3.0
_ATTEMPTS = 3
_RETRY_S = 2.0


async def end_open_transactions(
    outbox: Outbox, evses: Mapping[int, EvseAssembly], settings: SamplingSettings, clock: Clock
) -> list[TransactionEvent]:
    """At startup, store the Ended events of transactions that a power cut interrupted, before any EVSE runs.

    The contactor has been open since the power cut, so the current register is the register at the end. If the meter
    does not answer, the EVSE waits for it first, then uses the last recorded reading. Returns the ends that could not
    be stored, for `record_ends`; they are completed now, since the register continues with the next charge.

    Raises:
        StorageError: the records cannot be read.
    """
    ends = await _completed_ends(outbox, evses, settings, clock)
    return [end for end in ends if not await _record_end(end, outbox)]


async def record_ends(ends: list[TransactionEvent], outbox: Outbox, clock: Clock) -> None:
    """Store the Ended events that `end_open_transactions` could not store, retrying every 2 s until all are stored."""
    for end in ends:
        while not await _record_end(end, outbox, level=logging.DEBUG):
            await clock.sleep(_RETRY_S)


async def _completed_ends(
    outbox: Outbox, evses: Mapping[int, EvseAssembly], settings: SamplingSettings, clock: Clock
) -> list[TransactionEvent]:
    """Build the Ended events of the interrupted transactions, without those whose EVSE waits for its meter."""
    for attempt in itertools.count(1):
        try:
            identities = await outbox.open_transactions()
            transactions = [await _load_interrupted(identity, outbox, evses, clock) for identity in identities]
        except StorageError as error:
            _log.error("open transactions cannot be read: %s", error)
            if attempt == _ATTEMPTS:
                raise
            await clock.sleep(_RETRY_S)
            continue
        return [
            await _complete_end(interrupted, settings)
            for interrupted in transactions
            if interrupted is not None and not _hand_over_if_waiting(interrupted)
        ]
    raise AssertionError("unreachable")


class _InterruptedTransaction(Frozen):
    """A transaction interrupted by a power cut."""

    end: TransactionEvent
    """the Ended event without meter values"""
    recorded: list[TransactionEvent]
    stored_samples: list[MeterValue]
    evse: EvseAssembly | None
    reading: Reading | None
    """the current reading of its meter"""

    @property
    def last_reading(self) -> Reading | None:
        """The last recorded reading; samples stored for the end may be newer than the last event."""
        readings = (last_register(self.recorded), last_sampled_register(self.stored_samples))
        return max((reading for reading in readings if reading is not None), key=_register_wh, default=None)


async def _load_interrupted(
    transaction_id: str, outbox: Outbox, evses: Mapping[int, EvseAssembly], clock: Clock
) -> _InterruptedTransaction | None:
    """Load an interrupted transaction, even if none of its rows is readable; None: it is not stored."""
    recorded = await outbox.events(transaction_id)
    evse_id = await outbox.evse_of(transaction_id)
    if evse_id is None:
        return None
    evse = evses.get(evse_id)
    samples = await outbox.end_data.samples(transaction_id)
    stored_end = await outbox.end_data.find_end(transaction_id)
    end = (
        replace(stored_end, offline=True)
        if stored_end is not None
        else _power_loss_end(transaction_id, evse_id, recorded, clock.now())
    )
    return _InterruptedTransaction(end, recorded, samples, evse, await _read_meter(evse, clock))


def _power_loss_end(
    transaction_id: str, evse_id: int, recorded: list[TransactionEvent], now: datetime
) -> TransactionEvent:
    return TransactionEvent(
        transaction_id,
        evse_id,
        EventType.ENDED,
        TriggerReason.ABNORMAL_CONDITION,
        now,
        offline=True,
        stopped_reason=StoppedReason.POWER_LOSS,
        time_spent_charging_s=max(
            (event.time_spent_charging_s for event in recorded if event.time_spent_charging_s), default=None
        ),
        # Measured time only: the duration of the power cut is unreliable, since the clock may have been set meanwhile.
        lasted_s=max((event.lasted_s for event in recorded if event.lasted_s is not None), default=None),
    )


def _hand_over_if_waiting(interrupted: _InterruptedTransaction) -> bool:
    """Pass the end to its EVSE if it has to wait for the meter; returns whether it was passed."""
    if interrupted.evse is None:
        return False
    signing = interrupted.evse.signing
    if interrupted.reading is not None and not (signing is not None and signing.signatures.by_meter):
        return False
    interrupted.evse.recorder.record_recovered_end(
        interrupted.end, interrupted.last_reading, key_sent=was_key_sent(interrupted.recorded)
    )
    return True


async def _complete_end(interrupted: _InterruptedTransaction, settings: SamplingSettings) -> TransactionEvent:
    """Complete the end with meter values; for an EVSE no longer configured, from the records only."""
    evse, last_reading = interrupted.evse, interrupted.last_reading
    measurands = settings.sampled_tx_ended_measurands  # E06.FR.11
    offered = evse.evse.offered if evse is not None else Phases[float].all(0.0)
    end_values = sampled_values(
        interrupted.reading or last_reading, measurands, ReadingContext.TRANSACTION_END, settings, offered=offered
    )
    values = [*interrupted.stored_samples, *end_values]
    time_status = evse.evse.time_status if evse is not None else TimeStatus.UNKNOWN
    end = replace(interrupted.end, register=register_reading(interrupted.reading, last_reading, time_status))
    if evse is not None and evse.signing is not None:
        key_sent = was_key_sent(interrupted.recorded)
        records = await evse.signing.sign_end(end, interrupted.reading, last_reading)
        signed = evse.signing.end_values(records, interrupted.stored_samples, list(end_values))
        values, _ = evse.signing.with_public_keys(tuple(signed), sent=key_sent)
    return replace(end, meter_values=thin_out(values, MAX_ENDED_VALUES))


async def _record_end(end: TransactionEvent, outbox: Outbox, level: int = logging.ERROR) -> bool:
    try:
        ended = await outbox.append(end)
    except StorageError as error:
        _log.log(level, "transaction %s: its Ended event cannot be stored: %s", end.transaction_id, error)
        return False
    _log.warning("transaction %s was interrupted by a power cut; ended by event %s", end.transaction_id, ended.seq_no)
    return True


async def _read_meter(evse: EvseAssembly | None, clock: Clock) -> Reading | None:
    if evse is None:
        return None
    try:
        with clock.outside_wait(_METER_WAIT_S + 1.0):
            async with asyncio.timeout(_METER_WAIT_S):  # real time: hardware I/O
                return await evse.meter.read_now()
    except TimeoutError:
        return None


def _register_wh(reading: Reading) -> float:
    return reading.energy_import_wh or 0.0
