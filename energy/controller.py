"""Gathers all limits of each EVSE, applies the tightest, and says which one binds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energy.charging_profile import Purpose
from energy.composite import Charge, limit_a, station_limit_a
from energy.connection import LINE_VOLTAGE_V, Connection, ConnectionWatch, Left, usable
from energy.draw import Draw
from energy.limit import Limit, LimitSource, tightest
from energy.pausing import Pause, begin, let_pass
from energy.phases import STRAIGHT, UNKNOWN_MAP, Learner, PhaseMap
from energy.profile_store import ProfileStore
from energy.sharing import MINIMUM_A, Bound, Policy, Turns, Waiting, share, spread
from metering.reading import Phases

if TYPE_CHECKING:
    from energy.grid import GridSample
    from metering.clock import Clock

__all__ = ["Connection", "Controller", "Decision", "Demand", "SharedLimit"]

_CHARGES_A = 1.0
_DRAWS_LESS_A = 1.5
"""a vehicle that draws so much less than its pilot allows does not use it"""
_DRAWS_LESS_S = 30.0
"""for so long, before what it does not use is given to others"""
_SPARE_A = 2.0
"""what it keeps above its draw, to show that it would take more"""
_SLEEPS_S = 60.0
"""a vehicle that draws nothing for so long although it may is full or asleep: it is served last"""
_DEAF_A = 1.5
_DEAF_S = 5.0
"""a vehicle that draws so much more than offered for so long does not follow (IEC 61851-1)"""
_PROBE_A = 4.0
_PROBE_EVERY_S = 24.0
_PROBE_S = 12.0
_MOST_PROBES = 8
"""to learn its phase a vehicle is told to take so much less, for so long, so often: down, where it is always allowed"""
_RESUME_SPARE_A = 1.5
"""a pause ends only when so much more than 6 A is there"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an EVSE asks of the controller."""

    charge: Charge
    phases: int
    wants: bool
    """a vehicle is there and may charge"""
    draw_a: Phases[float | None]
    """what its meter shows, at its own terminals"""
    own_limits: tuple[Limit, ...]
    """of this EVSE alone: selector, cable, rating, temperature, tariff"""
    offered_a: float = 0.0
    """what its pilot offers now"""
    read_at_s: float | None = None
    """when its meter showed that (monotonic); None: now"""
    rotation: PhaseMap | None = STRAIGHT
    """which grid phases feed its terminals; None: to be learned"""
    priority: int = 0
    """the higher is served first where not all can be"""


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """A limit for all EVSEs together, in amperes per phase or in watts over all phases."""

    source: LimitSource
    current_a: float | None = None
    power_w: float | None = None
    plus_surplus: bool = False
    """what the house produces itself may be added"""
    until: datetime | None = None
    """when it ends by itself; None: never"""
    by: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it has not ended yet."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Decision:
    """What an EVSE may offer, and every limit that was asked."""

    current_a: float
    """amperes per phase; 0 is a pause"""
    limits: tuple[Limit, ...]
    open_now: bool = False
    """the pilot is too slow: the contactor has to open under load"""

    @property
    def binding(self) -> Limit | None:
        """The limit that made it so: the reason."""
        return tightest(self.limits)


@dataclass(slots=True)
class _Use:
    """How the vehicle at an EVSE uses what it is offered."""

    less_since_s: float | None = None
    idle_since_s: float | None = None
    deaf_since_s: float | None = None

    def note(self, demand: Demand, now_s: float) -> None:
        """What it does now."""
        drawn_a, offered_a = _most(demand), demand.offered_a
        offers = demand.wants and offered_a >= MINIMUM_A
        self.less_since_s = self._since(self.less_since_s, offers and drawn_a < offered_a - _DRAWS_LESS_A, now_s)
        self.idle_since_s = self._since(self.idle_since_s, offers and drawn_a < _CHARGES_A, now_s)
        self.deaf_since_s = self._since(self.deaf_since_s, offers and drawn_a > offered_a + _DEAF_A, now_s)

    def lasts(self, since_s: float | None, seconds: float, now_s: float) -> bool:
        """Whether something that began then has lasted so long."""
        return since_s is not None and now_s - since_s >= seconds

    @staticmethod
    def _since(since_s: float | None, so: bool, now_s: float) -> float | None:
        if not so:
            return None
        return now_s if since_s is None else since_s


class Controller:
    """The limits of one station."""

    def __init__(
        self,
        clock: Clock,
        profiles: ProfileStore,
        connection: Connection | None,
        *,
        station_limit_a: float | None = None,
        policy: Policy = Policy.FAIR,
    ) -> None:
        self._clock = clock
        self._station_limit_a = station_limit_a
        self._profiles = profiles
        self.policy = policy
        self.watch = ConnectionWatch(clock, connection) if connection is not None else None
        self._shared: dict[str, SharedLimit] = {}
        self._turns = Turns()
        self._pauses: dict[int, Pause] = {}
        self._uses: dict[int, _Use] = {}
        self._learners: dict[int, Learner] = {}
        self._probes: dict[int, tuple[float, float]] = {}
        self._served: set[int] = set()
        self._demands: Sequence[Demand] = ()
        self._since: dict[tuple[int, LimitSource, str | None], tuple[float, datetime]] = {}

    # What the outside tells

    def select(self, station_limit_a: float) -> None:
        """The current selector was turned: so many amperes per phase for all EVSEs together."""
        self._station_limit_a = station_limit_a

    def put_shared(self, name: str, limit: SharedLimit | None) -> None:
        """From now on this limit holds for all EVSEs together, in place of the one of this name; None: none does."""
        if limit is None:
            self._shared.pop(name, None)
        else:
            self._shared[name] = limit

    @property
    def shared(self) -> dict[str, SharedLimit]:
        """The limits for all EVSEs together that hold now, by name."""
        now = self._clock.now()
        return {name: limit for name, limit in self._shared.items() if limit.holds(now)}

    def take_sample(self, sample: GridSample) -> None:
        """A fresh sample of the house connection: the control law moves on by one step."""
        if self.watch is not None and self.watch.take(sample):
            self._learn(sample)

    # What others may know

    @property
    def last_sample(self) -> GridSample | None:
        """What the grid meter told last."""
        return self.watch.last_sample if self.watch is not None else None

    @property
    def sample_age_s(self) -> float | None:
        """How long ago that was; None before the first."""
        return self.watch.age_s if self.watch is not None else None

    @property
    def grid_limit_a(self) -> float | None:
        """What the connection carries per phase, as told by the meter and the installer."""
        return self.watch.limit_a if self.watch is not None else None

    @property
    def fixed_limit_a(self) -> float | None:
        """Amperes per phase that all EVSEs together may have at the most (K04.FR.02); None: nothing is known."""
        known = [limit for limit in (self._station_limit_a, self.grid_limit_a) if limit is not None]
        return min(known, default=None)

    def rotation_of(self, demand: Demand) -> PhaseMap:
        """Which grid phases feed the terminals of an EVSE, as far as that is known."""
        if self.watch is not None and self.watch.connection.phases == 1:
            return STRAIGHT  # there is nothing to confuse
        if demand.rotation is not None:
            return demand.rotation
        learner = self._learners.get(demand.charge.evse_id)
        return learner.map if learner is not None else UNKNOWN_MAP

    # What each EVSE may offer

    def see(self, demands: Sequence[Demand]) -> None:
        """Take note of what the vehicles draw now."""
        self._demands = demands
        if self.watch is None:
            return
        least, most, offered = [0.0] * 3, [0.0] * 3, [0.0] * 3
        for demand in demands:
            some, all_ = self.rotation_of(demand).to_grid(demand.draw_a.map(lambda current_a: current_a or 0.0))
            for phase in range(3):
                least[phase] += tuple(some)[phase]
                most[phase] += tuple(all_)[phase]
            for phase in self._phases_of(demand):
                offered[phase] += demand.offered_a
        now_s = self._clock.monotonic()
        read_at_s = min((now_s if one.read_at_s is None else one.read_at_s for one in demands), default=now_s)
        self.watch.see(Draw(Phases(*least), Phases(*most)), read_at_s, Phases(*offered))

    def decide(self, demands: Sequence[Demand]) -> dict[int, Decision]:
        """What each EVSE may offer now."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        self.see(demands)
        own = {demand.charge.evse_id: self._own_limits(demand, now, now_s) for demand in demands}
        order = self._order(demands, own, now_s)
        for shared in self._static_limits(demands, now):
            self._divide(shared, demands, own, order)
        opened: set[int] = set()
        if self.watch is not None:
            self._divide_grid(self.watch, demands, own, order, opened)
        decisions = {evse_id: _decision(limits, evse_id in opened) for evse_id, limits in own.items()}
        self._served = {evse_id for evse_id, decision in decisions.items() if decision.current_a > 0.0}
        return decisions

    def _own_limits(self, demand: Demand, now: datetime, now_s: float) -> list[Limit]:
        """What limits this EVSE alone."""
        evse_id = demand.charge.evse_id
        use = self._uses.setdefault(evse_id, _Use())
        use.note(demand, now_s)
        limits = list(demand.own_limits)
        if (profile_a := limit_a(self._profiles.in_force(), demand.charge, now)) is not None:
            limits.append(self._limit(evse_id, profile_a, LimitSource.CHARGING_PROFILE))
        if use.lasts(use.deaf_since_s, _DEAF_S, now_s):
            limits.append(self._limit(evse_id, MINIMUM_A, LimitSource.VEHICLE))  # the contactor is the next step
        if (probe_a := self._probe_a(demand, now_s)) is not None:
            limits.append(self._limit(evse_id, probe_a, LimitSource.LEARNING))
        return limits

    def _order(self, demands: Sequence[Demand], own: Mapping[int, list[Limit]], now_s: float) -> list[int]:
        wanting = [
            Waiting(
                demand.charge.evse_id,
                demand.charge.evse_id in self._served,
                demand.priority,
                (use := self._uses[demand.charge.evse_id]).lasts(use.idle_since_s, _SLEEPS_S, now_s),
            )
            for demand in demands
            if demand.wants and _decision(own[demand.charge.evse_id]).current_a > 0.0
        ]
        return self._turns.order(wanting, now_s)

    def _static_limits(self, demands: Sequence[Demand], now: datetime) -> list[tuple[list[Bound], SharedLimit]]:
        """The limits for all EVSEs together that do not come from the house's meter, as bounds."""
        found: list[tuple[list[Bound], SharedLimit]] = []
        if self._station_limit_a is not None:  # one breaker, however many EVSEs hang on it
            found.append((self._conductors(demands, self._station_limit_a), SharedLimit(LimitSource.SELECTOR)))
        if (profile_a := station_limit_a(self._profiles.in_force(), now)) is not None:  # K04.FR.05
            profile = SharedLimit(LimitSource.CHARGING_PROFILE, profile_a, by=Purpose.STATION_MAX.value)
            found.append((self._conductors(demands, profile_a), profile))
        for limit in self.shared.values():
            bounds: list[Bound] = []
            if limit.current_a is not None:
                bounds += self._conductors(demands, limit.current_a)
            if limit.power_w is not None:
                surplus_w = self.watch.surplus_w if limit.plus_surplus and self.watch is not None else 0.0
                weights = {d.charge.evse_id: LINE_VOLTAGE_V * _phase_count(d) for d in demands}
                bounds.append(Bound(limit.power_w + surplus_w, weights))
            found.append((bounds, limit))
        if self.watch is not None and (unbalance_a := self.watch.connection.unbalance_a) is not None:
            found.append((self._unbalanced(demands, unbalance_a), SharedLimit(LimitSource.UNBALANCE)))
        return found

    def _conductors(self, demands: Sequence[Demand], current_a: float) -> list[Bound]:
        """So many amperes on each phase."""
        loaded = {demand.charge.evse_id: self._phases_of(demand) for demand in demands}
        return [
            Bound(current_a, {evse_id: 1.0 for evse_id, phases in loaded.items() if phase in phases})
            for phase in range(3)
        ]

    def _unbalanced(self, demands: Sequence[Demand], unbalance_a: float) -> list[Bound]:
        """So many amperes more on each phase than one-phase vehicles draw on the emptiest of the others."""
        single = {d.charge.evse_id: self._phases_of(d) for d in demands if _phase_count(d) < 3}
        drawn = [0.0, 0.0, 0.0]
        for demand in demands:
            for phase in single.get(demand.charge.evse_id, ()):
                drawn[phase] += _most(demand)
        bounds: list[Bound] = []
        for phase in range(3):
            others_a = min(drawn[other] for other in range(3) if other != phase)
            weights = {evse_id: 1.0 for evse_id, phases in single.items() if phase in phases}
            bounds.append(Bound(unbalance_a + others_a, weights))
        return bounds

    def _divide(
        self,
        shared: tuple[list[Bound], SharedLimit],
        demands: Sequence[Demand],
        own: dict[int, list[Limit]],
        order: Sequence[int],
    ) -> None:
        """Add to each EVSE's limits its part of a shared one; where nobody else wants any, that is all of it."""
        bounds, limit = shared
        wanted = {evse_id: _decision(own[evse_id]).current_a for evse_id in order}
        shares = self._shares(bounds, wanted, order)
        for demand in demands:
            evse_id = demand.charge.evse_id
            mine_a = shares[evse_id] if evse_id in shares and len(order) > 1 else _alone_a(bounds, evse_id)
            if math.isfinite(mine_a):
                own[evse_id].append(self._limit(evse_id, _floor(mine_a), limit.source, limit.until, limit.by))

    def _divide_grid(
        self,
        watch: ConnectionWatch,
        demands: Sequence[Demand],
        own: dict[int, list[Limit]],
        order: Sequence[int],
        opened: set[int],
    ) -> None:
        """What the house leaves, divided among those that want it; shortages are bridged, then they are pauses."""
        now_s, left = self._clock.monotonic(), watch.left()
        urgent = watch.must_open()
        wanted = {evse_id: _decision(own[evse_id]).current_a for evse_id in order}
        bounds = self._left_bounds(left, demands, wanted)
        parts = self._parts(bounds, wanted, order, demands)
        for demand in demands:
            evse_id = demand.charge.evse_id
            if evse_id not in wanted:
                self._pauses.pop(evse_id, None)  # the next vehicle does not inherit a wait
                free_a = max(0.0, usable(left, self._phases_of(demand)))
                own[evse_id].append(self._grid_limit(evse_id, _floor(free_a), left))
                continue
            pause, charging = self._pauses.get(evse_id, Pause()), _most(demand) >= _CHARGES_A
            if charging and urgent & self._phases_of(demand):
                opened.add(evse_id)
                pause, allowed_a = pause if pause.paused else begin(pause, now_s), 0.0
            else:
                mine_a = parts[evse_id]
                if len(order) == 1:
                    mine_a = _alone_a(bounds, evse_id)
                bridged = charging and not self._gave_way(evse_id, bounds, wanted, order, demands)
                enough = pause.paused and self._would_fit(evse_id, bounds, wanted, order)
                pause, allowed_a = let_pass(pause, max(0.0, mine_a), bridged, now_s, enough=enough)
            self._pauses[evse_id] = pause
            own[evse_id].append(self._grid_limit(evse_id, _floor(allowed_a), left, pause.next_change_s(now_s)))

    def _left_bounds(self, left: Left, demands: Sequence[Demand], wanted: Mapping[int, float]) -> list[Bound]:
        """What is left on each phase, without what flows to vehicles that have no right to it any more."""
        bounds: list[Bound] = []
        loaded = {demand.charge.evse_id: self._phases_of(demand) for demand in demands}
        for phase, left_a in enumerate(left.currents_a):
            taken_a = sum(
                _most(demand)
                for demand in demands
                if demand.charge.evse_id not in wanted and phase in loaded[demand.charge.evse_id]
            )
            weights = {evse_id: 1.0 for evse_id, phases in loaded.items() if phase in phases}
            bounds.append(Bound(left_a - taken_a, weights))
        return bounds

    def _parts(
        self, bounds: list[Bound], wanted: Mapping[int, float], order: Sequence[int], demands: Sequence[Demand]
    ) -> dict[int, float]:
        """The part of each; while a vehicle that charges is short, all that charge have the least until that ends."""
        going = [evse_id for evse_id in order if not self._pauses.get(evse_id, Pause()).paused]
        shares = self._shares(bounds, wanted, going)
        charging = {d.charge.evse_id for d in demands if d.wants and _most(d) >= _CHARGES_A}
        short = [evse_id for evse_id in going if shares[evse_id] < MINIMUM_A and evse_id in charging]
        if len(going) > 1 and any(not self._gave_way(e, bounds, wanted, order, demands) for e in short):
            shares = {e: min(current_a, MINIMUM_A) for e, current_a in shares.items()}
        for evse_id in order:
            if evse_id not in shares:  # one that pauses: what it would have
                shares[evse_id] = self._shares(bounds, wanted, _with(going, evse_id, order))[evse_id]
        return shares

    def _gave_way(
        self,
        evse_id: int,
        bounds: list[Bound],
        wanted: Mapping[int, float],
        order: Sequence[int],
        demands: Sequence[Demand],
    ) -> bool:
        """Whether there would be enough for it, were it not somebody else's turn: that is no shortage to bridge."""
        if len(order) < 2:
            return False
        charging = {d.charge.evse_id for d in demands if d.wants and _most(d) >= _CHARGES_A}
        at_it = [one for one in order if one in charging and not self._pauses.get(one, Pause()).paused]
        return evse_id in at_it and self._shares(bounds, wanted, at_it)[evse_id] >= MINIMUM_A

    def _would_fit(self, evse_id: int, bounds: list[Bound], wanted: Mapping[int, float], order: Sequence[int]) -> bool:
        """Whether there is enough for one more, with something to spare."""
        spared = [replace(bound, capacity=bound.capacity - _RESUME_SPARE_A) for bound in bounds]
        going = [one for one in order if not self._pauses.get(one, Pause()).paused]
        return self._shares(spared, wanted, _with(going, evse_id, order))[evse_id] >= MINIMUM_A

    def _shares(self, bounds: Sequence[Bound], wanted: Mapping[int, float], order: Sequence[int]) -> dict[int, float]:
        """First what each uses, then what nobody uses to those that could."""
        now_s = self._clock.monotonic()
        drawn = {demand.charge.evse_id: _most(demand) for demand in self._demands}
        used: dict[int, float] = {}
        for evse_id in order:
            use = self._uses[evse_id]
            less = use.lasts(use.less_since_s, _DRAWS_LESS_S, now_s)
            used[evse_id] = min(wanted[evse_id], max(MINIMUM_A, drawn[evse_id] + _SPARE_A)) if less else wanted[evse_id]
        return spread(share(bounds, used, order, self.policy), bounds, wanted)

    def _phases_of(self, demand: Demand) -> frozenset[int]:
        """The grid phases that its vehicle loads, or would load: a one-phase vehicle leaves two alone."""
        return self.rotation_of(demand).grid_phases(_terminals(demand))

    def _learn(self, sample: GridSample) -> None:
        """Watch which phase of the house moves with whose current."""
        for demand in self._demands:
            if demand.rotation is None:
                evse_id = demand.charge.evse_id
                own_a = demand.draw_a.map(lambda current_a: current_a or 0.0)
                grid_a = sample.currents_a.map(lambda current_a: current_a or 0.0)
                learner = self._learners.get(evse_id, Learner())
                self._learners[evse_id] = learner.observe(own_a, grid_a, self._clock.monotonic())

    def _probe_a(self, demand: Demand, now_s: float) -> float | None:
        """What a vehicle may draw for the moment, so that its phase shows; None: there is nothing to learn."""
        evse_id, terminals = demand.charge.evse_id, _terminals(demand)
        known = len(self._phases_of(demand)) == len(terminals)
        if demand.rotation is not None or known or not demand.wants or self.last_sample is None:
            self._probes.pop(evse_id, None)
            return None
        if evse_id not in self._probes and _most(demand) >= MINIMUM_A + _PROBE_A:
            self._probes[evse_id] = (now_s, _floor(_most(demand) - _PROBE_A))
        began_s, probe_a = self._probes.get(evse_id, (now_s, math.inf))
        cycle, second = divmod(now_s - began_s, _PROBE_EVERY_S)
        return probe_a if cycle < _MOST_PROBES and second < _PROBE_S and math.isfinite(probe_a) else None

    def _grid_limit(self, evse_id: int, current_a: float, left: Left, next_s: float | None = None) -> Limit:
        moment_s = left.next_change_s if next_s is None else next_s
        return self._limit(evse_id, current_a, left.source, self._moment(moment_s))

    def _moment(self, at_s: float | None) -> datetime | None:
        """The wall time of a moment of the monotonic clock; None when it is past."""
        ahead_s = at_s - self._clock.monotonic() if at_s is not None else 0.0
        return self._clock.now() + timedelta(seconds=ahead_s) if ahead_s > 0.0 else None

    def _limit(
        self,
        evse_id: int,
        current_a: float,
        source: LimitSource,
        next_change: datetime | None = None,
        by: str | None = None,
    ) -> Limit:
        """The limit with the moment since which it has this value."""
        key = (evse_id, source, by)
        known = self._since.get(key)
        if known is None or known[0] != current_a:
            known = self._since[key] = (current_a, self._clock.now())
        return Limit(current_a, source, known[1], next_change, by)


def _decision(limits: Sequence[Limit], open_now: bool = False) -> Decision:
    binding = tightest(limits)
    current_a = binding.current_a if binding is not None else 0.0
    return Decision(current_a if current_a >= MINIMUM_A else 0.0, tuple(limits), open_now)


def _most(demand: Demand) -> float:
    """The highest phase current that an EVSE draws."""
    return max((current_a or 0.0) for current_a in demand.draw_a)


def _terminals(demand: Demand) -> frozenset[int]:
    drawn = frozenset(index for index, a in enumerate(demand.draw_a) if (a or 0.0) >= _CHARGES_A)
    return drawn or frozenset(range(demand.phases))


def _phase_count(demand: Demand) -> int:
    return len(_terminals(demand))


def _alone_a(bounds: Sequence[Bound], evse_id: int) -> float:
    """What an EVSE could have were it the only one; infinite where no bound concerns it."""
    return min(
        (max(0.0, bound.capacity) / weight for bound in bounds if (weight := bound.weights.get(evse_id, 0.0)) > 0.0),
        default=math.inf,
    )


def _with(going: Sequence[int], evse_id: int, order: Sequence[int]) -> list[int]:
    return [one for one in order if one in going or one == evse_id]


def _floor(current_a: float) -> float:
    """To a tenth of an ampere, which is what a pilot can tell; never up."""
    return math.floor(current_a * 10.0 + 1e-6) / 10.0
