"""Reports significant changes of the charging rate that the CSMS did not order (K11.FR.04, K13.FR.03)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.charging_profile import Purpose
from energy.limit import LimitSource, tightest
from station.core.model import ChargingState, TriggerReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.limit import Limit
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.load.smart_charging_settings import SmartChargingSettings

_REPORT_EVERY_S = 10.0
"""minimum seconds between two reports: load balancing changes each second, and every event is stored on disk"""


class ChargingRateReporter:
    """Records a transaction event when the offered current of an EVSE changes significantly, unless by the CSMS."""

    def __init__(self, evses: Mapping[int, Evse], settings: SmartChargingSettings, clock: Clock) -> None:
        self._evses = evses
        self._settings = settings
        self._clock = clock
        self._reported: dict[int, tuple[float, float, Limit | None]] = {}
        """per EVSE: last reported rate in amperes, its time (Clock.monotonic), and the binding limit"""

    def report_changes(self) -> None:
        """Record ChargingRateChanged for each charging EVSE whose offered current has changed since the last report.

        Only for changes above LimitChangeSignificance, at most every 10 s per EVSE; called after each decision.
        """
        charging = [evse for evse in self._evses.values() if _is_charging(evse)]
        for evse in self._evses.values():
            rate = (evse.offered_a, self._clock.monotonic(), tightest(evse.limits))
            reported = self._reported.setdefault(evse.id, rate)
            if evse not in charging:  # start and end have events of their own
                self._reported[evse.id] = (rate[0], rate[1] - _REPORT_EVERY_S, rate[2])
            elif rate[0] > 0.0 and self._is_significant(reported[0], rate[0]):  # 0 A is reported as a charging state
                # A lower rate is caused by the limit that binds now, a higher one by the limit that bound before.
                cause = rate[2] if rate[0] < reported[0] else reported[2]
                if not _is_caused_by_csms(cause, only_charging_evse=len(charging) == 1):
                    if rate[1] - reported[1] < _REPORT_EVERY_S:
                        continue
                    evse.record_sample(TriggerReason.CHARGING_RATE_CHANGED, None)
                self._reported[evse.id] = rate

    def _is_significant(self, before_a: float, after_a: float) -> bool:
        """Return whether a change exceeds LimitChangeSignificance (SC.03)."""
        if before_a == 0.0:
            return False
        percent = abs(after_a - before_a) / before_a * 100.0
        return percent > self._settings.limit_change_significance_percent


def _is_charging(evse: Evse) -> bool:
    return evse.state.charging_state is ChargingState.CHARGING and evse.transaction_id is not None


def _is_caused_by_csms(cause: Limit | None, *, only_charging_evse: bool) -> bool:
    """Return whether the CSMS caused the change by a profile, so that it need not be reported (SC.02, mechanism 1).

    From a ChargingStationMaxProfile it cannot know the share of each EVSE (mechanism 4).
    """
    if cause is None or cause.source is not LimitSource.CHARGING_PROFILE:
        return False
    return only_charging_evse or cause.by != Purpose.STATION_MAX
