"""Models the protection of the connection: its heat, and the time until it trips. Pure.

An overload is a budget in seconds, not a threshold: a Linky bears 1.4 times its cut-off power for 158 s and three
times for 12 s, a breaker likewise. Both are a first-order filter of the squared load, so one model serves both; the
heat of the filter is the memory of past loads.
"""

from __future__ import annotations

import math

from foundation.frozen import Frozen


class TripCurve(Frozen):
    """Trip characteristic of a Linky's cut-off or a breaker. Loads are multiples of its rating."""

    name: str
    decay: float
    """factor by which a difference of heat decays per second"""
    trips_at: float
    """heat (load squared, filtered) at which it opens"""
    at_once_from: float | None = None
    """load at which it opens without delay (the magnetic part of a breaker)"""


LINKY = TripCurve("linky", decay=0.992, trips_at=1.3**2)
"""The cut-off of a Linky: Y(n) = 0.008·X² + 0.992·Y(n−1) each second, X in multiples of PCOUP; open at Y ≥ 1.69
(Enedis-NOI-CPT_54E, the breaker). Injection does not count."""

_BREAKER_DECAY = math.exp(-1.0 / 22.0)
"""IEC 60898-1 leaves 1 to 60 s at 2.55 times the rating from cold; a time constant of 22 s opens after 6.6 s there and
after 12 s at twice the rating, which is near the fast edge of the published bands of household breakers"""
_BREAKER_TRIPS_AT = 1.3**2
"""IEC 60898-1: never at 1.13, always at 1.45 times the rating (in an hour); the middle is taken"""

BREAKER_B = TripCurve("B", _BREAKER_DECAY, _BREAKER_TRIPS_AT, at_once_from=3.0)
"""IEC 60898-1 table 7: the magnetic part of a B breaker acts from 3 to 5 times the rating; the lower edge is taken"""
BREAKER_C = TripCurve("C", _BREAKER_DECAY, _BREAKER_TRIPS_AT, at_once_from=5.0)
"""IEC 60898-1 table 7: from 5 to 10 times the rating for a C breaker; the lower edge is taken"""
_HIGHEST_LOAD = 1e6
"""load above which a higher one makes no difference: that of a breaker whose rating was set to nearly 0"""
CURVES = {curve.name: curve for curve in (LINKY, BREAKER_B, BREAKER_C)}


class Protection(Frozen):
    """Estimated state of the house's protection on one phase: its heat. Immutable; it measures and controls nothing."""

    curve: TripCurve
    heat: float = 0.0

    @property
    def tripped(self) -> bool:
        """Whether the estimated heat has reached the level at which the protection opens."""
        return self.heat >= self.curve.trips_at

    def after(self, load: float, seconds: float) -> Protection:
        """Return the state after `seconds` under a constant `load` (multiples of the rating; export counts as zero)."""
        if self._trips_at_once(load):
            return Protection(self.curve, max(self.heat, self.curve.trips_at))
        final_heat = settled_heat(load)
        return Protection(self.curve, final_heat + (self.heat - final_heat) * self.curve.decay**seconds)

    def seconds_left(self, load: float) -> float:
        """Seconds until it trips under a constant `load`, multiples of its rating; infinite if it never does."""
        if self.tripped or self._trips_at_once(load):
            return 0.0
        final_heat = settled_heat(load)
        if final_heat <= self.curve.trips_at:
            return math.inf
        return math.log((final_heat - self.curve.trips_at) / (final_heat - self.heat)) / math.log(self.curve.decay)

    def _trips_at_once(self, load: float) -> bool:
        return self.curve.at_once_from is not None and load >= self.curve.at_once_from


def settled_heat(load: float) -> float:
    """The heat that a constant `load` leads to, in multiples of the rating; export counts as zero."""
    return min(max(0.0, load), _HIGHEST_LOAD) ** 2
