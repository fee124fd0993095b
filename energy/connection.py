"""Monitors the connection shared with the house: grid meter, available current, time until the protection trips."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from energy.balancer import CALM_S, IDLE_A, STEP_UP_EVERY_S, PhaseCapacity, PhaseSample, update_capacity
from energy.draw import NO_DRAW, DrawBounds, DrawHistory, SampleAgeEstimator
from energy.equal_phase_check import EqualPhaseCheck
from energy.failsafe import HOLD_S, STALE_AFTER_S, FailsafeSteps, silence_s
from energy.freshness import Freshness
from energy.grid_connection import AvailableCurrent, GridConnection
from energy.limit import LimitSource, tenths
from energy.meter_limits import NO_STORED_STATE, StoredMeterState
from energy.phase_state import PhaseState
from energy.step_check import SAME_A, StepCheck, can_check_steps
from energy.surplus import house_w
from energy.trip import CURVES, LINKY, Protection, settled_heat
from foundation.constants import NOMINAL_VOLTAGE_V, VEHICLE_RESPONSE_S
from metering.reading import Phases

if TYPE_CHECKING:
    from energy.grid import GridSample
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

WHOLE_AMPERES_A = 1.0
"""reserve below the limit for sources that report whole amperes, which may round down (linky-tic §11.2)"""
POWER_TOLERANCE_A = 2.0
"""largest difference between apparent power and current of one sample, from the voltage and rounding"""
FINE_AMPERES_A = 0.25
"""reserve for sources that report fractions of an ampere: their noise"""
POWER_RESERVE_A = 0.1
"""reserve with apparent power from the meter that enforces the contract: its step is 10 VA, a pilot's 0.1 A"""
LINKY_SUSTAINED_LOAD = 1.2
"""multiple of its cut-off power that a Linky bears indefinitely (1.3 is where its filter opens)"""
BREAKER_SUSTAINED_LOAD = 1.1
"""multiple of its rating that a breaker bears indefinitely (IEC 60898-1: never opens at 1.13)"""
FAST_PERIOD_S = 2.5
"""a source with at most this period can distinguish a starting motor from a lasting load"""
RISE_TOLERANCE_S = VEHICLE_RESPONSE_S + 2 * FAST_PERIOD_S
_SILENCE_STEP_S = 1.0
_SILENCE_MARGIN_S = 0.01
"""a meter is silent when more than `HOLD_S` have passed"""
_MIN_RATING_A = 1.0
"""rating if the meter reports a limit of 0 A and nobody another one"""
OPENS_WITHIN_S = 2.0
"""one decision per second, and the contactor's opening time"""


class ConnectionMonitor:
    """Computes from samples of the grid meter the current that the house leaves for all EVSEs together.

    It runs the control law of each phase, estimates the protection's heat, and detects a silent or blind meter.
    """

    def __init__(
        self, clock: Clock, connection: GridConnection, meter_state: StoredMeterState = NO_STORED_STATE
    ) -> None:
        self._clock = clock
        self.connection = connection
        self._silent_since_s = clock.monotonic() - meter_state.silent_s
        """since when the meter is silent if no sample has come in this run (monotonic)"""
        self._freshness = Freshness()
        self.reported = meter_state.limits
        """the limits that the meter has reported last, in this run or an earlier one"""
        self._voltage_v = NOMINAL_VOLTAGE_V
        self._reports_fractions = False
        self._capacities: list[PhaseCapacity] | None = None
        self._phase_samples: list[PhaseSample] = []
        """what the control law got with the last fresh sample, by phase"""
        self._sampled_limit_a = 0.0
        self._draw_history = DrawHistory()
        self._sample_age = SampleAgeEstimator()
        self._draw_at_sample = NO_DRAW
        self._house_w: float | None = None
        self._offered_a = Phases(0.0, 0.0, 0.0)
        self._grid_a = [0.0, 0.0, 0.0]
        self._protections: list[Protection] = []
        self._over_since_s: list[float | None] = [None, None, None]
        safe_a = connection.failsafe(connection.max_current_a).safe_a
        self._step_checks = [StepCheck(safe_a) for _ in range(3)]
        self._equal_phases = EqualPhaseCheck()
        self._steps_unseen = False

    @property
    def last_sample(self) -> GridSample | None:
        """The last sample of the grid meter; None before the first."""
        return self._freshness.last

    @property
    def age_s(self) -> float | None:
        """Seconds since the last fresh sample; None before the first."""
        return self._freshness.age_s(self._clock.monotonic())

    @property
    def is_silent(self) -> bool:
        """Whether the last fresh sample is older than a working meter sends them (`HOLD_S`), or none came."""
        return self.last_sample is None or self._silent_s > HOLD_S

    @property
    def silence_change_s(self) -> float:
        """Seconds until the silence of the grid meter changes the limits, if no sample comes.

        A second once it is silent: from then on the limits fall with time.
        """
        if self.last_sample is None or (left_s := HOLD_S - self._silent_s) < 0.0:
            return _SILENCE_STEP_S
        grace_s = max(0.0, self.last_sample.period_s - 1.0) - (self.age_s or 0.0) if self._silent_s == 0.0 else 0.0
        return left_s + max(0.0, grace_s) + _SILENCE_MARGIN_S

    @property
    def limit_a(self) -> float | None:
        """The limit of the connection, amperes per phase for house and EVSEs together; None: none is known.

        It is the lowest of those that the meter reports and the installer has set.
        """
        known = (self.reported.limit_a(self.connection.phases, self._voltage_v), self.connection.max_current_a)
        return min((limit for limit in known if limit is not None), default=None)

    @property
    def silent_s(self) -> float:
        """Seconds for which the meter is silent, earlier runs of the station included; 0 while it sends."""
        return self._silence_before_first_sample_s if self._capacities is None else self._silent_s

    @property
    def _silence_before_first_sample_s(self) -> float:
        """Seconds of silence before the first usable sample of this run."""
        return self._clock.monotonic() - self._silent_since_s

    @property
    def _failsafe(self) -> FailsafeSteps:
        return self.connection.failsafe(self.limit_a)

    @property
    def surplus_w(self) -> float:
        """The house's production beyond its own consumption, without our EVSEs, in watts; 0 if not known."""
        if self._house_w is None or self._silent_s > HOLD_S:
            return 0.0
        return max(0.0, -self._house_w)

    @property
    def heat(self) -> float | None:
        """The estimated heat of the protection's hottest phase, 0 to 1 (trips); None before the first sample."""
        return max((protection.heat / protection.curve.trips_at for protection in self._protections), default=None)

    def record_draw(self, draw: DrawBounds, read_at_s: float, offered_a: Phases[float]) -> None:
        """Store our EVSEs' metered draw at a moment (monotonic), and what their pilots offer now, A per grid phase."""
        self._draw_history.add(read_at_s, draw)
        self._offered_a = offered_a

    def process_sample(self, sample: GridSample) -> bool:
        """Process a grid sample; one that is fresh and complete advances the control law. Returns whether it did."""
        now_s = self._clock.monotonic()
        before_s = self._freshness.fresh_at_s
        freshness = self._freshness.after(sample, now_s)
        self._update_contract(sample)
        self._check_steps(sample, now_s)
        limit_a = self.limit_a
        currents = tuple(sample.currents_a)
        if limit_a is None or freshness.fresh_at_s != now_s or None in currents[: self.connection.phases]:
            return False  # no limit, a repetition, or a phase is missing: same as silence
        grid_a, reserves_a = self._refined_currents(sample)
        silent_s = self._silent_s
        self._sample_age.learn(self._draw_history, grid_a, now_s)
        drawn = self._sample_age.draw_at_sample(self._draw_history, now_s)
        before_w = self._house_w if silent_s <= HOLD_S else None
        self._house_w = house_w(before_w, sample.power_w, drawn, NOMINAL_VOLTAGE_V)
        after, phase_samples = list[PhaseCapacity](), list[PhaseSample]()
        for index, before in enumerate(self._capacities_after_silence(silent_s, now_s)):
            phase_sample = PhaseSample(
                limit_a - reserves_a[index],
                self._counted_current_a(grid_a, index, limit_a, sample),
                *drawn.bounds[index],
                tuple(self._offered_a)[index],
                now_s,
                sample.overrun or sample.clipped,
                sustained_limit_a=self._sustained_limit_a(limit_a, sample, reserves_a[index]),
                confirms_rise=self._tolerates(index, grid_a[index], limit_a, sample),
            )
            phase_samples.append(phase_sample)
            after.append(update_capacity(before, phase_sample) if index < self.connection.phases else before)
        self._capacities, self._freshness = after, freshness
        self._phase_samples, self._sampled_limit_a = phase_samples, limit_a
        self._update_heat(grid_a, limit_a, now_s - before_s if before_s is not None else None)
        self._grid_a, self._draw_at_sample = grid_a, self._draw_history.latest
        return True

    @property
    def doubted_phases(self) -> frozenset[int]:
        """The grid phases, 0 to 2, that missed a step of our own vehicles, or always measure the same as another."""
        if self._steps_unseen:  # on one of them, not known which
            return frozenset(range(self.connection.phases))
        return (
            frozenset(index for index, step in enumerate(self._step_checks) if step.doubted)
            | self._equal_phases.doubted
        )

    def set_step_unseen(self, unseen: bool) -> None:
        """Set whether a vehicle's step on an unknown phase showed on none, which makes all phases doubted."""
        if unseen is not self._steps_unseen:
            self._steps_unseen = unseen
            showing = "shows on no phase" if unseen else "shows again on a phase"
            _log.warning("grid meter %s the current of a vehicle whose phase is unknown", showing)

    def _check_steps(self, sample: GridSample, now_s: float) -> None:
        """Check whether the meter shows the steps of our own vehicles."""
        if not can_check_steps(sample):
            return
        self._check_equal_phases(sample, now_s)
        drawn = zip(self._draw_history.latest.bounds, sample.currents_a, strict=True)
        for index, ((least_a, most_a), grid_a) in enumerate(drawn):
            if index >= self.connection.phases or most_a - least_a > SAME_A or grid_a is None:
                continue
            before = self._step_checks[index]
            after = self._step_checks[index] = before.observe(least_a, grid_a, now_s, signed=sample.signed)
            if after.blind is not before.blind:
                showing = "does not show" if after.blind else "shows again"
                _log.warning("grid meter %s the current of the vehicles on L%d", showing, index + 1)

    def _check_equal_phases(self, sample: GridSample, now_s: float) -> None:
        """Check whether two phases always have the same current; skipped for meters that report whole amperes."""
        currents = [current_a for current_a in sample.currents_a if current_a is not None]
        if not self._reports_fractions or len(currents) < 3 or self.connection.phases < 3:
            return
        before = self._equal_phases.doubted
        self._equal_phases = self._equal_phases.after(currents, tuple(self._draw_history.latest.most_a), now_s)
        if (phases := self._equal_phases.doubted) != before:
            names = " and ".join(f"L{phase + 1}" for phase in sorted(phases or before))
            showing = "always shows the same current on" if phases else "shows different currents again on"
            _log.warning("grid meter %s %s", showing, names)

    def available_current(self) -> AvailableCurrent:
        """The current available to all EVSEs together now, by the control law.

        While the meter is silent it is that of the failsafe steps, while a phase is doubted at most the safe current.
        """
        now_s, failsafe, limit_a = self._clock.monotonic(), self._failsafe, self.limit_a
        if self._capacities is None:
            waiting_s = self._silence_before_first_sample_s
            step_s = failsafe.next_step_s(max(waiting_s, STALE_AFTER_S))
            next_s = None if step_s is None else self._silent_since_s + step_s
            return AvailableCurrent(
                Phases[float].all(failsafe.limit_before_sample_a(waiting_s)), LimitSource.FAILSAFE, next_s
            )
        silent_s = self._silent_s
        currents = Phases(*(failsafe.limit_a(capacity.current_a, silent_s) for capacity in self._capacities))
        if limit_a is not None:  # lowered since by a sample without currents
            currents = currents.map(lambda current_a: min(current_a, limit_a))
        doubted = bool(self.doubted_phases)
        if doubted:  # the true current of such a phase is at least what is shown
            currents = currents.map(lambda a: min(a, failsafe.safe_a))
        if silent_s <= HOLD_S:
            if doubted:
                return AvailableCurrent(currents, LimitSource.BLIND_METER)
            return AvailableCurrent(currents, LimitSource.GRID, self._next_rise_s())
        step_s = failsafe.next_step_s(silent_s)
        return AvailableCurrent(currents, LimitSource.FAILSAFE, None if step_s is None else now_s + step_s - silent_s)

    @property
    def house_currents_a(self) -> Phases[float | None]:
        """The estimated current of the house alone at the last fresh sample, tenths of an ampere per phase."""
        known = [None if capacity.house_a is None else tenths(capacity.house_a) for capacity in self._capacities or ()]
        return Phases(*(known[: self.connection.phases] + [None] * 3)[:3])

    def deciding_phase(self, phases: frozenset[int]) -> PhaseState | None:
        """The one of these phases, 0 to 2, with the least available current; None while the house is not known."""
        if self._capacities is None or self._silent_s > HOLD_S or self.doubted_phases:
            return None
        available_a = tuple(self.available_current().currents_a)
        states = [
            PhaseState(
                index, self._sampled_limit_a, self._phase_samples[index], self._capacities[index], available_a[index]
            )
            for index in phases
            if index < self.connection.phases
        ]
        return min(states, key=lambda state: (state.available_a, state.room_a), default=None)

    def urgent_phases(self) -> frozenset[int]:
        """The phases, 0 to 2, on which the protection would open before a vehicle has followed its pilot.

        Contactors must open at once there. Each call also tracks since when each phase exceeds its limit.
        """
        now_s, elapsed_s, limit_a = self._clock.monotonic(), self.age_s or 0.0, self.limit_a
        if limit_a is None or not self._protections:
            return frozenset()
        urgent: set[int] = set()
        changed = zip(self._grid_a, self._draw_history.latest.most_a, self._draw_at_sample.most_a, strict=True)
        for index, ((grid_a, drawn_a, then_a), protection) in enumerate(zip(changed, self._protections, strict=True)):
            flows_a = grid_a + drawn_a - then_a
            if flows_a <= limit_a:
                self._over_since_s[index] = None
                continue
            since_s = self._over_since_s[index]
            since_s = self._over_since_s[index] = now_s if since_s is None else since_s
            load = flows_a / self._rating_a(limit_a)
            left_s = protection.after(load, elapsed_s).seconds_left(load)
            follows_s = max(0.0, since_s + VEHICLE_RESPONSE_S - now_s)
            if drawn_a >= IDLE_A and left_s <= follows_s + OPENS_WITHIN_S:
                urgent.add(index)
        return frozenset(urgent)

    def sustainable_phases(self) -> frozenset[int]:
        """The phases, 0 to 2, whose present current a Linky bears indefinitely.

        Empty if the source is slow or silent, or no Linky.
        """
        sample, limit_a = self.last_sample, self.limit_a
        if limit_a is None or self.reported.cut_off_va is None or sample is None or sample.period_s > FAST_PERIOD_S:
            return frozenset()
        if self._silent_s > HOLD_S:
            return frozenset()
        most_a = LINKY_SUSTAINED_LOAD * min(limit_a, self._rating_a(limit_a))
        return frozenset(index for index, grid_a in enumerate(self._grid_a) if grid_a <= most_a)

    @property
    def _silent_s(self) -> float:
        period_s = self.last_sample.period_s if self.last_sample is not None else 1.0
        return silence_s(self.age_s or 0.0, period_s)

    def _update_contract(self, sample: GridSample) -> None:
        """Update the limits that the meter reports, and what converts them."""
        self.reported = self.reported.after(sample)
        self._voltage_v = max(NOMINAL_VOLTAGE_V, *(voltage_v or 0.0 for voltage_v in sample.voltages_v))
        self._reports_fractions |= any(
            current_a is not None and not current_a.is_integer() for current_a in sample.currents_a
        )

    def _refined_currents(self, sample: GridSample) -> tuple[list[float], list[float]]:
        """The current of each phase, and the reserve to keep below its limit for the source's resolution.

        Apparent power is more precise than whole amperes, and the contract is in VA.
        """
        powers_va, reserve_a = sample.apparent_powers_va, FINE_AMPERES_A if self._reports_fractions else WHOLE_AMPERES_A
        if self.connection.phases == 1:
            powers_va = Phases(sample.apparent_power_va, None, None)
        grid_a, reserves_a = list[float](), list[float]()
        for current_a, power_va, voltage_v in zip(sample.currents_a, powers_va, sample.voltages_v, strict=True):
            stated_a = current_a or 0.0
            if power_va is None or power_va <= 0.0 or stated_a <= 0.0:
                grid_a.append(stated_a)
                reserves_a.append(reserve_a)
                continue
            apparent_a = power_va / max(NOMINAL_VOLTAGE_V, voltage_v or 0.0)
            apart = abs(apparent_a - stated_a) > POWER_TOLERANCE_A  # then they are not of the same moment
            grid_a.append(max(apparent_a, stated_a) if apart else apparent_a)
            reserves_a.append(POWER_RESERVE_A)
        return grid_a, reserves_a

    def _capacities_after_silence(self, silent_s: float, now_s: float) -> list[PhaseCapacity]:
        """The previous capacities; after a silence those of the failsafe, and the calm time starts again."""
        if self._capacities is None:
            return [PhaseCapacity(self._failsafe.safe_a, now_s, now_s) for _ in range(3)]
        if silent_s <= HOLD_S:
            return self._capacities
        failsafe = self._failsafe
        return [
            replace(capacity, current_a=failsafe.limit_a(capacity.current_a, silent_s), overloaded_at_s=now_s)
            for capacity in self._capacities
        ]

    @staticmethod
    def _counted_current_a(grid_a: list[float], index: int, limit_a: float, sample: GridSample) -> float:
        """The current of a phase; a clipped one counts as an overload, however high it is."""
        clipped = sample.clipped and grid_a[index] >= max(grid_a)
        return max(grid_a[index], limit_a + 1.0) if clipped else grid_a[index]

    @property
    def _meter_cut_off_a(self) -> float | None:
        return self.reported.cut_off_a(self.connection.phases, self._voltage_v)

    def _rating_a(self, limit_a: float) -> float:
        """The rating of the protection, to which its loads are relative, in amperes; never 0, unlike a limit."""
        return self._meter_cut_off_a or self.connection.max_current_a or limit_a or _MIN_RATING_A

    def _sustained_limit_a(self, limit_a: float, sample: GridSample, reserve_a: float) -> float | None:
        """Current that a phase bears indefinitely, if the source is too slow to show each peak of a load; else None."""
        if sample.period_s <= FAST_PERIOD_S:
            return None
        load = LINKY_SUSTAINED_LOAD if self.reported.cut_off_va is not None else BREAKER_SUSTAINED_LOAD
        return load * min(limit_a, self._rating_a(limit_a)) - reserve_a

    def _tolerates(self, index: int, grid_a: float, limit_a: float, sample: GridSample) -> bool:
        """Whether the protection bears this current until the next sample has come and a vehicle has followed it."""
        if sample.period_s > FAST_PERIOD_S or not self._protections:
            return False
        return self._protections[index].seconds_left(grid_a / self._rating_a(limit_a)) >= RISE_TOLERANCE_S

    def _update_heat(self, grid_a: list[float], limit_a: float, elapsed_s: float | None) -> None:
        """Update the protection's heat since the last sample, with the larger of both currents for all that time."""
        rating_a = self._rating_a(limit_a)
        curve = LINKY if self.reported.cut_off_va is not None else CURVES[self.connection.breaker]
        if elapsed_s is None or not self._protections or self._protections[0].curve is not curve:
            # The current before is not known: assume full load, to be safe.
            most = curve.trips_at * 0.99
            self._protections = [
                Protection(curve, min(most, max(1.0, settled_heat(abs(a) / rating_a)))) for a in grid_a
            ]
            return
        larger = [max(before, now) for before, now in zip(self._grid_a, grid_a, strict=True)]
        heated = [
            protection.after(a / rating_a, elapsed_s) for protection, a in zip(self._protections, larger, strict=True)
        ]
        # A house that still has power has not tripped, even if the estimate is above.
        self._protections = [Protection(curve, min(protection.heat, curve.trips_at * 0.999)) for protection in heated]

    def _next_rise_s(self) -> float | None:
        """The earliest time at which the capacity may be raised."""
        if self._capacities is None:
            return None
        return max(
            max(capacity.overloaded_at_s + CALM_S, capacity.stepped_at_s + STEP_UP_EVERY_S)
            for capacity in self._capacities
        )
