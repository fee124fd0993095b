"""A shared capacity: never more than there is, nobody between 0 and 6 A, first come first served."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.sharing import MINIMUM_A, share

wishes = st.dictionaries(st.integers(1, 8), st.sampled_from([0.0, 5.9, 6.0]) | st.floats(0, 40), max_size=8)
cases = wishes.flatmap(
    lambda wanted: st.tuples(st.just(wanted), st.permutations(sorted({*wanted, 9})), st.floats(0, 200))
)


@given(cases)
def test_the_shares_are_within_the_capacity_and_what_each_wants(
    case: tuple[dict[int, float], list[int], float],
) -> None:
    wanted, order, capacity_a = case
    shares = share(capacity_a, wanted, order)
    assert list(shares) == order
    assert sum(shares.values()) <= capacity_a + 1e-6
    for evse_id, current_a in shares.items():
        assert current_a == 0.0 or current_a >= MINIMUM_A
        assert current_a <= wanted.get(evse_id, 0.0) + 1e-9


@given(cases)
def test_whoever_waits_waits_behind_everybody_that_charges(case: tuple[dict[int, float], list[int], float]) -> None:
    wanted, order, capacity_a = case
    shares = share(capacity_a, wanted, order)
    served = [shares[evse_id] > 0.0 for evse_id in order if wanted.get(evse_id, 0.0) >= MINIMUM_A]
    assert served == sorted(served, reverse=True)
    assert sum(served) == min(len(served), int(capacity_a // MINIMUM_A))


@given(cases)
def test_nothing_is_left_while_somebody_who_charges_wants_more(
    case: tuple[dict[int, float], list[int], float],
) -> None:
    wanted, order, capacity_a = case
    shares = share(capacity_a, wanted, order)
    left_a = capacity_a - sum(shares.values())
    hungry = [evse_id for evse_id in order if 0.0 < shares[evse_id] < wanted[evse_id] - 1e-6]
    assert not hungry or left_a <= 1e-6


@given(cases)
def test_of_two_that_charge_the_one_with_less_wants_no_more(case: tuple[dict[int, float], list[int], float]) -> None:
    wanted, order, capacity_a = case
    shares = share(capacity_a, wanted, order)
    served = [evse_id for evse_id in order if shares[evse_id] > 0.0]
    for one in served:
        for other in served:
            if shares[one] < shares[other] - 1e-6:
                assert shares[one] == pytest.approx(wanted[one])


@pytest.mark.parametrize(
    ("capacity_a", "wanted", "shares"),
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
def test_examples(capacity_a: float, wanted: dict[int, float], shares: dict[int, float]) -> None:
    assert share(capacity_a, wanted, [1, 2]) == pytest.approx(shares)
