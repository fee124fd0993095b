"""Estimates the house's own power without our EVSEs, negative for surplus: watts of all phases together. Pure.

A sample arrives late, with an unknown delay: our EVSEs' draw at its time lies between two bounds, and so does the
house. As in balancer.py an earlier estimate stays if it lies between them: else the draw of our own vehicles would be
taken for solar power, and they would follow themselves upwards.
"""

from __future__ import annotations

from energy.draw import DrawBounds


def house_w(before_w: float | None, grid_w: float | None, drawn: DrawBounds, voltage_v: float) -> float | None:
    """Estimate the house's own power after a sample, in watts; negative if it produces more than it needs.

    None: not known.

    Args:
        before_w: the previous estimate; None: there is none, the upper bound is used.
        grid_w: power of the connection by the sample, negative when it exports.
        drawn: bounds of our EVSEs' draw when the sample was taken.
        voltage_v: nominal voltage.
    """
    if grid_w is None:
        return None
    low_w, high_w = grid_w - sum(drawn.most_a) * voltage_v, grid_w - sum(drawn.least_a) * voltage_v
    return high_w if before_w is None else min(max(before_w, low_w), high_w)
