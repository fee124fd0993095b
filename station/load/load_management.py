"""Applies the decisions of the load controller to the EVSEs: after each change, and when time alone changes them."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import replace

from energy.controller import Demand, LoadController, SharedLimit
from energy.grid import without_impossible_values
from energy.limit import Limit, LimitSource, tightest
from energy.profile_limits import ProfileLimits, profile_limits
from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from metering.reading import Phases
from station.charging.evse import Evse
from station.load.derating import TemperatureRange
from station.load.evse_demands import EvseDemands
from station.load.pilot_sequence import PilotSequence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy.grid import GridOrder, GridOrderSource, GridSample, GridSource
    from foundation.clock import Clock, TimerHandle
    from station.load.charging_profiles import PersistentProfiles
    from station.load.priorities import Priorities
    from station.load.tariff_steering import TariffSteering

_log = logging.getLogger(__name__)

_DECIDE_EVERY_S = 1.0
"""seconds between two decisions while an EVSE charges, or is about to: shares, pauses and protection depend on time"""
_DECIDE_IDLE_S = 60.0
"""longest time between two decisions while no EVSE does"""
_SETTLES_S = 10.0
"""time after the last charge with as many decisions as in it: the chart of the page shows its end"""
_REPORT_ALIVE_S = 10.0
"""longest wait of the decision loop, whose watchdog must see it go on"""
_SOONEST_S = 0.01
_FLUSH_RETRY_S = 1.0
_COALESCE_S = 0.05
"""shortest interval between two decisions because of profiles, if no limit falls"""
_DECIDE_AGAIN_S = 15.0
"""watchdog deadline of the decision loop"""
_UNSETTLED_A = 1.0
"""a draw that differs this much from the offer is about to change: the meter is read again with each grid sample"""
_GLANCE_S = 0.3
"""longest wait for that reading; after it the previous reading is used"""


class LoadInputs(Frozen):
    """Sources of load management besides the EVSEs: grid meter, grid operator's contacts, tariff; and its settings."""

    source: GridSource | None = None
    """the grid meter; None: not configured"""
    orders: GridOrderSource | None = None
    """the grid operator's contacts; None: not configured"""
    tariff: TariffSteering | None = None
    """charging in off-peak hours; None: not used"""
    temperatures: TemperatureRange = field(default_factory=TemperatureRange)
    """permitted temperatures inside the station"""
    restart_delay_max_s: float = 0.0
    """seconds; after a power cut charging restarts after a random part of this"""


class _GridInputs(Frozen):
    """Inputs of a decision from the grid meter."""

    sample: GridSample
    """the last one, with a constant time"""
    available_a: Phases[float] | None
    silent: bool


class LoadManagement:
    """Decides which current each EVSE may offer, on which phases: after changes, and when time alone changes it.

    It collects the demand of each EVSE, has the load controller decide, and applies the decisions to the EVSEs.
    While an EVSE charges or is about to, it decides at least every second.
    """

    def __init__(
        self,
        controller: LoadController,
        evses: Mapping[int, Evse],
        clock: Clock,
        *,
        profiles: PersistentProfiles,
        priorities: Priorities,
        inputs: LoadInputs,
    ) -> None:
        self.controller = controller
        self.profiles = profiles
        self.priorities = priorities
        self._evses, self._inputs = evses, inputs
        self.pilots = PilotSequence(evses, clock)
        """lowers pilots before it raises others"""
        self._since = clock.now()
        self._evse_demands = EvseDemands(
            evses,
            clock,
            profiles=profiles,
            priorities=priorities,
            tariff=inputs.tariff,
            temperatures=inputs.temperatures,
            restart_delay_max_s=inputs.restart_delay_max_s,
        )
        self._logged: dict[int, tuple[float, LimitSource, str | None]] = {}
        self.decided = ChangeSignal()
        """fires when the limit of an EVSE has changed"""
        if inputs.orders is not None:
            self._apply_order(inputs.orders.order)  # the most restrictive order until the contact is read
        self._due = ChangeSignal()
        self._decided_s = -math.inf
        self._demands: Sequence[Demand] = ()
        """of the last decision"""
        self._profiles_changed_s = -math.inf
        self._decided_limits: ProfileLimits | None = None
        """what the profiles allowed at the last decision, if they had changed shortly before; else None"""
        self._coalesced: TimerHandle | None = None
        self._decide_again_s = clock.monotonic()
        self._settled_s = -math.inf
        self._sample: GridSample | None = None
        """the last one processed"""
        self._decided_grid: _GridInputs | None = None
        """what the last decision took from the grid meter; None: an EVSE was active"""
        self._profiles_changed = ChangeSignal()
        """fires when a decision has left profiles to be saved"""
        self._newest_sample: GridSample | None = None
        self._sample_received = ChangeSignal()
        self.waiting = MonitoredTask("the limits of the EVSEs", clock, _DECIDE_AGAIN_S)
        self.before_decision: Event[None] = Event()
        """published before each decision"""
        self.grid_sampled: Event[None] = Event()
        """published after each sample of the grid meter"""
        self.grid_meter_silent = inputs.source is not None
        """whether there is a grid meter that has sent no fresh sample for some seconds, or none yet"""
        self.grid_meter_changed: Event[None] = Event()
        """published when the grid meter falls silent, and when it sends again"""
        self.after_decision: Event[None] = Event()
        """published after each decision, also if nothing changed"""

    def set_station_limit(self, station_limit_a: float) -> None:
        """Set the current selector's limit for all EVSEs together, amperes per phase, and request a new decision."""
        self.controller.set_station_limit(station_limit_a)
        self.request_update()

    def request_update(self) -> None:
        """Wake the decision loop, after a change of a profile or a limit; returns before it has decided."""
        self._due.notify()

    def profiles_changed(self) -> None:
        """Request a decision because profiles were installed or removed; returns before it has decided.

        A CSMS may send many profiles one after the other, and each decision costs as much as answering one. So only the
        first leads to a decision at once, and those that lower a limit; the others are decided together 50 ms later.
        """
        now_s = self._profiles_changed_s = self.controller.clock.monotonic()
        wait_s = self._decided_s + _COALESCE_S - now_s
        before = self._decided_limits
        if wait_s <= 0.0 or before is None or self._limits_of_profiles().restricts_more_than(before):
            self.request_update()
        elif self._coalesced is None:
            self._coalesced = self.controller.clock.call_later(wait_s, self.request_update)

    def _limits_of_profiles(self) -> ProfileLimits:
        """Limits by the profiles now, for the transactions of the last decision."""
        switching = [one.target for one in self._demands if one.can_switch_phases]
        targets = [one.target for one in self._demands]
        return profile_limits(self.profiles.store.applicable(), targets, switching, self.controller.clock.now())

    async def run(self) -> None:
        """Run until cancelled: decide, save charging profiles, process grid samples, and watch the EVSEs for changes.

        Does not read grid meter and contacts: `follow_grid_meter` and `follow_grid_orders` do.
        """
        # Schedules follow the wall time. The clock outlives this run.
        unsubscribe = self.controller.clock.adjusted.subscribe(lambda _: self.request_update())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_decisions(), name="limits")
                group.create_task(self._save_profiles(), name="profiles")
                group.create_task(self._process_samples(), name="grid-samples")
                for evse in self._evses.values():
                    group.create_task(self._follow(evse), name=f"demand-{evse.id}")
        finally:
            unsubscribe()

    async def _run_decisions(self) -> None:
        while True:
            seen = self._due.count
            self._decide()
            # A sample of the grid meter decides too, and so puts the next decision off.
            while (wait_s := self._decide_again_s - self.controller.clock.monotonic()) > 0.0:
                with self.waiting:
                    if await self._due.wait_for(seen, self.controller.clock, min(wait_s, _REPORT_ALIVE_S)):
                        break

    def _decision_lasts_s(self) -> float:
        """Seconds after which to decide again if nothing changes."""
        now_s = self.controller.clock.monotonic()
        if any(map(_is_active, self._evses.values())):
            self._settled_s = now_s + _SETTLES_S
        if now_s <= self._settled_s:
            return _DECIDE_EVERY_S
        due_s = [_DECIDE_IDLE_S]
        if (change_s := self.controller.idle_change_s) is not None:
            due_s.append(change_s)
        if (wait_s := self._evse_demands.begins_s - now_s) > 0.0:
            due_s.append(wait_s)
        return max(_SOONEST_S, min(due_s))

    async def _save_profiles(self) -> None:
        """Save profiles that start or end with a transaction; separate, so that decisions never wait for the disk."""
        while True:
            seen = self._profiles_changed.count
            await self.profiles.flush()
            if self.profiles.has_unsaved:  # the disk refused them
                await self._profiles_changed.wait_for(seen, self.controller.clock, _FLUSH_RETRY_S)
            else:
                await self._profiles_changed.wait(seen)

    async def _follow(self, evse: Evse) -> None:
        """Request a decision when what the demand of an EVSE is made of has changed."""
        seen, inputs = evse.changed.count, self._evse_demands.inputs_of(evse)
        while True:
            seen = await evse.changed.wait(seen)
            if (now := self._evse_demands.inputs_of(evse)) != inputs:
                inputs = now
                self.request_update()

    @property
    def has_grid_meter(self) -> bool:
        """Whether a grid meter is configured."""
        return self._inputs.source is not None

    @property
    def binding_limits(self) -> dict[int, Limit | None]:
        """The limit that determines the current of each EVSE, by its id; None before the first decision."""
        return {evse.id: tightest(evse.limits) for evse in self._evses.values()}

    @property
    def tariff(self) -> TariffSteering | None:
        """The control of charging by tariff; None if it is not used."""
        return self._inputs.tariff

    async def follow_grid_orders(self) -> None:
        """Limit all EVSEs together by each order of the grid operator's contacts; returns at once without contacts."""
        if self._inputs.orders is not None:
            async for order in self._inputs.orders.orders():
                self._apply_order(order)
                self.request_update()

    def _apply_order(self, order: GridOrder | None) -> None:
        limit = None
        if order is not None:
            limit = SharedLimit(LimitSource.GRID_ORDER, power_w=order.limit_w, plus_surplus=True, by=order.reason.value)
        self.controller.set_shared_limit("grid-order", limit)

    async def follow_grid_meter(self) -> None:
        """Receive samples from the grid meter until the source fails; the caller restarts it.

        The samples are processed by `run`. Without a grid meter it returns at once.

        Raises:
            SourceError: the connection to the meter failed.
        """
        if self._inputs.source is not None:
            async for sample in self._inputs.source.samples():
                self._newest_sample = sample  # replaces an older one not yet processed
                self._sample_received.notify()

    async def _process_samples(self) -> None:
        while True:
            seen = self._sample_received.count
            if (sample := self._newest_sample) is None:
                await self._sample_received.wait(seen)
                continue
            self._newest_sample = None
            await self.receive_sample(sample)

    async def receive_sample(self, sample: GridSample) -> None:
        """Process a grid sample, after reading the billing meters of EVSEs whose draw differs from the offered current.

        An outdated reading would make the change count as load of the house. Waits at most 0.3 s for the meters.
        """
        if unsettled := [evse for evse in self._evses.values() if _is_unsettled(evse)]:
            async with asyncio.TaskGroup() as group:
                for evse in unsettled:
                    group.create_task(evse.meter.refresh(_GLANCE_S), name=f"glance-{evse.id}")
        self.process_sample(sample)

    def process_sample(self, sample: GridSample) -> None:
        """Pass a sample of the grid meter to tariff control and load controller; decide and apply before returning.

        Without an active EVSE, a sample that changes nothing leads to no decision: the next is due as if it had.
        Values that no connection can have count as not reported.
        """
        sample = without_impossible_values(sample)
        if self._inputs.tariff is not None:
            self._inputs.tariff.process_sample(sample)
        self.controller.observe_draw(self.collect_demands())
        self.controller.process_sample(sample)
        self._sample = sample
        if self._grid_inputs() != self._decided_grid or self._decided_grid is None:
            self._decide()
        else:
            idle_until_s = self._decided_s + _DECIDE_IDLE_S
            self._decide_again_s = min(idle_until_s, self.controller.clock.monotonic() + self._decision_lasts_s())
        self.grid_sampled.publish(None)

    def _grid_inputs(self) -> _GridInputs | None:
        """Inputs of a decision from the grid meter now; None while an EVSE is active: then each sample decides."""
        if self._sample is None or any(map(_is_active, self._evses.values())):
            return None
        return _GridInputs(
            replace(self._sample, taken_at=self._since),
            self.controller.available_grid_current,
            silent=self.controller.grid_meter_silent,
        )

    def collect_demands(self) -> list[Demand]:
        """Collect the demand of each EVSE now.

        Also installs and removes charging profiles where a transaction began, ended, or lost its authorization.
        """
        return self._evse_demands.collect()

    def _decide(self) -> None:
        self.before_decision.publish(None)
        self._decided_s, self._demands = self.controller.clock.monotonic(), self.collect_demands()
        changed_lately = self._decided_s - self._profiles_changed_s < _DECIDE_EVERY_S
        self._decided_limits = self._limits_of_profiles() if changed_lately else None
        if self._coalesced is not None:
            self._coalesced.cancel()
            self._coalesced = None
        decisions = self.controller.decide(self._demands)
        for evse_id, decision in decisions.items():
            evse, binding = self._evses[evse_id], decision.binding
            if decision.phases not in {None, evse.state.phases}:
                _log.info("EVSE %d: number of phases for charging: %d", evse_id, decision.phases)
            evse.apply_decision(decision)
            if decision.open_now:
                _log.warning(
                    "EVSE %d: contactor opens, because the breaker could trip before the vehicle reduces its current",
                    evse_id,
                )
            if binding is None:
                continue
            told = (evse.state.offered_a, binding.source, binding.by)
            if self._logged.get(evse_id) != told:
                self._logged[evse_id] = told
                _log.info("EVSE %d may draw %.1f A: %s, %s", evse_id, told[0], binding.source, binding.source_text)
                self.decided.notify()
        self.pilots.grant(
            {one.evse_id: decisions[one.evse_id].current_a if one.may_charge else 0.0 for one in self._demands}
        )
        self._note_silence()
        if self.profiles.has_unsaved:
            self._profiles_changed.notify()
        self._decided_grid = self._grid_inputs()
        self._decide_again_s = self.controller.clock.monotonic() + self._decision_lasts_s()
        self.after_decision.publish(None)

    def _note_silence(self) -> None:
        silent = self.has_grid_meter and self.controller.grid_meter_silent
        if silent is not self.grid_meter_silent:
            self.grid_meter_silent = silent
            self.grid_meter_changed.publish(None)


def _is_unsettled(evse: Evse) -> bool:
    """Return whether the vehicle draws more or less than it is offered."""
    differs = abs((evse.state.draw_a or 0.0) - evse.offered_a) > _UNSETTLED_A
    return evse.state.seen.contactor_closed and differs and evse.meter.error is None


def _is_active(evse: Evse) -> bool:
    """Return whether an EVSE charges, or a change of its state that nobody announces may let it charge."""
    state = evse.state
    return state.authorization is not None or state.transaction is not None or state.seen.contactor_closed
