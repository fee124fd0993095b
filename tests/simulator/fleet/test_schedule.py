"""What happens at each station follows from the seed and its number alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simulator.fleet.schedule import arrivals, house_loads, station_disturbances, storms_s
from station.core.vehicle_link import Contract
from tests.simulator.fleet.plans import plan

DAY_S = 86_400


@given(st.integers(0, 10_000), st.integers(1, 1_000_000))
def test_the_same_seed_gives_a_station_the_same_vehicles_however_many_others_there_are(seed: int, number: int) -> None:
    few_stations = plan({"seed": seed, "duration_s": 20_000, "stations": 5}, arrivals={"per_day": 100}, vehicle=KINDS)
    many = plan(
        {"seed": seed, "duration_s": 20_000, "stations": 5000, "hosts": 7}, arrivals={"per_day": 100}, vehicle=KINDS
    )
    assert list(arrivals(few_stations, number, 1)) == list(arrivals(many, number, 1))


KINDS: list[dict[str, Any]] = [
    {"share": 3, "phases": 3, "max_current_a": 16, "battery_wh": 60_000, "soc": [0.1, 0.5], "stay_s": [60, 600]},
    {"share": 1, "phases": 1, "max_current_a": 32, "battery_wh": 30_000, "soc": [0.6, 0.9], "stay_s": [30, 90]},
]


def test_stations_and_evses_and_seeds_have_different_vehicles() -> None:
    busy = plan({"duration_s": DAY_S}, arrivals={"per_day": 50}, vehicle=KINDS)
    other_plan = plan({"duration_s": DAY_S, "seed": 2}, arrivals={"per_day": 50}, vehicle=KINDS)
    lists = [list(arrivals(*which)) for which in ((busy, 1, 1), (busy, 2, 1), (busy, 1, 2), (other_plan, 1, 1))]
    assert len({tuple(arrivals_of_evse) for arrivals_of_evse in lists}) == 4


@given(st.integers(0, 500))
def test_vehicles_do_not_overlap_and_are_as_the_plan_says(number: int) -> None:
    visits = list(arrivals(plan({"duration_s": 40_000}, arrivals={"per_day": 300}, vehicle=KINDS), number, 1))
    assert visits
    for visit in visits:
        kind = KINDS[0] if visit.vehicle.phases == 3 else KINDS[1]
        assert kind["soc"][0] <= visit.vehicle.soc <= kind["soc"][1]
        assert kind["stay_s"][0] <= visit.stay_s <= kind["stay_s"][1]
        assert visit.vehicle.battery_wh == kind["battery_wh"]
        assert 0.0 <= visit.at_s < 40_000
        assert len(visit.uid) == 14
    for first, second in pairwise(visits):
        assert second.at_s >= first.at_s + first.stay_s


def test_the_frequency_follows_the_hours_of_the_day() -> None:
    hours = [0.0] * 24
    hours[18], hours[19] = 3.0, 1.0
    evening = plan(
        {"duration_s": DAY_S},
        arrivals={"per_day": 20, "hours": hours, "begin_hour": 12},
        vehicle=[{"stay_s": [1, 1]}],
    )
    visits = [visit for number in range(300) for visit in arrivals(evening, number, 1)]
    seven, eight = (sum(start <= visit.at_s < start + 3600 for visit in visits) for start in (6 * 3600, 7 * 3600))
    assert seven + eight == len(visits)
    assert len(visits) / 300 == pytest.approx(20, rel=0.05)
    assert seven / eight == pytest.approx(3.0, rel=0.15)


def test_no_vehicles_come_if_none_are_wanted() -> None:
    assert list(arrivals(plan(arrivals={"per_day": 0}), 1, 1)) == []


def test_cards_are_those_of_the_plan() -> None:
    single_card = plan({"duration_s": DAY_S}, arrivals={"per_day": 100}, tokens={"uids": ["04a3b2c1d5e680"]})
    assert {visit.uid for visit in arrivals(single_card, 1, 1)} == {"04A3B2C1D5E680"}
    few_cards = plan(
        {"duration_s": DAY_S}, arrivals={"per_day": 200}, tokens={"count": 3}, vehicle=[{"stay_s": [1, 1]}]
    )
    assert len({visit.uid for number in range(20) for visit in arrivals(few_cards, number, 1)}) == 3


def test_a_share_of_the_stations_is_disturbed() -> None:
    disturbed = plan(
        {"duration_s": 600},
        disturbance=[
            {"type": "power-cut", "at_s": 100, "lasts_s": 20, "spread_s": 50, "share": 0.25},
            {"type": "reconnect-storm", "at_s": 300, "share": 0.5},
            {"type": "link-cut", "at_s": 50, "lasts_s": 10},
        ],
    )
    found = [station_disturbances(disturbed, number) for number in range(1000)]
    assert all(disturbances[0].type == "link-cut" and disturbances[0].at_s == 50 for disturbances in found)
    cuts = [disturbances[1] for disturbances in found if len(disturbances) > 1]
    assert len(cuts) == pytest.approx(250, rel=0.15)
    assert all(100 <= cut.at_s <= 150 and cut.lasts_s == 20 for cut in cuts)
    assert sum(storms_s(disturbed, number) == [300] for number in range(1000)) == pytest.approx(500, rel=0.1)


def test_houses_change_their_loads() -> None:
    houses = plan({"duration_s": 3600}, houses={"share": 0.5, "base_a": 2, "varying_a": 6, "changes_every_s": 60})
    found = [list(house_loads(houses, number)) for number in range(400)]
    assert sum(map(bool, found)) == pytest.approx(200, rel=0.2)
    assert all(2 <= a <= 8 for loads in found for load in loads for a in load.currents_a)
    assert sum(len(loads) for loads in found) / sum(map(bool, found)) == pytest.approx(61, rel=0.1)
    assert list(house_loads(plan(), 1)) == []


CONTRACTS = [Contract("FRBRNC00000001X", "chain 1"), Contract("FRBRNC00000002X", "chain 2")]


def test_a_share_of_the_vehicles_communicates_and_a_share_of_those_has_a_contract() -> None:
    kinds = [{**KINDS[0], "iso15118_share": 0.5, "contract_share": 0.25}]
    talking = plan({"duration_s": DAY_S}, arrivals={"per_day": 200}, vehicle=kinds)
    visits = [visit for number in range(30) for visit in arrivals(talking, number, 1, CONTRACTS)]
    models = [visit.vehicle.communication for visit in visits if visit.vehicle.communication is not None]
    contracts = [model.contract for model in models if model.contract is not None]
    assert len(models) == pytest.approx(0.5 * len(visits), rel=0.1)
    assert len(contracts) == pytest.approx(0.25 * len(models), rel=0.2)
    assert set(contracts) == set(CONTRACTS)
    assert len({model.evccid for model in models}) == len(models)
    assert all(
        visit.vehicle.communication.departs_in_s == int(visit.stay_s) for visit in visits if visit.vehicle.communication
    )


def test_the_share_that_communicates_changes_nothing_else() -> None:
    silent = plan({"duration_s": DAY_S}, arrivals={"per_day": 200}, vehicle=KINDS)
    kinds = [{**kind, "iso15118_share": 1.0} for kind in KINDS]
    talking = plan({"duration_s": DAY_S}, arrivals={"per_day": 200}, vehicle=kinds)
    without = [replace(each, vehicle=replace(each.vehicle, communication=None)) for each in arrivals(talking, 7, 1)]
    assert without == list(arrivals(silent, 7, 1))


def test_without_contracts_vehicles_are_authorized_by_card() -> None:
    kinds = [{**KINDS[0], "iso15118_share": 1.0, "contract_share": 1.0}]
    visits = list(arrivals(plan({"duration_s": DAY_S}, arrivals={"per_day": 50}, vehicle=kinds), 1, 1))
    assert visits
    models = [visit.vehicle.communication for visit in visits]
    assert all(model is not None and model.contract is None for model in models)
