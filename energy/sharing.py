"""A shared capacity divided among the EVSEs that want some. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MINIMUM_A = 6.0
"""the least that a vehicle can charge with (IEC 61851-1)"""


def share(capacity_a: float, wanted_a: Mapping[int, float], order: Sequence[int]) -> dict[int, float]:
    """Divide `capacity_a`: 6 A to as many as fit, in `order`; then the rest evenly, none above what it wants.

    Args:
        capacity_a: amperes per phase for all together.
        wanted_a: per EVSE the most that it can use, for those that want energy.
        order: the EVSEs, the first served first.

    Returns: amperes for each EVSE of `order`; 0 for one that must wait.
    """
    shares = dict.fromkeys(order, 0.0)
    left_a = capacity_a
    for evse_id in order:
        if wanted_a.get(evse_id, 0.0) >= MINIMUM_A and left_a >= MINIMUM_A:
            shares[evse_id] = MINIMUM_A
            left_a -= MINIMUM_A
    hungry = [evse_id for evse_id in order if shares[evse_id] > 0.0]
    while hungry and left_a > 1e-9:
        each_a = left_a / len(hungry)
        for evse_id in list(hungry):
            more_a = min(each_a, wanted_a[evse_id] - shares[evse_id])
            shares[evse_id] += more_a
            left_a -= more_a
            if wanted_a[evse_id] - shares[evse_id] <= 1e-9:
                hungry.remove(evse_id)
    return shares
