"""Which values are sampled, when, and which samples remain after thinning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metering.reading import Phases, Reading
from station.core.sampling import (
    METER_MEASURANDS,
    IntervalStarts,
    Measurand,
    MeterValue,
    ReadingContext,
    SampledValue,
    Series,
    next_aligned,
    sample_reading,
    supported_measurands,
    thin_out,
)
from tests.rows import each_row

MIDNIGHT = datetime(2026, 1, 15, tzinfo=UTC)
FULL = Reading(
    MIDNIGHT,
    energy_import_wh=1234.56789,
    energy_export_wh=0.0,
    power_w=4748.76,
    currents_a=Phases(12.3456, 0.0, -8.9),
    voltages_v=Phases(230.119, 229.0, 231.0),
    powers_w=Phases(2812.55, 0.0, 1936.21),
    frequency_hz=50.0204,
    reactive_power_var=-12.3,
    reactive_powers_var=Phases(31.0, -43.3, None),
    power_factor=-0.987,
    power_factors=Phases(1.0, 1.5, None),
    reactive_import_varh=77.125,
    reactive_export_varh=88.25,
    apparent_vah=2000.5,
)


BEFORE = replace(FULL, energy_import_wh=1234.0, energy_export_wh=0.0, reactive_import_varh=77.0)


def sample_tuples(
    reading: Reading, *measurands: Measurand, offered: Phases[float] | None = None
) -> list[tuple[float, str, str | None]]:
    """Value, unit and phase of the samples of a reading."""
    value = sample_reading(reading, measurands, ReadingContext.SAMPLE_PERIODIC, offered=offered, since=BEFORE)
    return [] if value is None else [(sample.value, sample.unit, sample.phase) for sample in value.samples]


@each_row(
    ("measurand", "expected"),
    [
        (Measurand.ENERGY_IMPORT_REGISTER, [(1234.568, "Wh", None)]),
        (Measurand.ENERGY_EXPORT_REGISTER, [(0.0, "Wh", None)]),
        (Measurand.POWER_IMPORT, [(4748.8, "W", None), (2812.6, "W", "L1"), (0.0, "W", "L2"), (1936.2, "W", "L3")]),
        (Measurand.CURRENT_IMPORT, [(12.346, "A", "L1"), (0.0, "A", "L2"), (-8.9, "A", "L3")]),
        (Measurand.VOLTAGE, [(230.12, "V", "L1-N"), (229.0, "V", "L2-N"), (231.0, "V", "L3-N")]),
        (Measurand.FREQUENCY, [(50.02, "Hz", None)]),
        (Measurand.CURRENT_OFFERED, [(16.0, "A", None)]),
        (Measurand.POWER_EXPORT, [(0.0, "W", None), (0.0, "W", "L1"), (0.0, "W", "L2"), (0.0, "W", "L3")]),
        (Measurand.POWER_OFFERED, [(16.0 * 690.119, "W", None)]),
        (Measurand.REACTIVE_POWER_IMPORT, [(0.0, "var", None), (31.0, "var", "L1"), (0.0, "var", "L2")]),
        (Measurand.REACTIVE_POWER_EXPORT, [(12.3, "var", None), (0.0, "var", "L1"), (43.3, "var", "L2")]),
        (Measurand.POWER_FACTOR, [(-0.987, "", None), (1.0, "", "L1")]),
        (Measurand.REACTIVE_IMPORT_REGISTER, [(77.125, "varh", None)]),
        (Measurand.REACTIVE_EXPORT_REGISTER, [(88.25, "varh", None)]),
        (Measurand.ENERGY_IMPORT_INTERVAL, [(0.568, "Wh", None)]),
        (Measurand.ENERGY_EXPORT_INTERVAL, [(0.0, "Wh", None)]),
        (Measurand.REACTIVE_IMPORT_INTERVAL, [(0.125, "varh", None)]),
        (Measurand.REACTIVE_EXPORT_INTERVAL, [(0.0, "varh", None)]),
        (Measurand.APPARENT_REGISTER, [(2000.5, "VAh", None)]),
    ],
)
def test_each_measurand_has_its_unit_its_phases_and_its_decimals(
    measurand: Measurand, expected: list[tuple[float, str, str | None]]
) -> None:
    assert sample_tuples(FULL, measurand, offered=Phases[float].all(16.0)) == [
        (pytest.approx(value, abs=0.06), *rest) for value, *rest in expected
    ]
    assert sorted(Measurand) == sorted(set(Measurand))


def test_what_is_offered_is_that_of_the_phases_that_are_there() -> None:
    """A board that has taken two phases away offers the power of one."""
    offered = Phases(0.0, 13.0, 0.0)
    assert sample_tuples(FULL, Measurand.CURRENT_OFFERED, Measurand.POWER_OFFERED, offered=offered) == [
        (13.0, "A", None),
        (13.0 * 229.0, "W", None),
    ]


@each_row("measurand", list(Measurand))
def test_what_the_meter_did_not_give_is_left_out_and_never_zero(measurand: Measurand) -> None:
    assert sample_reading(Reading(MIDNIGHT), [measurand], ReadingContext.TRIGGER, since=Reading(MIDNIGHT)) is None
    assert sample_reading(Reading(MIDNIGHT), [], ReadingContext.TRIGGER) is None


def test_an_interval_is_what_the_register_counted_since_the_sample_before() -> None:
    before = replace(FULL, energy_import_wh=1000.0, reactive_export_varh=80.0, energies_import_wh=Phases(4.0, 5.0, 6.0))
    measurands = (Measurand.ENERGY_IMPORT_INTERVAL, Measurand.REACTIVE_EXPORT_INTERVAL)

    def counted(now: Reading, since: Reading | None) -> list[tuple[float, str, str | None]]:
        value = sample_reading(now, measurands, ReadingContext.SAMPLE_CLOCK, registers_by_phase=True, since=since)
        return [] if value is None else [(sample.value, sample.unit, sample.phase) for sample in value.samples]

    assert counted(FULL, before) == [(234.568, "Wh", None), (8.25, "varh", None)]
    assert counted(FULL, FULL) == [(0.0, "Wh", None), (0.0, "varh", None)]
    assert counted(before, FULL) == []  # a lower register is another one
    assert counted(FULL, None) == []
    later = replace(before, energies_import_wh=Phases(4.5, 5.0, None))
    assert (0.5, "Wh", "L1") in counted(later, before)
    assert all(phase != "L3" for _, _, phase in counted(later, before))


@given(st.lists(st.floats(0.0, 1e7), min_size=2, max_size=30).map(sorted))
def test_intervals_add_up_to_the_difference_of_the_sampled_registers(registers: list[float]) -> None:
    readings = [replace(FULL, energy_import_wh=register) for register in registers]
    registers_wh = [sample_tuples(reading, Measurand.ENERGY_IMPORT_REGISTER)[0][0] for reading in readings]
    sums = 0.0
    for before, now in pairwise(readings):
        value = sample_reading(now, [Measurand.ENERGY_IMPORT_INTERVAL], ReadingContext.SAMPLE_PERIODIC, since=before)
        assert value is not None
        sums += value.samples[0].value
    assert sums == pytest.approx(registers_wh[-1] - registers_wh[0], abs=1e-3)


def test_a_meter_gives_the_measurands_of_what_it_shows_and_no_other() -> None:
    totals = Reading(MIDNIGHT, energy_import_wh=1.0, power_w=1.0)
    assert set(supported_measurands(totals)) == {
        Measurand.ENERGY_IMPORT_REGISTER,
        Measurand.ENERGY_IMPORT_INTERVAL,
        Measurand.POWER_IMPORT,
        Measurand.POWER_EXPORT,
        Measurand.CURRENT_OFFERED,
    }
    assert supported_measurands(FULL) == METER_MEASURANDS
    assert set(Measurand) - set(METER_MEASURANDS) == {Measurand.SOC}


def test_each_series_counts_from_its_own_sample_and_a_transaction_from_its_begin() -> None:
    starts = IntervalStarts()
    begin, later = (replace(FULL, energy_import_wh=register) for register in (1.0, 2.0))
    starts.start_next(Series.ALIGNED, later)
    starts.begin_transaction(begin)
    assert [starts.since(series) for series in Series] == [begin, begin, later, begin]
    starts.start_next(Series.SAMPLED, later)
    assert (starts.since(Series.SAMPLED), starts.since(Series.SAMPLED_FOR_END)) == (later, begin)
    starts.begin_transaction(None)
    assert [starts.since(series) for series in Series] == [None, None, later, None]
    starts.clear()
    assert starts.since(Series.ALIGNED) is None


def test_what_a_vehicle_gives_back_is_export_and_no_import_of_less_than_nothing() -> None:
    back = replace(FULL, power_w=-3000.0, powers_w=Phases(-3000.0, None, None))
    assert sample_tuples(back, Measurand.POWER_EXPORT) == [(3000.0, "W", None), (3000.0, "W", "L1")]
    assert sample_tuples(back, Measurand.POWER_IMPORT) == [(0.0, "W", None), (0.0, "W", "L1")]


def test_samples_that_a_bill_needs_are_never_thinned_out() -> None:
    """J02.FR.20: removing samples does not affect billing."""
    regular = [
        MeterValue(MIDNIGHT + timedelta(minutes=at), _samples(ReadingContext.SAMPLE_PERIODIC)) for at in range(100)
    ]
    needed = [
        MeterValue(MIDNIGHT, _samples(context)) for context in (ReadingContext.TRANSACTION_BEGIN, ReadingContext.OTHER)
    ]
    end = MeterValue(MIDNIGHT, _samples(ReadingContext.TRANSACTION_END))
    thinned = thin_out([*regular[:50], *needed, *regular[50:], end], 10)
    assert len(thinned) <= 10
    assert all(value in thinned for value in (*needed, end))
    assert len(thin_out([*needed, *needed, end], 2)) == 5


def _samples(context: ReadingContext) -> tuple[SampledValue, ...]:
    return (SampledValue(1.0, Measurand.ENERGY_IMPORT_REGISTER, context, "Wh"),)


def test_a_one_phase_meter_gives_one_phase() -> None:
    assert sample_tuples(replace(FULL, currents_a=Phases(7.0, None, None)), Measurand.CURRENT_IMPORT) == [
        (7.0, "A", "L1")
    ]


def test_the_registers_of_the_phases_are_sampled_beside_the_total_where_that_is_configured() -> None:
    """SampledDataCtrlr.RegisterValuesWithoutPhases; part 2, J 2.3."""
    reading = replace(FULL, energies_import_wh=Phases(1000.0, 200.0, 34.56789))
    measurands = [Measurand.ENERGY_IMPORT_REGISTER]
    with_phases = sample_reading(reading, measurands, ReadingContext.SAMPLE_PERIODIC, registers_by_phase=True)
    assert with_phases is not None
    assert [(sample.value, sample.phase) for sample in with_phases.samples] == [
        (1234.568, None),
        (1000.0, "L1"),
        (200.0, "L2"),
        (34.568, "L3"),
    ]
    assert sample_tuples(reading, *measurands) == [(1234.568, "Wh", None)]
    only_total = sample_reading(FULL, measurands, ReadingContext.SAMPLE_PERIODIC, registers_by_phase=True)
    assert only_total is not None
    assert [sample.phase for sample in only_total.samples] == [None]


def test_a_sample_carries_the_time_of_the_reading_and_why_it_was_taken() -> None:
    value = sample_reading(FULL, [Measurand.VOLTAGE, Measurand.FREQUENCY], ReadingContext.TRANSACTION_BEGIN)
    assert value is not None
    assert value.taken_at == MIDNIGHT
    assert {sample.context for sample in value.samples} == {ReadingContext.TRANSACTION_BEGIN}
    assert [sample.measurand for sample in value.samples] == [Measurand.VOLTAGE] * 3 + [Measurand.FREQUENCY]


moments = st.integers(0, 3 * 86_400_000).map(lambda ms: MIDNIGHT + timedelta(milliseconds=ms))


@given(moments, st.integers(1, 86_400))
def test_aligned_samples_are_whole_intervals_after_midnight_and_restart_every_day(
    now: datetime, interval_s: int
) -> None:
    """AlignedDataCtrlr.Interval"""
    due = next_aligned(now, interval_s)
    midnight = due.replace(hour=0, minute=0, second=0, microsecond=0)
    assert now < due <= now + timedelta(seconds=interval_s)
    assert (due - midnight) % timedelta(seconds=interval_s) == timedelta(0)
    assert next_aligned(due - timedelta(microseconds=1), interval_s) == due


@pytest.mark.parametrize(
    ("clock", "interval_s", "due"),
    [
        ("00:00:00", 900, "00:15:00"),
        ("00:14:59", 900, "00:15:00"),
        ("23:50:00", 900, "00:00:00"),
        ("23:59:59", 3600, "00:00:00"),
        ("12:00:00", 86_400, "00:00:00"),
        ("23:20:00", 7 * 3600, "00:00:00"),
    ],
)
def test_examples_of_aligned_moments(clock: str, interval_s: int, due: str) -> None:
    hours, minutes, seconds = map(int, clock.split(":"))
    now = MIDNIGHT + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert next_aligned(now, interval_s).strftime("%H:%M:%S") == due


@given(st.integers(0, 600), st.integers(2, 300))
def test_thinning_keeps_both_ends_the_order_and_no_more_than_is_allowed(count: int, most: int) -> None:
    """E06.FR.13, E04.FR.07, E04.FR.08"""
    values = [MeterValue(MIDNIGHT + timedelta(seconds=second), ()) for second in range(count)]
    thinned = thin_out(values, most)
    assert len(thinned) <= most
    assert list(thinned) == sorted(set(thinned), key=lambda value: value.taken_at)
    assert set(thinned) <= set(values)
    if values:
        assert (thinned[0], thinned[-1]) == (values[0], values[-1])
    if count <= most:
        assert list(thinned) == values


@given(st.integers(2, 300), st.integers(2, 50))
def test_intervals_that_are_left_count_what_went_before_them(count: int, most: int) -> None:
    """Those of a series add up to the total; what is aligned with the clock counts apart."""
    values = [
        MeterValue(
            MIDNIGHT + timedelta(seconds=second),
            (SampledValue(second / 8 + 1, Measurand.ENERGY_IMPORT_INTERVAL, context, "Wh"),),
        )
        for second in range(count)
        for context in (ReadingContext.SAMPLE_CLOCK, ReadingContext.SAMPLE_PERIODIC)
    ]
    end = SampledValue(1.0, Measurand.ENERGY_IMPORT_INTERVAL, ReadingContext.TRANSACTION_END, "Wh")
    values.append(MeterValue(MIDNIGHT + timedelta(seconds=count), (end,)))
    thinned = thin_out(values, most)
    assert len(thinned) <= most

    def total(of: Sequence[MeterValue], *, aligned: bool, until: datetime) -> float:
        samples = [sample for value in of if value.taken_at <= until for sample in value.samples]
        return sum(sample.value for sample in samples if (sample.context is ReadingContext.SAMPLE_CLOCK) is aligned)

    for value in thinned:  # at each value, not at the last alone
        aligned = value.samples[0].context is ReadingContext.SAMPLE_CLOCK
        until = value.taken_at
        assert total(thinned, aligned=aligned, until=until) == total(values, aligned=aligned, until=until)


def test_thinning_takes_every_second_one() -> None:
    values = [MeterValue(MIDNIGHT + timedelta(seconds=second), ()) for second in range(8)]
    assert [value.taken_at.second for value in thin_out(values, 7)] == [0, 2, 4, 6, 7]
