"""A shared capacity: never more than there is, nobody between 0 and 6 A, turns where it does not serve all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.sharing import TURN_S, Bound, Policy, ServiceQueue, ServiceRequest, share, spread_remainder
from foundation.constants import MINIMUM_CURRENT_A


def conductor(capacity_a: float, evse_ids: Sequence[int]) -> Bound:
    """Amperes on a conductor that all these EVSEs load."""
    return Bound(capacity_a, dict.fromkeys(evse_ids, 1.0))


demands_a = st.dictionaries(st.integers(1, 8), st.sampled_from([0.0, 5.9, 6.0]) | st.floats(0, 40), max_size=8)
policies = st.sampled_from(list(Policy))
weights = st.dictionaries(st.integers(1, 8), st.sampled_from([0.0, 1.0, 230.0, 690.0]), max_size=8)
bounds = st.lists(st.builds(Bound, st.floats(0, 200) | st.floats(0, 30_000), weights), min_size=1, max_size=5)
cases = st.tuples(bounds, demands_a).flatmap(
    lambda case: st.tuples(st.just(case[0]), st.just(case[1]), st.permutations(sorted({*case[1], 9})))
)
single_conductor_cases = demands_a.flatmap(
    lambda demand_a: st.tuples(st.just(demand_a), st.permutations(sorted({*demand_a, 9})), st.floats(0, 200))
)


@given(cases, policies)
def test_the_shares_keep_every_bound_and_what_each_wants(
    case: tuple[list[Bound], dict[int, float], list[int]], policy: Policy
) -> None:
    bounds, demand_a, order = case
    shares = spread_remainder(share(bounds, demand_a, order, policy), bounds, demand_a)
    assert list(shares) == order
    for bound in bounds:
        used = sum(current_a * bound.weights.get(evse_id, 0.0) for evse_id, current_a in shares.items())
        assert used <= bound.capacity + 1e-4
    for evse_id, current_a in shares.items():
        assert current_a == 0.0 or current_a >= MINIMUM_CURRENT_A
        assert current_a <= demand_a.get(evse_id, 0.0) + 1e-6


@given(single_conductor_cases, policies)
def test_whoever_waits_waits_behind_everybody_that_charges(
    case: tuple[dict[int, float], list[int], float], policy: Policy
) -> None:
    demand_a, order, capacity_a = case
    shares = share([conductor(capacity_a, order)], demand_a, order, policy)
    served = [shares[evse_id] > 0.0 for evse_id in order if demand_a.get(evse_id, 0.0) >= MINIMUM_CURRENT_A]
    assert served == sorted(served, reverse=True)
    assert sum(served) == min(len(served), int((capacity_a + 1e-9) // MINIMUM_CURRENT_A))


@given(cases, policies)
def test_nothing_is_left_while_somebody_who_charges_could_have_it(
    case: tuple[list[Bound], dict[int, float], list[int]], policy: Policy
) -> None:
    bounds, demand_a, order = case
    shares = share(bounds, demand_a, order, policy)
    for evse_id in order:
        if 0.0 < shares[evse_id] < demand_a[evse_id] - 1e-6:
            rooms = [
                (bound.capacity - sum(a * bound.weights.get(other_id, 0.0) for other_id, a in shares.items())) / weight
                for bound in bounds
                if (weight := bound.weights.get(evse_id, 0.0)) > 0.0
            ]
            assert min(rooms) <= 1e-4


@given(single_conductor_cases)
def test_fairly_the_one_of_two_with_less_wants_no_more(case: tuple[dict[int, float], list[int], float]) -> None:
    demand_a, order, capacity_a = case
    shares = share([conductor(capacity_a, order)], demand_a, order)
    served = [evse_id for evse_id in order if shares[evse_id] > 0.0]
    for served_id in served:
        for other_id in served:
            if shares[served_id] < shares[other_id] - 1e-6:
                assert shares[served_id] == pytest.approx(demand_a[served_id])


@pytest.mark.parametrize(
    ("capacity_a", "demand_a", "shares"),
    [
        (32.0, {1: 32.0}, {1: 32.0, 2: 0.0}),
        (32.0, {1: 32.0, 2: 32.0}, {1: 16.0, 2: 16.0}),
        (32.0, {1: 10.0, 2: 32.0}, {1: 10.0, 2: 22.0}),
        (12.0, {1: 32.0, 2: 32.0}, {1: 6.0, 2: 6.0}),
        (11.9, {1: 32.0, 2: 32.0}, {1: 11.9, 2: 0.0}),
        (5.9, {1: 32.0, 2: 32.0}, {1: 0.0, 2: 0.0}),
        (0.0, {1: 32.0}, {1: 0.0, 2: 0.0}),
    ],
)
def test_examples(capacity_a: float, demand_a: dict[int, float], shares: dict[int, float]) -> None:
    assert share([conductor(capacity_a, [1, 2])], demand_a, [1, 2]) == pytest.approx(shares)


def test_first_come_gives_the_first_all_but_the_least_of_the_others() -> None:
    demand_a = {1: 32.0, 2: 32.0, 3: 32.0}
    shares = share([conductor(40.0, [1, 2, 3])], demand_a, [2, 3, 1], Policy.FIRST_COME)
    assert shares == pytest.approx({2: 28.0, 3: 6.0, 1: 6.0})


def test_vehicles_on_different_conductors_do_not_take_from_each_other() -> None:
    l1, l2 = Bound(20.0, {1: 1.0, 3: 1.0}), Bound(10.0, {2: 1.0, 3: 1.0})
    demand_a = {1: 32.0, 2: 32.0, 3: 32.0}
    assert share([l1, l2], demand_a, [1, 2]) == pytest.approx({1: 20.0, 2: 10.0})
    assert share([l1, l2], demand_a, [3, 1, 2]) == pytest.approx({3: 10.0, 1: 10.0, 2: 0.0})


def test_a_power_counts_the_phases() -> None:
    """4.2 kW: three phases at 6 A, or one at 18 (EnWG §14a)"""
    assert share([Bound(4200.0, {1: 690.0})], {1: 32.0}, [1]) == pytest.approx({1: 4200 / 690})
    assert share([Bound(4200.0, {1: 230.0})], {1: 32.0}, [1]) == pytest.approx({1: 4200 / 230})


def test_what_nobody_needs_goes_on_top_to_those_that_are_served() -> None:
    assert spread_remainder(
        {1: 8.0, 2: 10.0, 3: 0.0}, [conductor(32.0, [1, 2, 3])], {1: 32.0, 2: 12.0, 3: 0.0}
    ) == pytest.approx({1: 20.0, 2: 12.0, 3: 0.0})


def test_they_take_turns_where_not_all_fit() -> None:
    queue, now_s, served = ServiceQueue(), 0.0, list[int]()
    current = None
    for _ in range(4 * int(TURN_S) + 4):
        order = queue.update_order([ServiceRequest(evse_id, evse_id == current) for evse_id in (1, 2, 3)], now_s)
        current = order[0]
        served.append(current)
        now_s += 1.0
    changes = [evse_id for evse_id, before in zip(served, [0, *served], strict=False) if evse_id != before]
    assert changes == [1, 2, 3, 1]
    assert served.count(2) == pytest.approx(TURN_S, abs=3)


def test_nobody_gives_way_while_nobody_waits() -> None:
    queue = ServiceQueue()
    for second in range(3 * int(TURN_S)):
        assert queue.update_order([ServiceRequest(1, True), ServiceRequest(2, True)], float(second)) == [1, 2]


def test_priority_comes_before_the_turn_and_a_sleeping_vehicle_last() -> None:
    queue = ServiceQueue()
    requests = [
        ServiceRequest(1, True),
        ServiceRequest(2, False, priority=1),
        ServiceRequest(3, False, priority=9, idle=True),
    ]
    assert queue.update_order(requests, 0.0) == [2, 1, 3]
    assert queue.update_order(requests, 2 * TURN_S) == [2, 1, 3]


def test_whoever_came_first_is_first() -> None:
    queue = ServiceQueue()
    assert queue.update_order([ServiceRequest(2, True)], 0.0) == [2]
    assert queue.update_order([ServiceRequest(1, False), ServiceRequest(2, True)], 1.0) == [2, 1]
    assert queue.update_order([ServiceRequest(1, False)], 2.0) == [1]
    assert queue.update_order([ServiceRequest(1, True), ServiceRequest(2, False)], 3.0) == [1, 2]
