"""What the house draws, or produces beyond its own need, without our EVSEs: watts of all phases together. Pure.

A sample is late, and nobody knows exactly how late: what our EVSEs drew then lies between two bounds, and so does the
house. As in balancer.py an earlier estimate stays where it lies between them: what our own vehicles do must not be
taken for sun, or they would follow themselves upwards.
"""

from __future__ import annotations

from energy.draw import DrawBounds


def house_w(before_w: float | None, grid_w: float | None, drawn: DrawBounds, voltage_v: float) -> float | None:
    """The estimate after a sample; negative when the house produces more than it needs; None: nobody tells.

    Args:
        before_w: the estimate before; None: there is none, and the careful bound counts.
        grid_w: what the connection draws by the sample, negative when it exports.
        drawn: what our EVSEs may have drawn when it was taken.
        voltage_v: of the area.
    """
    if grid_w is None:
        return None
    low_w, high_w = grid_w - sum(drawn.most_a) * voltage_v, grid_w - sum(drawn.least_a) * voltage_v
    return high_w if before_w is None else min(max(before_w, low_w), high_w)
