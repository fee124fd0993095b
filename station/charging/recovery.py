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
    ends = await _ends(outbox, evses, settings, clock)
    return [end for end in ends if not await _record(end, outbox)]


async def record_ends(ends: list[TransactionEvent], outbox: Outbox, clock: Clock) -> None:
    """Store the Ended events that `end_open_transactions` could not store, retrying every 2 s until all are stored."""
    for end in ends:
        while not await _record(end, outbox, level=logging.DEBUG):
            await clock.sleep(_RETRY_S)


async def _ends(
    outbox: Outbox, evses: Mapping[int, EvseAssembly], settings: SamplingSettings, clock: Clock
) -> list[TransactionEvent]:
    for attempt in itertools.count(1):
        try:
            identities = await outbox.open_transactions()
            left = [await _load_interrupted(identity, outbox, evses, clock) for identity in identities]
        except StorageError as error:
            _log.error("open transactions cannot be read: %s", error)
            if attempt == _ATTEMPTS:
                raise
            await clock.sleep(_RETRY_S)
            continue
        return [await _complete(one, settings) for one in left if one is not None and not _awaits_meter(one)]
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
        found = (last_register(self.recorded), last_sampled_register(self.stored_samples))
        return max((one for one in found if one is not None), key=_register_wh, default=None)


async def _load_interrupted(
    transaction_id: str, outbox: Outbox, evses: Mapping[int, EvseAssembly], clock: Clock
) -> _InterruptedTransaction | None:
    """Load an interrupted transaction, even if none of its rows is readable; None: it is not stored."""
    recorded = await outbox.events(transaction_id)
    evse_id = await outbox.evse_of(transaction_id)
    if evse_id is None:
        return None
    evse = evses.get(evse_id)
    kept = await outbox.end_data.samples(transaction_id)
    awaited = await outbox.end_data.find_end(transaction_id)
    end = (
        replace(awaited, offline=True)
        if awaited is not None
        else _power_lost(transaction_id, evse_id, recorded, clock.now())
    )
    return _InterruptedTransaction(end, recorded, kept, evse, await _read_meter(evse, clock))


def _power_lost(transaction_id: str, evse_id: int, recorded: list[TransactionEvent], now: datetime) -> TransactionEvent:
    return TransactionEvent(
        transaction_id,
        evse_id,
        EventType.ENDED,
        TriggerReason.ABNORMAL_CONDITION,
        now,
        offline=True,
        stopped_reason=StoppedReason.POWER_LOSS,
        time_spent_charging_s=max((e.time_spent_charging_s for e in recorded if e.time_spent_charging_s), default=None),
        # Measured time only: the duration of the power cut is unreliable, since the clock may have been set meanwhile.
        lasted_s=max((e.lasted_s for e in recorded if e.lasted_s is not None), default=None),
    )


def _awaits_meter(left: _InterruptedTransaction) -> bool:
    """Pass the end to its EVSE if it has to wait for the meter; returns whether it was passed."""
    if left.evse is None:
        return False
    signing = left.evse.signing
    if left.reading is not None and not (signing is not None and signing.signatures.by_meter):
        return False
    left.evse.recorder.record_recovered_end(left.end, left.last_reading, key_sent=was_key_sent(left.recorded))
    return True


async def _complete(left: _InterruptedTransaction, settings: SamplingSettings) -> TransactionEvent:
    """Complete the end with meter values; for an EVSE no longer configured, from the records only."""
    evse, shown = left.evse, left.last_reading
    wanted = settings.sampled_tx_ended_measurands  # E06.FR.11
    offered = evse.evse.offered if evse is not None else Phases[float].all(0.0)
    last = sampled_values(left.reading or shown, wanted, ReadingContext.TRANSACTION_END, settings, offered=offered)
    values = [*left.stored_samples, *last]
    time_status = evse.evse.time_status if evse is not None else TimeStatus.UNKNOWN
    end = replace(left.end, register=register_reading(left.reading, shown, time_status))
    if evse is not None and evse.signing is not None:
        told = was_key_sent(left.recorded)
        records = await evse.signing.sign_end(end, left.reading, shown)
        signed = evse.signing.end_values(records, left.stored_samples, list(last))
        values, _ = evse.signing.with_public_keys(tuple(signed), sent=told)
    return replace(end, meter_values=thin_out(values, MAX_ENDED_VALUES))


async def _record(end: TransactionEvent, outbox: Outbox, level: int = logging.ERROR) -> bool:
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
