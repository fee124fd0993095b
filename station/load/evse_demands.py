"""Collects what each EVSE demands of the load controller: vehicle, draw, own limits, priority and profiles."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from energy.composite import ProfileTarget
from energy.controller import Demand
from energy.limit import Limit, LimitSource
from foundation.frozen import Frozen
from metering.reading import UNKNOWN_PHASES
from station.charging.evse_state import ev_connected, is_blocked, lacks_ventilation
from station.load.derating import Derating, TemperatureRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.load.charging_profiles import PersistentProfiles
    from station.load.priorities import Priorities
    from station.load.tariff_steering import TariffSteering


class DemandInputs(Frozen):
    """Inputs of the demand of an EVSE besides its meter: a change of one needs a new decision."""

    connected: bool
    authorized: bool
    wants: bool
    transaction_id: str | None
    contactor_closed: bool
    cable_max_a: float | None
    lacks_ventilation: bool
    temperature_a: float | None
    """the limit by the temperature; None: no restriction"""

    @classmethod
    def of(cls, evse: Evse, derating: Derating) -> DemandInputs:
        """The present inputs of an EVSE."""
        state = evse.state
        return cls(
            ev_connected(state),
            state.authorization is not None,
            _wants(evse),
            evse.transaction_id,
            state.seen.contactor_closed,
            state.seen.cable_max_a,
            lacks_ventilation(state),
            derating.current_at(state.seen.temperature_c),
        )


class EvseDemands:
    """The demands of all EVSEs, each with its own limits: hardware, cable, ventilation, temperature, tariff."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        clock: Clock,
        *,
        profiles: PersistentProfiles,
        priorities: Priorities,
        tariff: TariffSteering | None,
        temperatures: TemperatureRange,
        restart_delay_max_s: float,
    ) -> None:
        """`restart_delay_max_s`: no EVSE charges before a random part of this time has passed."""
        self._evses = evses
        self._clock = clock
        self._profiles = profiles
        self._priorities = priorities
        self._tariff = tariff
        self._since = clock.now()
        self.begins_s = clock.monotonic() + random.uniform(0.0, restart_delay_max_s)
        """the end of the delay after a power cut (monotonic)"""
        self._own_since: dict[tuple[int, LimitSource], tuple[float, datetime]] = {}
        """per EVSE and source: the limit of the cable or of missing ventilation, and since when"""
        self._ready_s: dict[int, float] = {}
        self._derating = {evse.id: Derating(evse.layout.max_current_a, temperatures) for evse in evses.values()}

    def inputs_of(self, evse: Evse) -> DemandInputs:
        """The present inputs of the demand of an EVSE."""
        return DemandInputs.of(evse, self._derating[evse.id])

    def collect(self) -> list[Demand]:
        """Collect the demand of each EVSE now.

        Also installs and removes charging profiles where a transaction began, ended, or lost its authorization.
        """
        return [self._demand(evse) for evse in self._evses.values()]

    def _demand(self, evse: Evse) -> Demand:
        state = evse.state
        self._profiles.set_transaction(evse.id, evse.transaction_id)
        here = _is_here(evse)
        if evse.state.authorization is None:
            self._profiles.cancel_expected(evse.id)
        # Elapsed time, not wall time: a corrected clock must not switch a Relative profile off (K01.FR.42).
        now_s = self._clock.monotonic()
        # A vehicle that reconnects during its transaction keeps its start time.
        if not here and evse.transaction_id is None:
            self._ready_s.pop(evse.id, None)
        ready_s = self._ready_s.setdefault(evse.id, now_s) if here else self._ready_s.get(evse.id, now_s)
        started_at = self._clock.now() - timedelta(seconds=now_s - ready_s)
        latest = evse.meter.latest
        return Demand(
            target=ProfileTarget(evse.id, self._profiles.transaction_of(evse.id, evse.transaction_id), started_at),
            phases=evse.layout.phases,
            may_charge=_wants(evse),
            draw_a=latest.currents_a if latest is not None and state.seen.contactor_closed else UNKNOWN_PHASES,
            own_limits=self._own_limits(evse, here=here),
            offered_a=evse.offered_a,
            read_at_s=evse.meter.read_at_s,
            rotation=evse.layout.rotation,
            priority=self._priority(evse),
            selectable_phases=evse.selectable_phases,
        )

    def _priority(self, evse: Evse) -> int:
        authorization = evse.state.authorization
        of_token = authorization.charging_priority if authorization is not None else 0
        return self._priorities.of_charge(evse.id, evse.transaction_id, of_token)

    def _own_limits(self, evse: Evse, *, here: bool) -> tuple[Limit, ...]:
        limits = [Limit(evse.layout.max_current_a, LimitSource.HARDWARE, self._since)]
        limits += self._plugged_in(evse.id, LimitSource.CABLE, evse.state.seen.cable_max_a)
        limits += self._plugged_in(evse.id, LimitSource.VENTILATION, 0.0 if lacks_ventilation(evse.state) else None)
        if (hot := self._derating[evse.id].limit(evse.state.seen.temperature_c, self._clock.now())) is not None:
            limits.append(hot)
        if self._tariff is not None and (waits := self._tariff.tariff_limit(evse, wants=here)) is not None:
            limits.append(waits)
        if (wait_s := self.begins_s - self._clock.monotonic()) > 0.0:
            begins = self._clock.now() + timedelta(seconds=wait_s)
            limits.append(Limit(0.0, LimitSource.RESTART_DELAY, self._since, begins))
        return tuple(limits)

    def _plugged_in(self, evse_id: int, source: LimitSource, current_a: float | None) -> list[Limit]:
        """The limit of the connected cable or vehicle, with its start time; empty if `current_a` is None."""
        key = (evse_id, source)
        if current_a is None:
            self._own_since.pop(key, None)
            return []
        known = self._own_since.get(key)
        if known is None or known[0] != current_a:
            known = self._own_since[key] = (current_a, self._clock.now())
        return [Limit(current_a, source, known[1])]


def _is_here(evse: Evse) -> bool:
    """Return whether a vehicle is connected and authorized."""
    return ev_connected(evse.state) and evse.state.authorization is not None


def _wants(evse: Evse) -> bool:
    """Return whether the vehicle could use energy now; one blocked by a fault leaves its share to others."""
    return _is_here(evse) and not is_blocked(evse.state)
