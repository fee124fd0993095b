"""Gathers all limits of each EVSE, applies the tightest, and says which one binds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from energy.balancer import DrawHistory, PhaseCapacity, balance
from energy.composite import Charge, external_limit_a, limit_a, station_limit_a
from energy.failsafe import HOLD_S, STALE_AFTER_S, limit_in_silence
from energy.freshness import Freshness
from energy.grid import GridSample
from energy.limit import Limit, LimitSource, tightest
from energy.pausing import Pause, let_pass
from energy.profile_store import ProfileStore
from energy.sharing import MINIMUM_A, share
from metering.reading import Phases

if TYPE_CHECKING:
    from metering.clock import Clock

WHOLE_AMPERES_A = 1.0
"""sources that tell whole amperes may hide as much (linky-tic §11.2): stay that far below the limit"""
_CHARGES_A = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    """The house connection, as commissioned."""

    phases: int
    safe_current_a: float
    """what the EVSEs may draw together whatever the house does"""
    max_current_a: float | None = None
    """amperes per phase that it carries, besides what the meter tells"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an EVSE asks of the controller."""

    charge: Charge
    phases: int
    wants: bool
    """a vehicle is there and may charge"""
    draw_a: Phases[float | None]
    """what its meter shows"""
    own_limits: tuple[Limit, ...]
    """of the hardware: selector, cable, rating"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an EVSE may offer, and every limit that was asked."""

    current_a: float
    """amperes per phase; 0 is a pause"""
    limits: tuple[Limit, ...]

    @property
    def binding(self) -> Limit | None:
        """The limit that made it so."""
        return tightest(self.limits)


class Controller:
    """The limits of one station."""

    def __init__(
        self,
        clock: Clock,
        profiles: ProfileStore,
        connection: Connection | None,
        *,
        station_limit_a: float | None = None,
    ) -> None:
        self._clock = clock
        self._station_limit_a = station_limit_a
        self._profiles = profiles
        self._connection = connection
        self._freshness = Freshness(STALE_AFTER_S)
        self._subscribed_a: float | None = None
        self._capacity: list[PhaseCapacity] | None = None
        self._draws = DrawHistory()
        self._pauses: dict[int, Pause] = {}
        self._since: dict[tuple[int, LimitSource], tuple[float, datetime]] = {}

    def select(self, station_limit_a: float) -> None:
        """The current selector was turned: so many amperes per phase for all EVSEs together."""
        self._station_limit_a = station_limit_a

    @property
    def last_sample(self) -> GridSample | None:
        """What the grid meter told last."""
        return self._freshness.last

    @property
    def sample_age_s(self) -> float | None:
        """How long ago that was; None before the first."""
        return self._freshness.age_s(self._clock.monotonic())

    @property
    def grid_limit_a(self) -> float | None:
        """What the connection carries per phase, as told by the meter and the installer."""
        told = self._subscribed_a
        installed = self._connection.max_current_a if self._connection is not None else None
        known = [limit for limit in (told, installed) if limit is not None]
        return min(known, default=None)

    def take_sample(self, sample: GridSample) -> None:
        """A fresh sample of the house connection: the control law moves on by one step."""
        connection, now_s = self._connection, self._clock.monotonic()
        if connection is None:
            return
        silent_s = self._freshness.age_s(now_s) or 0.0
        freshness = self._freshness.after(sample, now_s)
        if sample.subscribed_current_a is not None:
            self._subscribed_a = sample.subscribed_current_a  # short frames do not repeat it
        limit = self.grid_limit_a
        if limit is None or freshness.fresh_at_s != now_s:
            return  # nothing to hold against, or a repetition: as good as silence
        before = self._capacity or [PhaseCapacity(connection.safe_current_a, now_s, now_s) for _ in range(3)]
        draw = self._draws.window()
        after: list[PhaseCapacity] = []
        phases = zip(before, sample.currents_a, draw.least_a, draw.most_a, strict=True)
        for index, (capacity, grid_a, least_a, most_a) in enumerate(phases):
            if grid_a is None:
                if index < connection.phases:
                    return  # a phase is missing: this sample says nothing that could be relied on
                after.append(capacity)
                continue
            held_a = limit_in_silence(capacity.current_a, connection.safe_current_a, silent_s)
            held = PhaseCapacity(held_a, capacity.overloaded_at_s, capacity.stepped_at_s)
            after.append(balance(held, limit - WHOLE_AMPERES_A, grid_a, least_a, most_a, now_s))
        self._capacity, self._freshness = after, freshness

    def decide(self, demands: Sequence[Demand]) -> dict[int, Decision]:
        """What each EVSE may offer now."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        self._draws.add(now_s, _total_draw(demands))
        own: dict[int, list[Limit]] = {}
        for demand in demands:
            limits = list(demand.own_limits)
            profile_a = limit_a(self._profiles.in_force(), demand.charge, now)
            if profile_a is not None:
                limits.append(self._limit(demand, profile_a, LimitSource.CHARGING_PROFILE))
            own[demand.charge.evse_id] = limits
        profiles = self._profiles.in_force()
        for demand, shared in [
            *self._divided(demands, own, self._station_limit_a, LimitSource.SELECTOR),
            *self._divided(demands, own, station_limit_a(profiles, now), LimitSource.STATION_PROFILE),
            *self._divided(demands, own, external_limit_a(profiles, now), LimitSource.EXTERNAL),
            *self._shared_limits(demands, own, now_s),
        ]:
            own[demand.charge.evse_id].append(shared)
        return {evse_id: _decision(limits) for evse_id, limits in own.items()}

    def _divided(
        self, demands: Sequence[Demand], own: dict[int, list[Limit]], capacity_a: float | None, source: LimitSource
    ) -> list[tuple[Demand, Limit]]:
        """What holds for all EVSEs together, however many they are (selector: one breaker; K04.FR.05, K12.FR.01)."""
        if capacity_a is None:
            return []
        wanted = {d.charge.evse_id: _decision(own[d.charge.evse_id]).current_a for d in demands if d.wants}
        shares = share(capacity_a, wanted, [demand.charge.evse_id for demand in demands])
        return [
            (
                demand,
                self._limit(
                    demand,
                    shares[demand.charge.evse_id] if demand.wants and len(wanted) > 1 else capacity_a,
                    source,
                ),
            )
            for demand in demands
        ]

    def _shared_limits(
        self, demands: Sequence[Demand], own: dict[int, list[Limit]], now_s: float
    ) -> list[tuple[Demand, Limit]]:
        """What the house leaves, divided among those that want it."""
        if self._connection is None:
            return []
        left_a, source = self._left_a(demands, now_s)
        wanted = {
            demand.charge.evse_id: _decision(own[demand.charge.evse_id]).current_a for demand in demands if demand.wants
        }
        # What flows to a vehicle that has no right to it any more is not there to be shared.
        left_a -= sum(_most(demand) for demand in demands if not demand.wants)
        shares = share(max(left_a, MINIMUM_A), wanted, [demand.charge.evse_id for demand in demands])
        limits: list[tuple[Demand, Limit]] = []
        for demand in demands:
            evse_id = demand.charge.evse_id
            mine_a = shares[evse_id] if left_a >= MINIMUM_A else min(shares[evse_id], left_a)
            if evse_id not in wanted or len(wanted) == 1:
                mine_a = left_a  # nobody to share with, or nothing to share yet: the limit itself
            if evse_id not in wanted:
                self._pauses.pop(evse_id, None)  # the next vehicle does not inherit a wait
            # A share of nothing is not bridged: the others have the minimum that there is.
            charging = _most(demand) >= _CHARGES_A and mine_a > 0.0
            pause = self._pauses.get(evse_id, Pause())
            self._pauses[evse_id], allowed_a = let_pass(pause, max(0.0, mine_a), charging, now_s)
            limits.append((demand, self._limit(demand, round(allowed_a, 1), source)))
        return limits

    def _left_a(self, demands: Sequence[Demand], now_s: float) -> tuple[float, LimitSource]:
        """The amperes per phase that the connection leaves to all EVSEs together, and who says so."""
        connection = self._connection
        if connection is None or self._capacity is None:
            safe_a = connection.safe_current_a if connection is not None else 0.0
            return safe_a, LimitSource.FAILSAFE
        used = _phases_in_use(demands)
        left_a = min(capacity.current_a for capacity, in_use in zip(self._capacity, used, strict=True) if in_use)
        silent_s = self._freshness.age_s(now_s) or 0.0
        held_a = limit_in_silence(left_a, connection.safe_current_a, silent_s)
        return held_a, LimitSource.FAILSAFE if silent_s > HOLD_S else LimitSource.GRID

    def _limit(self, demand: Demand, current_a: float, source: LimitSource) -> Limit:
        """The limit with the moment since which it has this value."""
        key = (demand.charge.evse_id, source)
        known = self._since.get(key)
        if known is None or known[0] != current_a:
            known = (current_a, self._clock.now())
            self._since[key] = known
        return Limit(current_a, source, known[1])


def _decision(limits: Sequence[Limit]) -> Decision:
    binding = tightest(limits)
    current_a = binding.current_a if binding is not None else 0.0
    return Decision(current_a if current_a >= MINIMUM_A else 0.0, tuple(limits))


def _most(demand: Demand) -> float:
    """The highest phase current that an EVSE draws."""
    return max((current_a or 0.0) for current_a in demand.draw_a)


def _total_draw(demands: Sequence[Demand]) -> Phases[float]:
    totals = [0.0, 0.0, 0.0]
    for demand in demands:
        for index, current_a in enumerate(demand.draw_a):
            totals[index] += current_a or 0.0
    return Phases(*totals)


def _phases_in_use(demands: Sequence[Demand]) -> Phases[bool]:
    """The phases that vehicles load, or would load: a one-phase vehicle leaves two alone."""
    used = [False, False, False]
    for demand in demands:
        drawn = [(current_a or 0.0) >= _CHARGES_A for current_a in demand.draw_a]
        for index in range(3):
            used[index] |= drawn[index] if any(drawn) else index < demand.phases
    return Phases(*used) if any(used) else Phases(True, False, False)
