"""The loop of load management: decides after each change, and when time alone changes a limit."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from station.load.profile_updates import ProfileUpdates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from energy.controller import LoadController
    from energy.demand import Demand
    from energy.grid import GridSample
    from energy.profile_store import ProfileStore
    from energy.sharing import Policy
    from metering.reading import Phases
    from station.charging.evse import Evse
    from station.load.applied_decisions import AppliedDecisions
    from station.load.demands import DemandInputs, Demands
    from station.load.tariff_steering import TariffSteering

_DECIDE_EVERY_S: Final = 1.0
"""seconds between two decisions while an EVSE charges, or is about to: shares, pauses and protection depend on time"""
_DECIDE_IDLE_S: Final = 60.0
"""longest time between two decisions while no EVSE does"""
_REPORT_ALIVE_S: Final = 10.0
"""longest wait of the loop, whose watchdog must see it go on"""
_MIN_INTERVAL_S: Final = 0.01
_WATCHDOG_S: Final = 15.0
"""watchdog deadline of the loop"""


class _GridInputs(Frozen):
    """Inputs of a decision from the grid meter."""

    sample: GridSample
    """the last one, with a constant time"""
    available_a: Phases[float] | None
    silent: bool


class DecisionLoop:
    """Collects the demands of the EVSEs, has the load controller decide, and applies the decisions.

    While an EVSE charges or is about to, it decides at least every second.
    """

    def __init__(
        self,
        controller: LoadController,
        evses: Mapping[int, Evse],
        demands: Demands,
        applied: AppliedDecisions,
        tariff: TariffSteering,
        profiles: ProfileStore,
    ) -> None:
        """`tariff`: gets the samples of the grid meter first."""
        self._controller = controller
        self._clock = clock = controller.clock
        self._evses = evses
        self._demands = demands
        self._applied = applied
        self._tariff = tariff
        self._started_at = clock.now()
        self._decision_requested = ChangeSignal()
        self._profile_updates = ProfileUpdates(profiles, clock, self.request)
        self._decided_s = -math.inf
        self._next_decision_s = clock.monotonic()
        self._decided_grid: _GridInputs | None = None
        """the inputs of the last decision from the grid meter; None: there was no sample"""
        self._inputs: dict[int, DemandInputs] = {}
        """the inputs of the demand of each EVSE, when they were compared last"""
        self.waiting = MonitoredTask("the limits of the EVSEs", clock, _WATCHDOG_S)
        self.limits_changed = ChangeSignal()
        """fires when the limit of an EVSE has changed"""
        self.before_decision: Event[None] = Event()
        """published before each decision"""
        self.after_decision: Event[None] = Event()
        """published after each decision, also if nothing changed"""
        for evse in evses.values():
            evse.state_changed.subscribe(partial(self._note_change_of, evse))

    @property
    def policy(self) -> Policy:
        """The rule that divides the current among the EVSEs."""
        return self._controller.policy

    def request(self) -> None:
        """Request a decision, after a change of a limit; returns before it is made."""
        self._decision_requested.notify()

    def note_profiles_changed(self) -> None:
        """Request a decision because charging profiles were installed or removed; a burst is decided together."""
        self._profile_updates.note_change()

    async def run(self) -> None:
        """Task until cancelled: decide when it is requested and when time changes a limit."""
        # Schedules follow the wall time. The clock outlives this run.
        unsubscribe = self._clock.adjusted.subscribe(lambda _: self.request())
        try:
            while True:
                count_before = self._decision_requested.count
                self._decide()
                # A sample of the grid meter decides too, and so puts the next decision off.
                while (wait_s := self._next_decision_s - self._clock.monotonic()) > 0.0:
                    with self.waiting:
                        if await self._decision_requested.wait_for(
                            count_before, self._clock, min(wait_s, _REPORT_ALIVE_S)
                        ):
                            break
        finally:
            unsubscribe()

    def process_sample(self, sample: GridSample) -> None:
        """Pass a sample of the grid meter to tariff control and load controller; decide and apply before returning.

        Without an active EVSE, a sample that changes nothing leads to no decision: the next is due as if it had.
        """
        self._tariff.process_sample(sample)
        demands = self._demands.collect()
        self._controller.observe_draw(demands)
        self._controller.process_sample(sample)
        is_due = self._clock.monotonic() >= self._next_decision_s  # and the loop has not woken up yet
        if is_due or self._is_any_active() or self._grid_inputs() != self._decided_grid:
            self._decide_for(demands)
        else:
            idle_until_s = self._decided_s + _DECIDE_IDLE_S
            self._next_decision_s = min(idle_until_s, self._clock.monotonic() + self._next_decision_in_s(demands))
        self._controller.grid_changes.sampled.publish(None)

    def _note_change_of(self, evse: Evse, _: None) -> None:
        """Request a decision when an input of the demand of an EVSE has changed."""
        if (inputs := self._demands.inputs_of(evse)) != self._inputs.get(evse.id):
            self._inputs[evse.id] = inputs
            self.request()

    def _next_decision_in_s(self, demands: Iterable[Demand]) -> float:
        """Seconds after which to decide again if nothing changes, also when the next limit of an EVSE may change."""
        if self._is_any_active():
            return _DECIDE_EVERY_S
        intervals_s = [_DECIDE_IDLE_S]
        if (change_s := self._controller.idle_change_s) is not None:
            intervals_s.append(change_s)
        now = self._clock.now()
        changes = [limit.next_change for demand in demands for limit in demand.own_limits if limit.next_change]
        # Times are in microseconds: a change that is due now may still be less than one away, so it is looked at again.
        intervals_s += [(change - now).total_seconds() for change in changes if change >= now]
        return max(_MIN_INTERVAL_S, min(intervals_s))

    def _is_any_active(self) -> bool:
        """Whether an EVSE is active: then each sample decides."""
        return any(map(is_active, self._evses.values()))

    def _grid_inputs(self) -> _GridInputs | None:
        """Inputs of a decision from the grid meter now; None before the first sample."""
        grid, monitor = self._controller.grid, self._controller.connection_monitor
        sample = grid.last_sample
        if monitor is None or sample is None:
            return None
        return _GridInputs(replace(sample, taken_at=self._started_at), grid.available_a, silent=monitor.is_silent)

    def _decide(self) -> None:
        demands = self._demands.collect()
        self._controller.observe_draw(demands)
        self._decide_for(demands)

    def _decide_for(self, demands: Sequence[Demand]) -> None:
        """Decide for demands that the controller has observed, and apply the decisions."""
        self.before_decision.publish(None)
        self._decided_s = self._clock.monotonic()
        self._profile_updates.note_decision(demands)
        if self._applied.apply(demands, self._controller.decide_observed()):
            self.limits_changed.notify()
        self._controller.grid_changes.update_meter_silence()
        # After a decision for an active EVSE, the first sample without one decides.
        self._decided_grid = None if self._is_any_active() else self._grid_inputs()
        self._next_decision_s = self._clock.monotonic() + self._next_decision_in_s(demands)
        self.after_decision.publish(None)


def is_active(evse: Evse) -> bool:
    """Return whether an EVSE charges, or a change of its state that nobody announces may let it charge."""
    state = evse.state
    return state.authorization is not None or state.transaction is not None or state.observation.contactor_closed
