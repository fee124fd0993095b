"""The replay is what it says: repeatable, fair to whoever plays, and never tripped by this project's controller."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replay.models import (
    BRISK,
    COMMON,
    LINKY,
    LINKY_STANDARD,
    MODBUS,
    P1,
    SLOW_ONE,
    STRONG,
    Contactor,
    PilotOrder,
    ReplayGridMeter,
    ReplayMeterModel,
    ReplayScore,
    ReplaySite,
    ReplayVehicle,
    ReplayVehicleModel,
)
from bench.replay.run import NAMES, ORACLE, OURS, PATIENT, SITES, replay
from bench.replay.traces import HOUSES, LoadTrace, load_traces, read_trace_csv
from energy.trip import BREAKER_C
from energy.trip import LINKY as LINKY_CURVE
from tests.examples import examples

FLAT = SITES[0]


def house_load(*loads: tuple[int, float], phases: int = 1) -> LoadTrace:
    """Return the load of a house in phases of seconds and amperes."""
    currents = [current_a for seconds, current_a in loads for _ in range(seconds)]
    return LoadTrace(0, [list(currents) if phase < phases else [0.0] * len(currents) for phase in range(3)])


@pytest.mark.parametrize("kind", HOUSES)
def test_a_day_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    (first,), (same,), (another,) = (list(load_traces(kind, seed, 1)) for seed in (1, 1, 2))
    assert first.currents_a == same.currents_a
    assert first.currents_a != another.currents_a
    assert len(first) == len(first.currents_a[1]) == len(first.currents_a[2])
    assert min(min(phase) for phase in first.currents_a) >= 0.0


def test_a_trace_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("time,l1,l2,l3\n0,1.5,2,3\n1,4,5,6\n", encoding="utf-8")
    assert read_trace_csv(file).at(1) == (4.0, 5.0, 6.0)
    for malformed_csv in ("time,l1,l2,l3\n0,1,2\n0,x,1,2\n", "h\n0,1,2,nan\n", "h\n1,2\n"):
        file.write_text(malformed_csv, encoding="utf-8")
        with pytest.raises(ValueError, match="line"):
            read_trace_csv(file)


def test_a_vehicle_follows_late_and_rises_slowly() -> None:
    vehicle = ReplayVehicle(ReplayVehicleModel("test", 1, 16.0, reaction_s=2, ramp_a_per_s=4.0, wakes_s=0))
    drawn: list[float] = []
    for second in range(10):
        vehicle.step(32.0 if second < 6 else 6.0, True)
        drawn.append(vehicle.current_a)
    assert drawn == [0.0, 0.0, 4.0, 8.0, 12.0, 16.0, 16.0, 16.0, 6.0, 6.0]


def test_a_meter_reports_late_rarely_and_in_whole_amperes() -> None:
    meter = ReplayGridMeter(ReplayMeterModel("test", period_s=2, delay_s=1, whole_amperes=True), 3)
    assert [meter.step((second + 0.4, 0.0, 0.0)) for second in range(4)] == [
        None,
        (0.0, 0.0, 0.0),
        None,
        (2.0, 0.0, 0.0),
    ]


def test_a_contactor_waits_for_the_vehicle_unless_it_must_not() -> None:
    for open_now, seconds in ((False, Contactor.WAITS_S), (True, 0)):
        contactor, score = Contactor(), ReplayScore()
        contactor.step(PilotOrder(16.0), 0.0, score)
        closed = 0
        while contactor.closed:
            contactor.step(PilotOrder(0.0, open_now), 16.0, score)
            closed += contactor.closed
        assert (closed, score.operations, score.under_load) == (seconds, 2, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_quiet_house_gives_everybody_the_same(name: str) -> None:
    score = replay(FLAT, [house_load((1800, 5.0))], name)
    assert (score.trips, score.above_s, score.pauses) == (0, 0, 0)
    assert score.energy_wh == pytest.approx(replay(FLAT, [house_load((1800, 5.0))], ORACLE).energy_wh, rel=0.02)


def test_a_house_that_is_always_full_gives_nobody_anything() -> None:
    for name in (ORACLE, OURS):
        assert replay(FLAT, [house_load((600, 38.0))], name).energy_wh < 100.0


def test_the_patient_oracle_pauses_three_minutes_where_the_other_flaps() -> None:
    """40 s in each 100 s leave nothing: who may flap charges in between, who must wait three minutes hardly does."""
    house = house_load((300, 5.0), *[(40, 38.0), (60, 5.0)] * 12, (300, 5.0))
    flapping, patient = replay(FLAT, [house], ORACLE), replay(FLAT, [house], PATIENT, keep=True)
    assert (flapping.pauses, flapping.trips, patient.trips) == (12, 0, 0)
    assert patient.pauses <= 6
    assert patient.energy_wh < flapping.energy_wh
    zeros = "".join("0" if offered_a == 0.0 else "1" for offered_a in patient.offers).strip("0").split("1")
    assert min(len(pause) for pause in zeros if pause) >= 180


def test_a_site_that_was_carried_to_another_process_plays_as_it_did_before() -> None:
    """Copies of the constants are no less what they are: a Linky still tells its cut-off."""
    evening = [house_load((60, 5.0), (90, 42.0), (600, 12.0))]
    carried: ReplaySite = pickle.loads(pickle.dumps(FLAT))
    assert replay(carried, evening, OURS) == replay(FLAT, evening, OURS)


def test_whoever_ignores_the_house_trips() -> None:
    """The score sees a trip: 32 A of vehicle on a house of 26 A are 1.48 times a 9 kVA Linky's power."""
    site = replace(FLAT, limit_a=9000 / 230)
    scalar = replace(site, phases=3, house="test", vehicle=BRISK)
    three = LoadTrace(0, [[38.0] * 1200, [0.0] * 1200, [0.0] * 1200])
    assert replay(scalar, [three], "evcc").trips > 0
    assert replay(scalar, [three], OURS).trips == 0


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_a_dinner_does_not_trip_and_gives_most_of_what_there_is(site: ReplaySite) -> None:
    (day,) = load_traces(site.house, 3, 1)
    dinner = LoadTrace(0, [phase[600:4200] for phase in day.currents_a])
    ours, best = replay(site, [dinner], OURS), replay(site, [dinner], ORACLE)
    assert ours.trips == 0
    if best.pauses:  # where even foresight has to pause, ours does it less often
        assert ours.pauses < best.pauses
    else:
        assert ours.energy_wh > 0.9 * best.energy_wh


vehicles = st.sampled_from([BRISK, COMMON, SLOW_ONE, STRONG])
loads = st.lists(st.tuples(st.integers(1, 90), st.floats(0.0, 1.2)), min_size=1, max_size=14)


@examples(40)
@given(loads, vehicles, st.sampled_from([LINKY, LINKY_STANDARD, MODBUS]), st.integers(0, 5), st.sampled_from([1, 3]))
def test_the_cut_off_of_a_linky_is_never_reached_through_our_doing(
    loads: list[tuple[int, float]], vehicle: ReplayVehicleModel, meter: ReplayMeterModel, reaction_s: int, phases: int
) -> None:
    """Whatever a house does that does not trip by itself, and however late the vehicle is within its 5 s."""
    site = ReplaySite("test", "test", phases, 30.0, LINKY_CURVE, meter, replace(vehicle, reaction_s=reaction_s))
    house = house_load((60, 5.0), *((seconds, part * 30.0) for seconds, part in loads), phases=phases)
    score = replay(site, [house], OURS)
    assert score.trips == 0
    assert score.hottest < 1.0


@examples(25)
@given(loads, st.sampled_from([COMMON, SLOW_ONE]), st.sampled_from([MODBUS, P1]))
def test_a_breaker_is_not_opened_by_the_loads_of_a_household(
    loads: list[tuple[int, float]], vehicle: ReplayVehicleModel, meter: ReplayMeterModel
) -> None:
    """Steps of up to 15 A at a 25 A breaker, also with a meter that speaks every ten seconds."""
    site = ReplaySite("test", "test", 3, 25.0, BREAKER_C, meter, vehicle)
    house = house_load((60, 3.0), *((seconds + 20, part / 1.2 * 15.0) for seconds, part in loads), phases=3)
    assert replay(site, [house], OURS).trips == 0


@examples(25)
@given(loads, vehicles, st.sampled_from([LINKY, MODBUS, P1]))
def test_nothing_between_0_and_6_a_and_nothing_above_the_vehicle_is_ever_offered(
    loads: list[tuple[int, float]], vehicle: ReplayVehicleModel, meter: ReplayMeterModel
) -> None:
    site = ReplaySite("test", "test", 3, 25.0, BREAKER_C, meter, vehicle)
    house = house_load((60, 3.0), *((seconds, part * 25.0) for seconds, part in loads), phases=3)
    score = replay(site, [house], OURS, keep=True)
    assert all(offered_a == 0.0 or 6.0 <= offered_a <= vehicle.max_a for offered_a in score.offers)
