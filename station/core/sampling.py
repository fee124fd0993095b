"""Sampling of meter values: conversion of readings, intervals, thinning out (OCPP 2.0.1 block J)."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from metering.reading import Phases, Reading


class ReadingContext(StrEnum):
    """ReadingContextEnumType: why a sample was taken."""

    TRANSACTION_BEGIN = "Transaction.Begin"
    TRANSACTION_END = "Transaction.End"
    SAMPLE_PERIODIC = "Sample.Periodic"
    SAMPLE_CLOCK = "Sample.Clock"
    TRIGGER = "Trigger"
    OTHER = "Other"


class Measurand(StrEnum):
    """The measurands of MeasurandEnumType that this station supports."""

    ENERGY_IMPORT_REGISTER = "Energy.Active.Import.Register"
    ENERGY_EXPORT_REGISTER = "Energy.Active.Export.Register"
    POWER_IMPORT = "Power.Active.Import"
    POWER_EXPORT = "Power.Active.Export"
    POWER_OFFERED = "Power.Offered"
    CURRENT_IMPORT = "Current.Import"
    CURRENT_OFFERED = "Current.Offered"
    VOLTAGE = "Voltage"
    FREQUENCY = "Frequency"
    ENERGY_IMPORT_INTERVAL = "Energy.Active.Import.Interval"
    ENERGY_EXPORT_INTERVAL = "Energy.Active.Export.Interval"
    REACTIVE_IMPORT_REGISTER = "Energy.Reactive.Import.Register"
    REACTIVE_EXPORT_REGISTER = "Energy.Reactive.Export.Register"
    REACTIVE_IMPORT_INTERVAL = "Energy.Reactive.Import.Interval"
    REACTIVE_EXPORT_INTERVAL = "Energy.Reactive.Export.Interval"
    APPARENT_REGISTER = "Energy.Apparent.Net"
    REACTIVE_POWER_IMPORT = "Power.Reactive.Import"
    REACTIVE_POWER_EXPORT = "Power.Reactive.Export"
    POWER_FACTOR = "Power.Factor"
    SOC = "SoC"
    """of the battery of the vehicle; only where vehicles communicate"""


class SignedValue(Frozen):
    """A signed value of a meter or of the station (SignedMeterValueType)."""

    record: str
    """the signed record itself, as text"""
    encoding: str = "OCMF"
    """the format of the record (encodingMethod)"""
    method: str = ""
    """signing method; empty: the record contains it"""
    public_key: str = ""
    """as encoded for the CSMS; empty: not sent with this value"""


class SampledValue(Frozen):
    """A value with measurand, context, unit and phase (SampledValueType)."""

    value: float
    """in `unit`; of a register since its manufacture, not since the begin of the transaction"""
    measurand: Measurand
    """what was measured (MeasurandEnumType)"""
    context: ReadingContext
    """on what occasion it was measured (ReadingContextEnumType)"""
    unit: str
    """the unit of the value, such as Wh, W, A or V; empty: dimensionless"""
    phase: str | None = None
    """such as L1 or L1-N; None: of all phases together"""
    signed: SignedValue | None = None
    """the same reading as a signed record; None: not signed"""


class MeterValue(Frozen):
    """Samples of one meter taken at the same moment (MeterValueType)."""

    taken_at: datetime
    """when the meter was read, by the clock of the station"""
    samples: tuple[SampledValue, ...]
    """one for each measurand and phase"""

    def with_signature(self, signed: SignedValue | None) -> MeterValue:
        """A copy with the signature at the total import register; unchanged if it has no such sample."""
        return replace(
            self,
            samples=tuple(
                replace(sample, signed=signed)
                if sample.measurand is Measurand.ENERGY_IMPORT_REGISTER and not sample.phase
                else sample
                for sample in self.samples
            ),
        )


REGISTER_DECIMALS: Final = 3
"""registers are reported to a milliwatt-hour, rounded to the nearest"""

MAX_ENDED_VALUES: Final = 200
"""maximum number of meter values in the Ended event; more are thinned out (E06.FR.13)"""

_SAMPLE_CONTEXTS: Final = frozenset(
    {ReadingContext.SAMPLE_PERIODIC, ReadingContext.SAMPLE_CLOCK, ReadingContext.TRIGGER}
)

_REGISTER_OF_INTERVAL: Final[Mapping[Measurand, Measurand]] = {
    Measurand.ENERGY_IMPORT_INTERVAL: Measurand.ENERGY_IMPORT_REGISTER,
    Measurand.ENERGY_EXPORT_INTERVAL: Measurand.ENERGY_EXPORT_REGISTER,
    Measurand.REACTIVE_IMPORT_INTERVAL: Measurand.REACTIVE_IMPORT_REGISTER,
    Measurand.REACTIVE_EXPORT_INTERVAL: Measurand.REACTIVE_EXPORT_REGISTER,
}
"""each interval measurand, and the register it is computed from"""

METER_MEASURANDS: Final = tuple(measurand for measurand in Measurand if measurand is not Measurand.SOC)
"""those that a meter measures, or that follow from what it measures"""

_REGISTERS: Final = frozenset({*_REGISTER_OF_INTERVAL, *_REGISTER_OF_INTERVAL.values()})

_Values = Iterator[tuple[float | None, str | None]]


def _total(value: float | None) -> _Values:
    yield value, None


def _per_phase(values: Phases[float | None], suffix: str = "") -> _Values:
    for name, value in zip(("L1", "L2", "L3"), values, strict=True):
        yield value, name + suffix


def _import_registers(reading: Reading) -> _Values:
    yield reading.energy_import_wh, None
    yield from _per_phase(reading.energies_import_wh)


def _export_registers(reading: Reading) -> _Values:
    yield reading.energy_export_wh, None
    yield from _per_phase(reading.energies_export_wh)


def _imported(values: _Values) -> _Values:
    for value, phase in values:
        yield (max(0.0, value) if value is not None else None), phase


def _exported(values: _Values) -> _Values:
    for value, phase in values:
        yield (max(0.0, -value) if value is not None else None), phase


def _offered_power(reading: Reading, offered: Phases[float]) -> float | None:
    """The offered power at the measured voltages, in W; None if no voltage is known."""
    pairs = zip(reading.voltages_v, offered, strict=True)
    known = [voltage_v * current_a for voltage_v, current_a in pairs if voltage_v is not None]
    return sum(known) if known else None


def _power(reading: Reading) -> _Values:
    yield reading.power_w, None
    yield from _per_phase(reading.powers_w)


def _reactive_power(reading: Reading) -> _Values:
    yield reading.reactive_power_var, None
    yield from _per_phase(reading.reactive_powers_var)


def _power_factor(reading: Reading) -> _Values:
    """Power factors; values outside −1 to 1 are dropped (meters use them for "no current")."""
    for value, phase in ((reading.power_factor, None), *_per_phase(reading.power_factors)):
        yield (value if value is not None and abs(value) <= 1.0 else None), phase


_SOURCES: Mapping[Measurand, tuple[str, int, Callable[[Reading], _Values]]] = {
    # measurand: unit, decimals reported, accessor of the reading
    Measurand.ENERGY_IMPORT_REGISTER: ("Wh", REGISTER_DECIMALS, _import_registers),
    Measurand.ENERGY_EXPORT_REGISTER: ("Wh", REGISTER_DECIMALS, _export_registers),
    Measurand.POWER_IMPORT: ("W", 1, lambda reading: _imported(_power(reading))),
    Measurand.POWER_EXPORT: ("W", 1, lambda reading: _exported(_power(reading))),
    Measurand.CURRENT_IMPORT: ("A", 3, lambda reading: _per_phase(reading.currents_a)),
    Measurand.VOLTAGE: ("V", 2, lambda reading: _per_phase(reading.voltages_v, "-N")),
    Measurand.FREQUENCY: ("Hz", 3, lambda reading: _total(reading.frequency_hz)),
    Measurand.REACTIVE_IMPORT_REGISTER: ("varh", 3, lambda reading: _total(reading.reactive_import_varh)),
    Measurand.REACTIVE_EXPORT_REGISTER: ("varh", 3, lambda reading: _total(reading.reactive_export_varh)),
    Measurand.APPARENT_REGISTER: ("VAh", 3, lambda reading: _total(reading.apparent_vah)),
    Measurand.REACTIVE_POWER_IMPORT: ("var", 1, lambda reading: _imported(_reactive_power(reading))),
    Measurand.REACTIVE_POWER_EXPORT: ("var", 1, lambda reading: _exported(_reactive_power(reading))),
    Measurand.POWER_FACTOR: ("", 3, _power_factor),
}


def _counted_energy(reading: Reading, since: Reading | None, register: Measurand) -> _Values:
    """The energy counted by a register between two readings, as the difference of the rounded values."""
    if since is None:
        return
    _, decimals, values_of = _SOURCES[register]
    for (current, phase), (previous, _) in zip(values_of(reading), values_of(since), strict=True):
        counted = (
            round(current, decimals) - round(previous, decimals)
            if current is not None and previous is not None
            else -1.0
        )
        yield (counted if counted >= 0.0 else None), phase  # a decrease means that the register was replaced


def sample_reading(
    reading: Reading,
    measurands: Sequence[Measurand],
    context: ReadingContext,
    *,
    offered: Phases[float] | None = None,
    soc: float | None = None,
    registers_by_phase: bool = False,
    since: Reading | None = None,
) -> MeterValue | None:
    """Sample the requested measurands of a reading, on all phases (part 2, J 2.3); missing values are omitted.

    `offered`: amperes offered by the pilot on each phase. `soc`: state of charge of the vehicle, 0 to 1.
    `registers_by_phase`: include the registers of the phases besides the total, where the meter has them. `since`: the
    reading at the start of the interval; without it interval measurands are omitted.
    Returns None if there are no samples: an empty MeterValue is not allowed.
    """
    samples: list[SampledValue] = []
    for measurand in measurands:
        if measurand is Measurand.CURRENT_OFFERED:
            values, unit, decimals = _total(max(offered) if offered is not None else None), "A", 1
        elif measurand is Measurand.POWER_OFFERED:
            offered_w = _offered_power(reading, offered) if offered is not None else None
            values, unit, decimals = _total(offered_w), "W", 1
        elif measurand is Measurand.SOC:
            values, unit, decimals = _total(100.0 * soc if soc is not None else None), "Percent", 1
        elif measurand in _REGISTER_OF_INTERVAL:
            register = _REGISTER_OF_INTERVAL[measurand]
            unit, decimals, _ = _SOURCES[register]
            values = _counted_energy(reading, since, register)
        else:
            unit, decimals, values_of = _SOURCES[measurand]
            values = values_of(reading)
        samples.extend(
            SampledValue(round(value, decimals), measurand, context, unit, phase)
            for value, phase in values
            if value is not None and (registers_by_phase or phase is None or measurand not in _REGISTERS)
        )
    return MeterValue(reading.taken_at, tuple(samples)) if samples else None


@functools.lru_cache(maxsize=16)
def supported_measurands(specimen: Reading) -> tuple[Measurand, ...]:
    """The measurands supported by a meter that fills the fields of this specimen reading."""
    meter_value = sample_reading(
        specimen, tuple(Measurand), ReadingContext.OTHER, offered=Phases[float].all(0.0), since=specimen
    )
    measurands = {sample.measurand for sample in meter_value.samples} if meter_value is not None else set[Measurand]()
    return tuple(measurand for measurand in Measurand if measurand in measurands)


class Series(StrEnum):
    """The series of periodic samples. An interval measurand counts from the previous sample of the same series."""

    SAMPLED = "SampledDataCtrlr.TxUpdatedInterval"
    SAMPLED_FOR_END = "SampledDataCtrlr.TxEndedInterval"
    ALIGNED = "AlignedDataCtrlr.Interval"
    ALIGNED_FOR_END = "AlignedDataCtrlr.TxEndedInterval"


class IntervalStarts:
    """Keeps, in memory, the reading of one meter at the start of each series' current interval (Energy.*.Interval)."""

    def __init__(self) -> None:
        self._starts: dict[Series, Reading] = {}

    def since(self, series: Series) -> Reading | None:
        """The reading at the start of the current interval of a series; None if unknown."""
        return self._starts.get(series)

    def start_next(self, series: Series, reading: Reading) -> None:
        """Start the next interval of a series with this reading."""
        self._starts[series] = reading

    def begin_transaction(self, reading: Reading | None) -> None:
        """Start the intervals of a transaction with this reading; None: not known. `Series.ALIGNED` continues."""
        for series in (Series.SAMPLED, Series.SAMPLED_FOR_END, Series.ALIGNED_FOR_END):
            self._starts.pop(series, None)
            if reading is not None:
                self._starts[series] = reading

    def clear(self) -> None:
        """Discard all starts, since the meter was replaced or its register was reset."""
        self._starts.clear()


def next_aligned(now: datetime, interval_s: int) -> datetime:
    """The next moment after `now` that is a whole number of intervals after midnight (AlignedDataInterval).

    Intervals restart at 00:00:00 every day, so the last one is shorter if the interval does not divide the day. The
    day is that of the time zone of `now`.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(seconds=interval_s)
    next_moment = day + step * ((now - day) // step + 1)
    return min(next_moment, day + timedelta(days=1))


def thin_out(values: Sequence[MeterValue], max_count: int) -> tuple[MeterValue, ...]:
    """Reduce to `max_count` values, or to those needed for billing if more; see `retained_indices` (E06.FR.13)."""
    return tuple(select_values(values, retained_indices(values, max_count)))


def select_values(values: Sequence[MeterValue], indices: Sequence[int]) -> list[MeterValue]:
    """Select the values at these indices, in order, and adjust their interval measurands.

    The intervals of a removed value are added to the next kept value, so that they still add up to the total.
    """
    retained = frozenset(indices)
    selected: list[MeterValue] = []
    carried_over: dict[tuple[bool, Measurand, str | None], float] = defaultdict(float)
    for index, value in enumerate(values):
        if index in retained:
            samples = (
                replace(sample, value=_sum(sample.value, carried_over.pop(_series_key(sample), 0.0)))
                for sample in value.samples
            )
            selected.append(replace(value, samples=tuple(samples)))
        else:
            for sample in value.samples:
                if sample.measurand in _REGISTER_OF_INTERVAL:
                    carried_over[_series_key(sample)] += sample.value
    return selected


def _series_key(sample: SampledValue) -> tuple[bool, Measurand, str | None]:
    """The key that distinguishes interval series: clock-aligned or not, measurand, phase."""
    return sample.context is ReadingContext.SAMPLE_CLOCK, sample.measurand, sample.phase


def _sum(value: float, carried_over: float) -> float:
    return round(value + carried_over, REGISTER_DECIMALS) if carried_over else value


def retained_indices(values: Sequence[MeterValue], max_count: int) -> list[int]:
    """The indices of at most `max_count` values; drops intermediate ones (1st, 3rd …), never the ends (E06.FR.13).

    Values needed for billing are never dropped: begin, end, and tariff period boundaries (J02.FR.20).
    """
    indices = list(range(len(values)))
    while len(indices) > max_count:
        samples = [index for index in indices[1:-1] if _is_regular_sample(values[index])]
        if not samples:
            break
        dropped = set(samples[::2])
        indices = [index for index in indices if index not in dropped]
    return indices


def is_period_boundary(value: MeterValue) -> bool:
    """Return whether this value was taken at the boundary between two tariff periods: its samples' context is Other."""
    return all(sample.context is ReadingContext.OTHER for sample in value.samples)


def _is_regular_sample(value: MeterValue) -> bool:
    return all(sample.context in _SAMPLE_CONTEXTS for sample in value.samples)
