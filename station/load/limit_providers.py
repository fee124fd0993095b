"""Limits of one EVSE alone, one class each: rating, cable, ventilation, temperature, tariff, restart delay.

A new limit is a class here or beside what it knows, a line in the composition, and the texts of its `LimitSource`.
"""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from energy.limit import Limit, LimitSource
from station.charging.evse_state import lacks_ventilation
from station.load.derating import Derating, TemperatureRange

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from energy.demand import Demand
    from foundation.clock import Clock
    from station.charging.evse import Evse


class LimitProvider(Protocol):
    """One reason to limit the current of an EVSE."""

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return the limit now; None: this reason does not limit the EVSE. Changes nothing.

        `demand`: the demand of the EVSE, without its own limits. A limit with `since` now keeps the time since which a
        decision has had it with the same current.
        """
        ...


class RatingLimit:
    """The rating of the EVSE."""

    def __init__(self, clock: Clock) -> None:
        self._since = clock.now()

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit:
        """Return the rating of the EVSE, since the station started."""
        del demand, now
        return Limit(evse.layout.max_current_a, LimitSource.HARDWARE, self._since)


class CableLimit:
    """The rating of the plugged cable."""

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return the rating that the proximity resistor codes; None: no cable, or an attached one."""
        del demand
        rating_a = evse.state.observation.cable_max_a
        return Limit(rating_a, LimitSource.CABLE, now) if rating_a is not None else None


class VentilationLimit:
    """No current for a vehicle that requires ventilation where there is none (IEC 61851-1 table A.4)."""

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return 0 A while the vehicle requires ventilation in vain."""
        del demand
        return Limit(0.0, LimitSource.VENTILATION, now) if lacks_ventilation(evse.state) else None


class TemperatureLimit:
    """Less current while the station is hot; follows the temperature at each EVSE, for hysteresis."""

    def __init__(self, evses: Iterable[Evse], temperatures: TemperatureRange, clock: Clock) -> None:
        self._clock = clock
        self._derating: dict[int, Derating] = {}
        for evse in evses:
            self._derating[evse.id] = Derating(evse.layout.max_current_a, temperatures)
            evse.state_changed.subscribe(partial(self._update, evse))

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return the limit by the temperature; None: it restricts nothing."""
        del demand, now
        return self._derating[evse.id].limit

    def _update(self, evse: Evse, _: None) -> None:
        self._derating[evse.id].update(evse.state.observation.temperature_c, self._clock.now())


class RestartDelayLimit:
    """No current until a random delay after a power cut has passed, so that vehicles do not all start at once."""

    def __init__(self, clock: Clock, delay_max_s: float) -> None:
        """`delay_max_s`: the delay is a random part of this; 0: no delay."""
        self._clock = clock
        self._since = clock.now()
        self._ends_s = clock.monotonic() + random.uniform(0.0, delay_max_s)

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return 0 A while the delay lasts."""
        del evse, demand
        if (left_s := self._ends_s - self._clock.monotonic()) <= 0.0:
            return None
        return Limit(0.0, LimitSource.RESTART_DELAY, self._since, now + timedelta(seconds=left_s))
