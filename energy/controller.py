"""Collects all limits of each EVSE, applies the tightest, and reports which one applies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from energy.charging_profile import Purpose
from energy.composite import amperes, limit_a, next_change, next_station_change, single_phase_period, station_period
from energy.connection import ConnectionMonitor
from energy.demand import Decision, Demand, SharedLimit
from energy.draw import DrawBounds
from energy.grid import without_impossible_values
from energy.grid_changes import GridChanges
from energy.grid_connection import AvailableCurrent, GridConnection
from energy.grid_view import GridView
from energy.house_share import HouseAllocator, HouseCapacity
from energy.limit import Limit, LimitSource, floor_tenths
from energy.limit_share import SharedLimitAllocator
from energy.meter_limits import NO_STORED_STATE, StoredMeterState
from energy.phase_switch import PhaseSwitches, while_still_drawing, with_phases
from energy.profile_store import ProfileStore
from energy.rotation import RotationProber
from energy.sharing import Bound, Policy, ServiceQueue, ServiceRequest, alone_a, equal_share_a
from energy.station_limits import StationLimits
from energy.vehicle_use import VehicleUses
from foundation.constants import MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from metering.reading import UNKNOWN_PHASES, Phases

if TYPE_CHECKING:
    from energy.grid import GridSample
    from foundation.clock import Clock

__all__ = ["Decision", "Demand", "GridConnection", "LoadController", "SharedLimit"]


class LoadController:
    """Computes the current that each EVSE of a station may offer, from all limits and the grid meter's samples.

    It applies nothing: the load management calls `decide` and passes the decisions to the boards.
    """

    def __init__(
        self,
        clock: Clock,
        profiles: ProfileStore,
        connection: GridConnection | None,
        *,
        station_limit_a: float | None = None,
        policy: Policy = Policy.FAIR,
        meter_state: StoredMeterState = NO_STORED_STATE,
    ) -> None:
        """`meter_state`: the state of the grid meter that an earlier run has stored."""
        self.clock = clock
        """the clock of all decisions"""
        self._profiles = profiles
        self.connection_monitor = ConnectionMonitor(clock, connection, meter_state) if connection is not None else None
        self.limits = StationLimits(clock, station_limit_a)
        """the limits for all EVSEs together"""
        self._service_queue = ServiceQueue()
        self._vehicle_uses = VehicleUses(policy)
        self.house_allocator = HouseAllocator(self._vehicle_uses)
        """divides the current that the house leaves"""
        self._allocators: dict[LimitSource, SharedLimitAllocator] = {}
        self._phase_switches = PhaseSwitches()
        self._rotations = (
            RotationProber(connection.phases, connection.failsafe(connection.max_current_a).safe_a)
            if connection is not None
            else RotationProber(3)
        )
        self.grid_changes = GridChanges(self.connection_monitor)
        """the events of the grid connection"""
        self.grid = GridView(
            clock, self.connection_monitor, self._rotations, self.house_allocator, self.limits, self.grid_changes
        )
        """what others may know of the grid connection"""
        self._serving: set[int] = set()
        self._demands: Sequence[Demand] = ()
        self._limits_since: dict[tuple[int, LimitSource, str | None], tuple[float, datetime]] = {}

    # Inputs

    def process_sample(self, sample: GridSample) -> None:
        """Update the available current, and the learned phases of the EVSEs, by a grid sample; decides nothing.

        Values that no connection can have count as not reported.
        """
        sample = without_impossible_values(sample)
        if self.connection_monitor is not None and self.connection_monitor.process_sample(sample):
            for demand in self._demands:
                self._rotations.learn(demand, sample, self.clock.monotonic())
            self.connection_monitor.set_step_unseen(self._rotations.step_unseen)

    # State

    @property
    def policy(self) -> Policy:
        """Rule that divides the available current among the EVSEs."""
        return self._vehicle_uses.policy

    def with_chosen_phases(self, demands: Sequence[Demand]) -> list[Demand]:
        """Return copies of the demands with the phases that phase switching has chosen; changes nothing."""
        now_s = self.clock.monotonic()
        return [self._phase_switches.apply_choice(demand, now_s) for demand in demands]

    def in_service_order(self, demands: Sequence[Demand]) -> list[Demand]:
        """The demands in order of service; those that do not request energy as if they requested it from now on."""
        known = {demand.evse_id: demand for demand in demands}
        ready = sorted(demands, key=lambda demand: not demand.may_charge)
        return [
            known[evse_id]
            for evse_id in self._service_queue.expected_order([self._service_request(demand) for demand in ready])
        ]

    def feeding_phases(self, demand: Demand) -> frozenset[int]:
        """The grid phases, 0 to 2, that feed an EVSE or may feed it, whether or not its vehicle uses them."""
        return self._rotations.phases_of(replace(demand, shows_phases=False))

    def share(
        self, bounds: Sequence[Bound], demand_a: Mapping[int, float], order: Sequence[int]
    ) -> Mapping[int, float]:
        """Divide capacity by the station's policy, as `sharing.share`; returns amperes per phase by EVSE id."""
        return self._vehicle_uses.share(bounds, demand_a, order)

    # Decisions

    def observe_draw(self, demands: Sequence[Demand]) -> None:
        """Record what the vehicles draw now, to separate it from the house in the next grid sample; decides nothing."""
        now_s = self.clock.monotonic()
        self._phase_switches.forget_idle(demands)
        self._demands = demands = self.with_chosen_phases(demands)
        if self.connection_monitor is None:
            return
        least, most, offered = [0.0] * 3, [0.0] * 3, [0.0] * 3
        for demand in demands:
            some, all_ = self._rotations.phase_map_of(demand).to_grid(demand.currents_a)
            for phase in range(3):
                least[phase] += tuple(some)[phase]
                most[phase] += tuple(all_)[phase]
            for phase in self._rotations.phases_of(demand):
                offered[phase] += demand.offered_a
        # An open contactor means no draw, even if its meter is silent.
        read_times_s = [demand.read_at_s for demand in demands if demand.draw_a != UNKNOWN_PHASES]
        read_at_s = min((at_s for at_s in read_times_s if at_s is not None), default=now_s)
        self.connection_monitor.record_draw(DrawBounds(Phases(*least), Phases(*most)), read_at_s, Phases(*offered))

    def decide(self, demands: Sequence[Demand]) -> dict[int, Decision]:
        """Decide the current that each EVSE may offer now, by EVSE id; the caller applies it.

        Each call also updates the order of service, the pauses, the phase choices and the probes of vehicles' phases.
        """
        self.observe_draw(demands)
        return self.decide_observed()

    def decide_observed(self) -> dict[int, Decision]:
        """Decide the current of each EVSE, by EVSE id, for the demands that `observe_draw` has recorded last."""
        now, now_s = self.clock.now(), self.clock.monotonic()
        self._choose_phases(self._demands, now)
        demands = self._demands = self.with_chosen_phases(
            self._demands
        )  # before the limits: on more phases the amperes fall
        self._vehicle_uses.update(demands, now_s)
        left_out = self.house_allocator.unserved
        own, opened = self._collect_limits(demands, now, now_s)
        if left_out - self.house_allocator.unserved:  # one more EVSE takes part again
            own, opened = self._collect_limits(demands, now, now_s)
        decisions = {
            demand.evse_id: replace(
                Decision.of(own[demand.evse_id], open_now=demand.evse_id in opened),
                phases=demand.phases if demand.can_switch_phases else None,
                phase=demand.phase,
            )
            for demand in demands
        }
        self._serving = {evse_id for evse_id, decision in decisions.items() if decision.current_a > 0.0}
        current_keys = {(evse_id, limit.source, limit.by) for evse_id, limits in own.items() for limit in limits}
        self._limits_since = {key: since for key, since in self._limits_since.items() if key in current_keys}
        return decisions

    @property
    def idle_change_s(self) -> float | None:
        """Seconds until the limits may change by time alone while no EVSE charges or wants to; None: never.

        The sources are charging profiles, ends of shared limits, and the silence of the grid meter. An EVSE that wants
        energy has more of them: turns, pauses, probes, protection; then decide at least every second.
        """
        now, profiles = self.clock.now(), self._profiles.applicable()
        moments = [
            next_station_change(profiles, now),
            *(next_change(profiles, demand.target, now) for demand in self._demands),
            *(limit.until for limit in self.limits.shared.values()),
        ]
        seconds = [(moment - now).total_seconds() for moment in moments if moment is not None]
        if self.connection_monitor is not None:
            seconds.append(self.connection_monitor.silence_change_s)
        return min(seconds, default=None)

    def _collect_limits(
        self, demands: Sequence[Demand], now: datetime, now_s: float
    ) -> tuple[dict[int, list[Limit]], frozenset[int]]:
        """The limits of each EVSE, and the EVSEs whose contactors have to open at once.

        An EVSE that gets nothing of the house's capacity is left out when the other limits are divided.
        """
        own = {demand.evse_id: self._limits_of_evse(demand, now, now_s) for demand in demands}
        order = self._service_order(demands, own, now_s)
        left_out = self.house_allocator.unserved
        served_ids = [evse_id for evse_id in order if evse_id not in left_out]
        static = self._static_limits([while_still_drawing(demand) for demand in demands], now)
        # The tightest first: the others reserve nothing for EVSEs that get nothing from it.
        for shared in sorted(static, key=lambda bounds_and_limit: equal_share_a(bounds_and_limit[0], served_ids)):
            self._divide_shared_limit(shared, demands, own, served_ids)
        if self.connection_monitor is None:
            return own, frozenset()
        return own, self._divide_house_capacity(self.connection_monitor, demands, own, order)

    def _limits_of_evse(self, demand: Demand, now: datetime, now_s: float) -> list[Limit]:
        """The limits of this EVSE alone."""
        evse_id = demand.evse_id
        limits = [self._with_earlier_start(evse_id, limit) for limit in demand.own_limits]
        if (profile_a := limit_a(self._profiles.applicable(), demand.target, now)) is not None:
            changes = next_change(self._profiles.applicable(), demand.target, now)
            limits.append(self._make_limit(evse_id, profile_a, LimitSource.CHARGING_PROFILE, changes))
        if self._vehicle_uses.ignores_pilot(evse_id):
            # If the vehicle exceeds this too, its contactor opens.
            limits.append(self._make_limit(evse_id, MINIMUM_CURRENT_A, LimitSource.VEHICLE))
        probe_a = self._rotations.probe_a(demand, now_s) if self.grid.last_sample is not None else None
        if probe_a is not None:
            limits.append(self._make_limit(evse_id, floor_tenths(probe_a), LimitSource.LEARNING))
        return limits

    def _choose_phases(self, demands: Sequence[Demand], now: datetime) -> None:
        """Choose one or three phases for each vehicle whose board can switch, by profile or by available current."""
        profiles, now_s = self._profiles.applicable(), self.clock.monotonic()
        for demand in demands:
            if not demand.can_switch_phases or not demand.may_charge:
                continue
            if (period := single_phase_period(profiles, demand.target, now)) is not None:
                self._phase_switches.order_single_phase(demand, period, now_s)
            else:
                three_phase_a, single_phase_a = (
                    self._equal_share_a(with_phases(demand, phases), demands, now) for phases in (3, 1)
                )
                self._phase_switches.update_choice(demand, three_phase_a, single_phase_a, now_s)

    def _equal_share_a(self, demand: Demand, demands: Sequence[Demand], now: datetime) -> float:
        """The current that an EVSE would get with this demand if all that want energy were served equally."""
        trial = replace(demand, shows_phases=False)
        others = [other for other in demands if other.may_charge and other.evse_id != demand.evse_id]
        bounds = [bound for found, _ in self._static_limits([trial, *others], now) for bound in found]
        if self.connection_monitor is not None:
            loaded = self._loaded_phases([trial, *others])
            for phase, left_a in enumerate(self.connection_monitor.available_current().currents_a):
                bounds.append(Bound(left_a, {evse_id: 1.0 for evse_id, on in loaded.items() if phase in on}))
        own_bounds = [bound for bound in bounds if demand.evse_id in bound.weights]
        own_limits_a = [limit.current_a for limit in demand.own_limits]
        if (profile_a := limit_a(self._profiles.applicable(), demand.target, now)) is not None:
            own_limits_a.append(profile_a)
        return min(
            [*own_limits_a, *(bound.capacity / sum(bound.weights.values()) for bound in own_bounds)], default=math.inf
        )

    def _service_order(self, demands: Sequence[Demand], own: Mapping[int, list[Limit]], now_s: float) -> list[int]:
        wanting = [
            demand for demand in demands if demand.may_charge and Decision.of(own[demand.evse_id]).current_a > 0.0
        ]
        return self._service_queue.update_order([self._service_request(demand) for demand in wanting], now_s)

    def _service_request(self, demand: Demand) -> ServiceRequest:
        return ServiceRequest(
            demand.evse_id,
            demand.evse_id in self._serving,
            demand.priority,
            self._vehicle_uses.is_asleep(demand.evse_id),
        )

    def _static_limits(self, demands: Sequence[Demand], now: datetime) -> list[tuple[list[Bound], SharedLimit]]:
        """The limits for all EVSEs together, except the house's, as bounds."""
        found: list[tuple[list[Bound], SharedLimit]] = []
        if self.limits.selector_a is not None:  # one breaker for all EVSEs
            found.append((self._bounds_per_phase(demands, self.limits.selector_a), SharedLimit(LimitSource.SELECTOR)))
        if (period := station_period(self._profiles.applicable(), now)) is not None:  # K04.FR.05
            until = next_station_change(self._profiles.applicable(), now)
            profile = SharedLimit(LimitSource.CHARGING_PROFILE, until=until, by=Purpose.STATION_MAX.value)
            found.append((self._bounds_per_phase(demands, amperes(*period)), profile))
        for limit in self.limits.shared.values():
            bounds: list[Bound] = []
            if limit.current_a is not None:
                bounds += self._bounds_per_phase(demands, limit.current_a)
            if limit.power_w is not None:
                surplus_w = (
                    self.connection_monitor.surplus_w
                    if limit.plus_surplus and self.connection_monitor is not None
                    else 0.0
                )
                weights = {d.evse_id: NOMINAL_VOLTAGE_V * len(d.terminals) for d in demands}
                bounds.append(Bound(limit.power_w + surplus_w, weights))
            found.append((bounds, limit))
        if (
            self.connection_monitor is not None
            and (unbalance_a := self.connection_monitor.connection.unbalance_a) is not None
        ):
            found.append((self._unbalance_bounds(demands, unbalance_a), SharedLimit(LimitSource.UNBALANCE)))
        return found

    def _bounds_per_phase(self, demands: Sequence[Demand], current_a: float) -> list[Bound]:
        """Bounds of `current_a` on each grid phase."""
        loaded = self._loaded_phases(demands)
        return [
            Bound(current_a, {evse_id: 1.0 for evse_id, phases in loaded.items() if phase in phases})
            for phase in range(3)
        ]

    def _unbalance_bounds(self, demands: Sequence[Demand], unbalance_a: float) -> list[Bound]:
        """Bounds per phase so that single-phase vehicles unbalance the supply by at most `unbalance_a`."""
        alone = [demand for demand in demands if len(demand.terminals) < 3]
        single = {demand.evse_id: self._rotations.phases_of(demand) for demand in alone}
        surely = [tuple(self._rotations.phase_map_of(demand).to_grid(demand.currents_a)[0]) for demand in alone]
        bounds: list[Bound] = []
        for phase in range(3):
            others_a = min(
                sum(drawn_a[other_phase] for drawn_a in surely) for other_phase in range(3) if other_phase != phase
            )
            weights = {evse_id: 1.0 for evse_id, phases in single.items() if phase in phases}
            bounds.append(Bound(unbalance_a + others_a, weights))
        return bounds

    def _divide_shared_limit(
        self,
        shared: tuple[list[Bound], SharedLimit],
        demands: Sequence[Demand],
        own: dict[int, list[Limit]],
        order: Sequence[int],
    ) -> None:
        """Divide a shared limit and add each EVSE's share to its limits; one that wants none gets what it could use."""
        bounds, limit = shared
        demand_a = {evse_id: Decision.of(own[evse_id]).current_a for evse_id in order}
        divided = self._allocators.setdefault(limit.source, SharedLimitAllocator(self._vehicle_uses))
        shares = divided.divide(bounds, demands, demand_a, self.clock.monotonic())
        for demand in demands:
            evse_id = demand.evse_id
            mine_a = shares[evse_id] if evse_id in shares else alone_a(bounds, evse_id)
            if math.isfinite(mine_a):
                own[evse_id].append(
                    self._make_limit(evse_id, floor_tenths(mine_a), limit.source, limit.until, limit.by)
                )

    def _divide_house_capacity(
        self, monitor: ConnectionMonitor, demands: Sequence[Demand], own: dict[int, list[Limit]], order: Sequence[int]
    ) -> frozenset[int]:
        """Divide the house's capacity and add the shares to the limits; return whose contactors must open at once."""
        left = monitor.available_current()
        demand_a = {evse_id: Decision.of(own[evse_id]).current_a for evse_id in order}
        now_s, loaded = self.clock.monotonic(), self._loaded_phases(demands)
        round_ = HouseCapacity(
            now_s,
            left.currents_a,
            monitor.urgent_phases(),
            monitor.sustainable_phases(),
            demands,
            loaded,
            demand_a,
            order,
        )
        parts = self.house_allocator.divide(round_)
        for evse_id, part in parts.items():
            own[evse_id].append(self._grid_limit(evse_id, floor_tenths(part.current_a), left, part.next_change_s))
        return frozenset(evse_id for evse_id, part in parts.items() if part.open_now)

    def _loaded_phases(self, demands: Sequence[Demand]) -> dict[int, frozenset[int]]:
        return {demand.evse_id: self._rotations.phases_of(demand) for demand in demands}

    def _grid_limit(self, evse_id: int, current_a: float, left: AvailableCurrent, next_s: float | None = None) -> Limit:
        moment_s = left.next_change_s if next_s is None else next_s
        return self._make_limit(evse_id, current_a, left.source, self._wall_time(moment_s))

    def _wall_time(self, at_s: float | None) -> datetime | None:
        """The wall time of a moment of the monotonic clock; None when it is past."""
        ahead_s = at_s - self.clock.monotonic() if at_s is not None else 0.0
        return self.clock.now() + timedelta(seconds=ahead_s) if ahead_s > 0.0 else None

    def _with_earlier_start(self, evse_id: int, limit: Limit) -> Limit:
        """The limit of an EVSE alone, with the time since which it has had this current, if that is earlier."""
        key = (evse_id, limit.source, limit.by)
        known = self._limits_since.get(key)
        if known is not None and known[0] == limit.current_a and known[1] < limit.since:
            return replace(limit, since=known[1])
        self._limits_since[key] = (limit.current_a, limit.since)
        return limit

    def _make_limit(
        self,
        evse_id: int,
        current_a: float,
        source: LimitSource,
        next_change: datetime | None = None,
        by: str | None = None,
    ) -> Limit:
        """Make a limit with the time since which it has had this value."""
        key = (evse_id, source, by)
        known = self._limits_since.get(key)
        if known is None or known[0] != current_a:
            known = self._limits_since[key] = (current_a, self.clock.now())
        return Limit(current_a, source, known[1], next_change, by)
