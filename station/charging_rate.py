"""When the rate of a charge has changed so much that the CSMS is told, and did not order it (K11.FR.04, K13.FR.03)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.limit import LimitSource, tightest
from station.model import ChargingState, TriggerReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.limit import Limit
    from metering.clock import Clock
    from station.evse import Evse
    from station.settings import Settings

_TELL_EVERY_S = 10.0
"""a load balancer moves each second, and every event is kept on disk: the changes within so long are told as one"""
_ORDERED = frozenset({LimitSource.CHARGING_PROFILE})
"""whose changes the CSMS knows, since it made them (SC.02, mechanism 1)"""


class ChargingRates:
    """What was told last of each EVSE."""

    def __init__(self, evses: Mapping[int, Evse], settings: Settings, clock: Clock) -> None:
        self._evses = evses
        self._settings = settings
        self._clock = clock
        self._told: dict[int, tuple[float, float, Limit | None]] = {}
        """per EVSE that charges: amperes, when, and the limit that bound"""

    def look(self) -> None:
        """Tell what has changed since the last look."""
        for evse in self._evses.values():
            if evse.state.charging_state is ChargingState.CHARGING and evse.transaction_id is not None:
                self._look(evse)
            else:
                self._told.pop(evse.id, None)  # the beginning and the end are told as such

    def _look(self, evse: Evse) -> None:
        rate_a, now_s, binding = evse.offered_a, self._clock.monotonic(), tightest(evse.limits)
        known = self._told.setdefault(evse.id, (rate_a, now_s, binding))
        told_a, told_s, bound = known
        if rate_a == 0.0 or not self._is_significant(told_a, rate_a):  # a pause is a change of the charging state
            return
        # What binds has made a rate lower; what has bound before has made it higher.
        cause = binding if rate_a < told_a else bound
        if not self._is_ordered(cause):
            if now_s - told_s < _TELL_EVERY_S:
                return
            evse.sampled(TriggerReason.CHARGING_RATE_CHANGED, None)
        self._told[evse.id] = (rate_a, now_s, binding)

    def _is_significant(self, before_a: float, after_a: float) -> bool:
        """SC.03: less than LimitChangeSignificance is not told."""
        if before_a == 0.0:
            return False
        percent = abs(after_a - before_a) / before_a * 100.0
        return percent > self._settings.limit_change_significance_percent

    def _is_ordered(self, cause: Limit | None) -> bool:
        """Whether the CSMS knows of the change; a limit of the station is divided by the station (SC.02, mechanism 4)."""
        if cause is None:
            return False
        alone = len(self._told) == 1
        return cause.source in _ORDERED or (cause.source is LimitSource.STATION_PROFILE and alone)
