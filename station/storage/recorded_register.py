"""The last register of a billing meter according to recorded events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from metering.reading import Reading
from station.core.sampling import REGISTER_DECIMALS, Measurand, MeterValue

if TYPE_CHECKING:
    from station.core.model import TransactionEvent

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def last_register(recorded: list[TransactionEvent]) -> Reading | None:
    """Return the newest import register among recorded events of one meter, given oldest first.

    The reading has only `energy_import_wh` and its time; None if no event contains the register.
    """
    for event in reversed(recorded):
        if event.register is not None:
            return Reading(event.register.taken_at, energy_import_wh=event.register.energy_import_wh)
        if (reading := last_sampled_register(event.meter_values)) is not None:
            return reading
    return None


def last_sampled_register(values: Sequence[MeterValue]) -> Reading | None:
    """Return the newest import register (total of all phases) among meter values, given oldest first; else None.

    The reading has only `energy_import_wh` and its time.
    """
    for value in reversed(values):
        for sample in value.samples:
            if sample.measurand is Measurand.ENERGY_IMPORT_REGISTER and sample.phase is None:
                return Reading(value.taken_at, energy_import_wh=sample.value)
    return None


def lowest_register(recorded: list[TransactionEvent]) -> Reading | None:
    """Return the lowest import register that the same meter may show now: the last recorded one, less its rounding.

    None if none is recorded. Its time is set to the distant past, since the duration of a power cut is unknown.
    """
    reading = last_register(recorded)
    if reading is None or reading.energy_import_wh is None:
        return None
    return Reading(_LONG_AGO, energy_import_wh=reading.energy_import_wh - 10.0**-REGISTER_DECIMALS)
