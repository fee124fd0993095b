"""Reads what each EVSE demands of the load controller: vehicle, draw, own limits, priority and profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from energy.composite import ProfileTarget
from energy.demand import Demand
from foundation.frozen import Frozen
from metering.reading import UNKNOWN_PHASES
from station.charging.evse_state import is_blocked
from station.load.vehicle_arrivals import is_vehicle_authorized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.load.charging_profiles import PersistentProfiles
    from station.load.limit_providers import LimitProvider
    from station.load.priorities import Priorities
    from station.load.vehicle_arrivals import VehicleArrivals


class DemandInputs(Frozen):
    """Inputs of the demand of an EVSE besides its meter: a change of one needs a new decision."""

    vehicle_authorized: bool
    may_charge: bool
    transaction_id: str | None
    contactor_closed: bool
    own_limits_a: tuple[float | None, ...]
    """the current of each limit of the EVSE alone, A per phase"""


class Demands:
    """The demands of all EVSEs, each with its own limits. Reading changes nothing."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        clock: Clock,
        *,
        profiles: PersistentProfiles,
        priorities: Priorities,
        arrivals: VehicleArrivals,
        limits: Sequence[LimitProvider],
    ) -> None:
        """`limits`: the reasons to limit an EVSE alone."""
        self._evses = evses
        self._clock = clock
        self._profiles = profiles
        self._priorities = priorities
        self._arrivals = arrivals
        self._limits = limits

    def collect(self) -> list[Demand]:
        """Read the demand of each EVSE now."""
        now = self._clock.now()
        return [self._demand(evse, now) for evse in self._evses.values()]

    def inputs_of(self, evse: Evse) -> DemandInputs:
        """Read the inputs of the demand of an EVSE whose changes need a decision."""
        demand = self._demand(evse, self._clock.now())
        return DemandInputs(
            is_vehicle_authorized(evse),
            demand.may_charge,
            evse.transaction_id,
            evse.state.observation.contactor_closed,
            tuple(limit.current_a for limit in demand.own_limits),
        )

    def _demand(self, evse: Evse, now: datetime) -> Demand:
        latest, transaction_id = evse.meter.latest, evse.transaction_id
        target = ProfileTarget(
            evse.id, self._profiles.transaction_of(evse.id, transaction_id), self._arrivals.since(evse.id)
        )
        demand = Demand(
            target=target,
            phases=evse.layout.phases,
            may_charge=is_vehicle_authorized(evse) and not is_blocked(evse.state),  # else its share is left to others
            draw_a=latest.currents_a
            if latest is not None and evse.state.observation.contactor_closed
            else UNKNOWN_PHASES,
            own_limits=(),
            offered_a=evse.offered_a,
            read_at_s=evse.meter.read_at_s,
            rotation=evse.layout.rotation,
            priority=self._priority(evse),
            selectable_phases=evse.selectable_phases,
        )
        limits = (provider.limit(evse, demand, now) for provider in self._limits)
        return replace(demand, own_limits=tuple(limit for limit in limits if limit is not None))

    def _priority(self, evse: Evse) -> int:
        authorization = evse.state.authorization
        token_priority = authorization.charging_priority if authorization is not None else 0
        return self._priorities.of_charge(evse.id, evse.transaction_id, token_priority)
