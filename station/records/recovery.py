"""What a power cut left behind: transactions that never ended are ended now, with what their meter shows."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from metering.reading import Reading
from metering.sampling import (
    MOST_ENDED_VALUES,
    REGISTER_DECIMALS,
    Context,
    Measurand,
    MeterValue,
    sample,
    thin_out,
)
from metering.time_quality import TimeStatus
from station.metrology.signing import was_key_told
from station.model import EventType, StoppedReason, TransactionEvent, TriggerReason
from station.records.database import StorageError
from station.records.recorder import register_reading

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.evse import Evse
    from station.records.outbox import Outbox

_log = logging.getLogger(__name__)

_METER_WAIT_S = 3.0
_ATTEMPTS = 3
_RETRY_S = 2.0
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


async def end_open_transactions(outbox: Outbox, evses: Mapping[int, Evse], clock: Clock) -> list[TransactionEvent]:
    """End what is open on disk, before any EVSE starts something new.

    The contactor has been open since the cut, so the register now is the register at the end. A meter that is
    silent is represented by the last reading on record. Returns the ends that a full disk does not take now, for
    `record_ends`: what they say must not wait, since the register goes on with the next charge.

    Raises:
        StorageError: the records cannot be read.
    """
    ends = await _ends(outbox, evses, clock)
    return [end for end in ends if not await _record(end, outbox)]


async def record_ends(ends: list[TransactionEvent], outbox: Outbox, clock: Clock) -> None:
    """Record these ends as soon as the disk takes them."""
    for end in ends:
        while not await _record(end, outbox, level=logging.DEBUG):
            await clock.sleep(_RETRY_S)


async def _ends(outbox: Outbox, evses: Mapping[int, Evse], clock: Clock) -> list[TransactionEvent]:
    for attempt in itertools.count(1):
        try:
            return [await _end_of(identity, outbox, evses, clock) for identity in await outbox.open_transactions()]
        except StorageError as error:
            _log.error("open transactions cannot be read: %s", error)
            if attempt == _ATTEMPTS:
                raise
            await clock.sleep(_RETRY_S)
    raise AssertionError("unreachable")


async def _end_of(transaction_id: str, outbox: Outbox, evses: Mapping[int, Evse], clock: Clock) -> TransactionEvent:
    recorded = await outbox.events(transaction_id)
    evse = evses.get(recorded[0].evse_id)
    values = [*await outbox.kept_for_end(transaction_id)]
    reading = await _read_meter(evse)
    known = last_register(recorded)
    time_status = evse.time_status() if evse is not None else TimeStatus.UNKNOWN
    last = _end_value(reading) if reading is not None else _last_on_record(recorded)
    if last is not None:
        values.append(last)
    end = TransactionEvent(
        transaction_id,
        recorded[0].evse_id,
        EventType.ENDED,
        TriggerReason.ABNORMAL_CONDITION,
        clock.now(),
        offline=True,
        stopped_reason=StoppedReason.POWER_LOSS,
        time_spent_charging_s=max((e.time_spent_charging_s for e in recorded if e.time_spent_charging_s), default=None),
        # Measured only: how long there was no power, a clock that was set meanwhile cannot say.
        lasted_s=max((e.lasted_s for e in recorded if e.lasted_s is not None), default=None),
        register=register_reading(reading, known, time_status),
    )
    if evse is not None and evse.signing is not None:
        told = was_key_told(recorded)
        values = await evse.signing.end_after_power_cut(end, reading, known, values, told=told)
    return replace(end, meter_values=thin_out(values, MOST_ENDED_VALUES))


async def _record(end: TransactionEvent, outbox: Outbox, level: int = logging.ERROR) -> bool:
    try:
        ended = await outbox.append(end)
    except StorageError as error:
        _log.log(level, "the end of transaction %s is not on disk: %s", end.transaction_id, error)
        return False
    _log.warning("transaction %s was open at a power cut; ended as event %s", end.transaction_id, ended.seq_no)
    return True


async def _read_meter(evse: Evse | None) -> Reading | None:
    if evse is None:
        return None
    try:
        async with asyncio.timeout(_METER_WAIT_S):  # real time: a wire is being waited for
            return await evse.meter.fresh()
    except TimeoutError:
        return None


def _end_value(reading: Reading) -> MeterValue | None:
    return sample(reading, [Measurand.ENERGY_IMPORT_REGISTER], Context.TRANSACTION_END)


def _last_on_record(recorded: list[TransactionEvent]) -> MeterValue | None:
    reading = last_register(recorded)
    return _end_value(reading) if reading is not None else None


def last_register(recorded: list[TransactionEvent]) -> Reading | None:
    """The last reading of the import register among recorded events; None when there is none."""
    for event in reversed(recorded):
        if event.register is not None:
            return Reading(event.register.taken_at, energy_import_wh=event.register.energy_import_wh)
        for value in reversed(event.meter_values):
            for taken in value.samples:
                if taken.measurand is Measurand.ENERGY_IMPORT_REGISTER and taken.phase is None:
                    return Reading(value.taken_at, energy_import_wh=taken.value)
    return None


def least_register(recorded: list[TransactionEvent]) -> Reading | None:
    """What the meter shows at least now: the last recorded register, less what rounding may have added to it.

    Its time is that of nobody's clock: how long ago it was, a station without power cannot know.
    """
    reading = last_register(recorded)
    if reading is None or reading.energy_import_wh is None:
        return None
    return Reading(_LONG_AGO, energy_import_wh=reading.energy_import_wh - 10.0**-REGISTER_DECIMALS)
