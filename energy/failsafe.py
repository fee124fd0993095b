"""What holds while the grid meter is silent: never the last set-point for ever. Pure."""

from __future__ import annotations

STALE_AFTER_S = 10.0
"""Linky is stale after 10 s (Enedis CPT_54E §9.4); no source here is slower"""
HOLD_S = 5.0
"""so long a silence changes nothing"""


def limit_in_silence(last_a: float, safe_a: float, silent_s: float) -> float:
    """The current that a silent source leaves: held at first, ramped down to the safe one, then that.

    Args:
        last_a: what the last sample left.
        safe_a: the current that was commissioned as safe whatever the house does.
        silent_s: how long there has been no fresh sample.
    """
    if silent_s <= HOLD_S or last_a <= safe_a:
        return last_a
    left = max(0.0, (STALE_AFTER_S - silent_s) / (STALE_AFTER_S - HOLD_S))
    return safe_a + (last_a - safe_a) * left
