"""What a billing meter cannot have shown is refused, and an exchanged meter is not believed by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metering.drivers.simulated import SimulatedMeter
from metering.meter import MeterError
from metering.plausibility import PlausibilityRules, PlausibleMeter
from metering.reading import Phases, Reading
from tests.rows import each_row

RULES = PlausibilityRules(max_power_w=22_000.0)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def reading_at(second: float, import_wh: float | None, export_wh: float | None = None) -> Reading:
    return Reading(taken_at=START + timedelta(seconds=second), energy_import_wh=import_wh, energy_export_wh=export_wh)


def refusal(previous: Reading | None, new: Reading) -> str | None:
    """The reason why the second reading is refused after the first, if it is."""
    return RULES.implausibility(new) or (RULES.discontinuity(previous, new) if previous is not None else None)


GOOD = replace(
    reading_at(0, 5000.0, 10.0),
    power_w=4748.75,
    currents_a=Phases(12.34, 0.52, -8.91),
    voltages_v=Phases(230.1, 0.0, 229.7),
    powers_w=Phases(2812.5, -95.0, 2031.25),
    frequency_hz=50.02,
)


def test_an_ordinary_reading_is_believed_first_and_after_another() -> None:
    assert refusal(None, GOOD) is None
    later = replace(GOOD, taken_at=START + timedelta(seconds=1), energy_import_wh=5006.0)
    assert refusal(GOOD, later) is None
    assert refusal(GOOD, GOOD) is None


def test_the_register_of_a_phase_runs_neither_backwards_nor_away() -> None:
    """J02.FR.16: of each phase as of the total; one that the meter does not keep says nothing."""
    before = replace(GOOD, energies_import_wh=Phases(3000.0, 1000.0, None))
    later = replace(before, taken_at=START + timedelta(seconds=1))
    assert refusal(before, later) is None
    backwards = replace(later, energies_import_wh=Phases(3000.0, 999.0, None))
    assert "energies_import_wh.l2 ran backwards" in str(refusal(before, backwards))
    away = replace(later, energies_import_wh=Phases(4000.0, 1000.0, None))
    assert "energies_import_wh.l1 jumped" in str(refusal(before, away))


def test_a_reading_with_nothing_but_its_import_register_is_believed() -> None:
    assert refusal(None, reading_at(0, 0.0)) is None


def test_a_reading_without_the_import_register_is_refused() -> None:
    assert refusal(None, replace(GOOD, energy_import_wh=None)) == "The import register is missing."


@each_row("number", [math.nan, math.inf, -math.inf])
@each_row(
    "name",
    [
        "energy_import_wh",
        "energy_export_wh",
        "energies_import_wh",
        "energies_export_wh",
        "power_w",
        "frequency_hz",
        "currents_a",
        "voltages_v",
        "powers_w",
    ],
)
def test_what_is_no_number_is_refused_by_its_name_wherever_it_stands(name: str, number: float) -> None:
    three = name in {"energies_import_wh", "energies_export_wh", "currents_a", "voltages_v", "powers_w"}
    broken = replace(GOOD, **{name: Phases(1.0, None, number) if three else number})
    reason = refusal(None, broken)
    assert reason is not None
    assert (f"{name}.l3 shows" if three else f"{name} shows") in reason


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (replace(GOOD, voltages_v=Phases(230.0, 2301.0, 230.0)), "voltages_v.l2 shows 2301"),
        (replace(GOOD, voltages_v=Phases(-230.0, None, None)), "voltages_v.l1 shows -230"),
        (replace(GOOD, frequency_hz=500.0), "frequency_hz shows 500"),
        (replace(GOOD, frequency_hz=0.0), "frequency_hz shows 0"),
        (replace(GOOD, currents_a=Phases(None, None, 1234.0)), "currents_a.l3 shows 1234"),
        (replace(GOOD, power_w=4.7e6), "power_w shows 4.7e+06"),
        (replace(GOOD, energy_import_wh=-1.0), "energy_import_wh shows -1"),
        (replace(GOOD, energy_import_wh=1e15), "energy_import_wh shows 1e+15"),
    ],
)
def test_a_value_outside_of_what_can_be_is_refused_by_its_name(broken: Reading, named: str) -> None:
    reason = refusal(GOOD, broken)
    assert reason is not None
    assert named in reason


@pytest.mark.parametrize(
    ("before", "after"),
    [(reading_at(0, 5000.0), reading_at(1, 4999.9)), (reading_at(0, 5000.0, 10.0), reading_at(1, 5000.0, 9.0))],
)
def test_a_register_that_ran_backwards_is_refused(before: Reading, after: Reading) -> None:
    reason = refusal(before, after)
    assert reason is not None
    assert "ran backwards" in reason


@given(hours=st.floats(0.0, 1000.0), share=st.floats(0.0, 1.0))
def test_a_register_that_counts_what_the_circuit_can_carry_is_believed(hours: float, share: float) -> None:
    counted = reading_at(hours * 3600.0, 5000.0 + 22_000.0 * hours * share)
    assert refusal(reading_at(0, 5000.0), counted) is None


@given(hours=st.floats(0.0, 1000.0))
def test_a_register_that_counts_more_than_the_circuit_can_carry_is_refused(hours: float) -> None:
    counted = reading_at(hours * 3600.0, 5000.0 + 22_000.0 * hours * 1.11 + 101.0)
    reason = refusal(reading_at(0, 5000.0), counted)
    assert reason is not None
    assert "jumped" in reason


def test_a_register_may_count_in_its_own_coarse_steps() -> None:
    assert refusal(reading_at(0, 5000.0), reading_at(0.1, 5100.0)) is None
    fine = PlausibilityRules(max_power_w=22_000.0, register_step_wh=1.0)
    assert fine.discontinuity(reading_at(0, 5000.0), reading_at(0.1, 5100.0)) is not None


def test_a_wall_clock_set_back_makes_no_jump_and_hides_no_step_backwards() -> None:
    assert refusal(reading_at(7200, 5000.0), reading_at(0, 9000.0)) is None
    assert refusal(reading_at(7200, 5000.0), reading_at(0, 4999.0)) is not None


def plausible_meter(readings: Iterable[Reading]) -> PlausibleMeter:
    values = list(readings)
    each_s = [(reading.taken_at - START).total_seconds() for reading in values]
    times_s = [time_s for time_s in each_s for _ in ("asked", "answered")]
    return PlausibleMeter(SimulatedMeter(iter(values).__next__, lambda: "SIMULATED"), RULES, iter(times_s).__next__)


async def outcomes(meter: PlausibleMeter, count: int) -> list[float | str | None]:
    """The results of `count` readings: the import register, "doubted" (transient) or "refused"."""
    results: list[float | str | None] = []
    for _ in range(count):
        try:
            results.append((await meter.read()).energy_import_wh)
        except MeterError as error:
            results.append("doubted" if error.transient else "refused")
    return results


async def test_a_glitch_is_over_when_the_old_count_goes_on() -> None:
    meter = plausible_meter(
        [
            reading_at(0, 5000.0),
            reading_at(1, 0.0),
            reading_at(2, 5001.0),
            reading_at(3, 90_000.0),
            reading_at(4, 5002.0),
        ]
    )
    assert await outcomes(meter, 5) == [5000.0, "doubted", 5001.0, "doubted", 5002.0]
    assert meter.last_doubted is None


async def test_a_meter_that_restarts_with_zeros_is_believed_again_when_it_has_found_its_count() -> None:
    meter = plausible_meter(
        [reading_at(0, 5000.0), reading_at(1, 0.0), reading_at(2, 0.0), reading_at(3, 0.0), reading_at(4, 5000.0)]
    )
    assert await outcomes(meter, 5) == [5000.0, "doubted", "refused", "refused", 5000.0]


async def test_a_counter_that_was_reset_is_never_believed_even_when_it_has_passed_the_old_count() -> None:
    hourly = [reading_at(3600.0 * hour, 1000.0 * hour) for hour in range(1, 9)]
    meter = plausible_meter([reading_at(0, 5000.0), *hourly])
    assert await outcomes(meter, 9) == [5000.0, "doubted", *["refused"] * 7]
    assert meter.last_accepted == reading_at(0, 5000.0)
    assert meter.last_doubted == hourly[-1]


async def test_a_counter_that_jumped_is_not_believed_by_waiting_until_the_jump_is_possible() -> None:
    meter = plausible_meter([reading_at(0, 5000.0), reading_at(1, 9000.0), reading_at(36_000, 9001.0)])
    assert await outcomes(meter, 3) == [5000.0, "doubted", "refused"]


async def test_an_exchange_that_somebody_answers_for_starts_a_new_count() -> None:
    meter = plausible_meter(
        [reading_at(0, 5000.0), reading_at(1, 3.0), reading_at(2, 3.0), reading_at(3, 4.0), reading_at(4, 3.0)]
    )
    assert await outcomes(meter, 2) == [5000.0, "doubted"]
    meter.accept_exchange()
    assert await outcomes(meter, 3) == [3.0, 4.0, "doubted"]


async def test_after_a_restart_the_reading_on_disk_is_what_must_be_continued() -> None:
    meter = plausible_meter([reading_at(60, 4000.0), reading_at(61, 5010.0)])
    meter.restore(reading_at(0, 5000.0))
    assert await outcomes(meter, 2) == ["doubted", 5010.0]


async def test_an_open_doubt_outlives_a_restart() -> None:
    hourly = [reading_at(3600.0 * hour, 1000.0 * hour) for hour in range(1, 9)]
    before = plausible_meter([reading_at(0, 5000.0), *hourly[:4]])
    await outcomes(before, 5)
    after = plausible_meter(hourly[4:])
    assert before.last_accepted is not None
    after.restore(before.last_accepted, before.last_doubted)
    assert await outcomes(after, 4) == ["refused"] * 4


async def test_an_impossible_reading_changes_nothing_and_may_be_asked_again() -> None:
    broken = replace(reading_at(1, 5001.0), frequency_hz=math.nan)
    meter = plausible_meter([reading_at(0, 5000.0), broken, reading_at(2, None), reading_at(3, 5002.0)])
    assert await outcomes(meter, 4) == [5000.0, "doubted", "doubted", 5002.0]
    assert meter.last_doubted is None


async def test_a_slow_answer_makes_no_jump_of_the_next_reading() -> None:
    """The register is read first; the rest of the reading takes half a minute behind a slow gateway."""
    answers = [reading_at(0.0, 5000.0), reading_at(31.0, 5000.0 + 22_000.0 * 31.0 / 3600.0)]
    request_times_s = iter((0.0, 30.0, 30.5, 31.0))
    meter = PlausibleMeter(SimulatedMeter(iter(answers).__next__, lambda: "SIMULATED"), RULES, request_times_s.__next__)
    assert await outcomes(meter, 2) == [reading.energy_import_wh for reading in answers]


async def test_a_failure_of_the_meter_itself_is_passed_on() -> None:
    def fail() -> Reading:
        raise MeterError("the wire is gone", transient=False)

    meter = PlausibleMeter(SimulatedMeter(fail, lambda: "SIMULATED"), RULES, lambda: 0.0)
    with pytest.raises(MeterError, match="the wire is gone") as caught:
        await meter.read()
    assert not caught.value.transient
    await meter.close()
