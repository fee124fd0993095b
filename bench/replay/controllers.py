"""The controllers of a replay: this project's, its peers as simplified rules, and two oracles.

Each peer is modelled by one table (loop, down, up, stop and resume, stale meter); what the table leaves open is chosen
in its favour: each acts once on a sample, takes the vehicle's current from the EVSE's meter,
and never offers more than the fuse rating. They are models, not the products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench.replay.models import PilotOrder, ReplayController, ReplaySite
from bench.replay.traces import LoadTrace, Phases3
from energy.composite import ProfileTarget
from energy.controller import Demand, GridConnection, LoadController
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.trip import LINKY
from foundation.clock import Clock
from foundation.constants import MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from metering.reading import UNKNOWN_PHASES, Phases

if TYPE_CHECKING:
    from foundation.clock import TimerHandle

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class StepClock(Clock):
    """A clock that the replay advances step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.second = 0.0

    def now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self.second)

    def monotonic(self) -> float:
        return self.second

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        raise NotImplementedError("a replay has nothing that waits")

    def _move_wall_time(self, correction: timedelta) -> None:
        raise NotImplementedError("a replay's clock is right")


class BorneController:
    """The controller of this project, as in the station: a decision each second, and one with each sample."""

    def __init__(self, site: ReplaySite) -> None:
        self._site = site
        self._clock = StepClock()
        connection = GridConnection(
            site.phases, 6.0, site.limit_a, breaker="C" if site.curve == LINKY else site.curve.name
        )
        self.controller = LoadController(self._clock, ProfileStore({1: 3}, no_selectable_phases), connection)
        self._rating = (Limit(site.vehicle.max_a, LimitSource.HARDWARE, self._clock.now()),)
        self._offered_a = 0.0

    def step(self, grid_a: Phases3 | None, drawn_a: float, second: int) -> PilotOrder:
        self._clock.second = float(second)
        site = self._site
        draw = Phases[float | None].all(drawn_a) if site.vehicle.phases == 3 else _only_l1(drawn_a)
        demand = Demand(ProfileTarget(1), site.vehicle.phases, True, draw, self._rating, self._offered_a)
        if grid_a is not None:
            self.controller.observe_draw([demand])
            reported_a = _reported_currents(grid_a, site.phases)
            linky = site.curve == LINKY  # compared by value: in a pool process it is a copy
            reports_va = linky and (site.phases == 1 or not site.meter.whole_amperes)
            powers_va = reported_a.map(lambda a: a * NOMINAL_VOLTAGE_V if reports_va and a is not None else None)
            sample = GridSample(
                self._clock.now(),
                reported_a.map(lambda a: None if a is None else float(round(a))) if reports_va else reported_a,
                apparent_power_va=powers_va.l1 if site.phases == 1 else None,
                apparent_powers_va=powers_va if site.phases == 3 else UNKNOWN_PHASES,
                cut_off_va=site.limit_a * NOMINAL_VOLTAGE_V * site.phases if linky else None,
                period_s=float(site.meter.period_s),
            )
            self.controller.process_sample(sample)
        decision = self.controller.decide([demand])[1]
        self._offered_a = decision.current_a
        return PilotOrder(decision.current_a, decision.open_now)


def _only_l1(current_a: float) -> Phases[float | None]:
    return Phases(current_a, None, None)


def _reported_currents(grid_a: Phases3, phases: int) -> Phases[float | None]:
    return Phases(grid_a[0], grid_a[1], grid_a[2]) if phases == 3 else _only_l1(grid_a[0])


@dataclass(slots=True)
class PeerController:
    """A peer: every `loop_s` it reads the newest sample, and moves its offer towards the remaining current."""

    site: ReplaySite
    loop_s: int
    down: float = 1.0
    """fraction of a shortage by which the offer is reduced in one loop"""
    up: float = 1.0
    """fraction of the spare current by which the offer is raised in one loop"""
    stop_loops: int = 1
    """loops below 6 A before it pauses"""
    resume_s: int = 0
    """waiting time after a pause begins"""
    resume_a: float = MINIMUM_CURRENT_A
    """current that must be available to resume"""
    scalar: bool = False
    """it only knows the sum of the phases"""
    margin: float = 1.0
    """fraction of the limit that it uses"""
    _offered_a: float = 0.0
    _newest: Phases3 | None = None
    _short: int = 0
    _stopped_s: int = field(default=-100_000)

    def step(self, grid_a: Phases3 | None, drawn_a: float, second: int) -> PilotOrder:
        self._newest = grid_a if grid_a is not None else self._newest
        if self._newest is None or second % self.loop_s:
            return PilotOrder(self._offered_a)
        newest, self._newest = self._newest, None  # each sample is used once
        most_a = min(self.site.vehicle.max_a, self.site.limit_a)
        left_a = max(0.0, min(most_a, drawn_a + self._room_a(newest)))
        if self._offered_a == 0.0:
            if second - self._stopped_s >= self.resume_s and left_a >= self.resume_a:
                self._offered_a, self._short = max(MINIMUM_CURRENT_A, left_a), 0
            return PilotOrder(self._offered_a)
        step_a = left_a - self._offered_a
        wanted_a = self._offered_a + step_a * (self.down if step_a < 0 else self.up)
        if wanted_a >= MINIMUM_CURRENT_A:
            self._offered_a, self._short = min(wanted_a, most_a), 0
            return PilotOrder(self._offered_a)
        self._short += 1
        self._offered_a = MINIMUM_CURRENT_A
        if self._short >= self.stop_loops:
            self._offered_a, self._stopped_s = 0.0, second
        return PilotOrder(self._offered_a)

    def _room_a(self, grid_a: Phases3) -> float:
        """The spare current below the limit, by the newest sample."""
        limit_a = self.site.limit_a * self.margin
        used = grid_a[: self.site.phases]
        if self.scalar:
            return limit_a - sum(used) / len(used) if self.site.vehicle.phases == 3 else limit_a * len(used) - sum(used)
        if self.site.vehicle.phases == 1:
            return limit_a - used[0]
        return limit_a - max(used)


PEERS: dict[str, Callable[[ReplaySite], ReplayController]] = {
    # EVerest receives limits from an external source; here one that reads the meter each second.
    "EVerest": lambda site: PeerController(site, 1),
    "evcc": lambda site: PeerController(site, 30, scalar=True),
    "SmartEVSE": lambda site: PeerController(site, 2, up=0.25, stop_loops=3, resume_s=60),
    "OpenEVSE": lambda site: PeerController(site, 2, scalar=True, resume_s=300, resume_a=6.5),
    # Its factor of 1.4 between control target and continuous fuse current is not applied, in its favour.
    "WARP": lambda site: PeerController(site, 10, down=0.9375, up=0.5, resume_s=240, resume_a=9.0),
    # Default delays: ten seconds before a stop and a minute before a start.
    "openWB": lambda site: PeerController(site, 10, stop_loops=2, resume_s=60),
}


class OracleController:
    """An oracle that knows the next minute of the house and the vehicle's reaction; keeps the limit exactly.

    It follows every second of the house without margin, bridges overloads of at most ten seconds at 6 A as
    the control law may, and pauses only for longer ones. A patient oracle makes no pause shorter than a vehicle
    should be asked to bear, and is the fairer yardstick.
    """

    AHEAD_S = 60
    BRIDGES_S = 10

    def __init__(self, site: ReplaySite, trace: LoadTrace, least_pause_s: int = 0) -> None:
        self._site = site
        self._least_pause_s = least_pause_s
        self._paused_at_s = -least_pause_s
        loaded = range(site.phases if site.vehicle.phases == 3 else 1)
        self._left = [
            min(site.vehicle.max_a, site.limit_a - max(trace.currents_a[phase][second] for phase in loaded))
            for second in range(len(trace))
        ]
        self._offered_a = 0.0

    def step(self, _grid_a: Phases3 | None, _drawn_a: float, second: int) -> PilotOrder:
        at = second % len(self._left)
        ahead = self._left[at + self._site.vehicle.reaction_s + 1 : at + self.AHEAD_S] or self._left[-1:]
        if ahead[0] >= MINIMUM_CURRENT_A:
            waited = second - self._paused_at_s >= self._least_pause_s
            enough = self._offered_a > 0.0 or (waited and min(ahead) >= MINIMUM_CURRENT_A)
            self._offered_a = ahead[0] if enough else 0.0
        else:
            shortage = next((n for n, left_a in enumerate(ahead) if left_a >= MINIMUM_CURRENT_A), len(ahead))
            charged = self._offered_a > 0.0
            self._offered_a = MINIMUM_CURRENT_A if charged and shortage <= self.BRIDGES_S else 0.0
            if charged and self._offered_a == 0.0:
                self._paused_at_s = second
        return PilotOrder(math.floor(self._offered_a * 10) / 10)
