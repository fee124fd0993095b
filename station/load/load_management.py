"""Carries what the energy room decides to the EVSEs: once a second, and at once when something changed."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import field
from datetime import timedelta
from typing import TYPE_CHECKING

from energy.composite import ProfileTarget
from energy.controller import Demand, LoadController, SharedLimit
from energy.limit import Limit, LimitSource, tightest
from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import frozen
from foundation.monitored_task import MonitoredTask
from metering.reading import UNKNOWN_PHASES
from station.charging.evse import Evse
from station.charging.evse_state import ev_connected, is_blocked, lacks_ventilation
from station.load.derating import Derating, TemperatureRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from energy.grid import GridOrder, GridOrderSource, GridSample, GridSource
    from foundation.clock import Clock
    from station.load.charging_profiles import PersistentProfiles
    from station.load.priorities import Priorities
    from station.load.tariff_steering import TariffSteering

_log = logging.getLogger(__name__)

_DECIDE_EVERY_S = 1.0
_DECIDE_AGAIN_S = 15.0
"""the next decision comes by then, or never"""
_UNSETTLED_A = 1.0
"""a vehicle that draws so much more or less than offered may change at any moment: its meter is read with a sample"""
_GLANCE_S = 0.3
"""a meter that takes longer does not hold a sample up: what it showed last is reckoned with"""


@frozen
class LoadInputs:
    """What the loop listens to besides the EVSEs."""

    source: GridSource | None = None
    """the grid meter"""
    orders: GridOrderSource | None = None
    """the grid operator's contact"""
    tariff: TariffSteering | None = None
    temperatures: TemperatureRange = field(default_factory=TemperatureRange)
    """where the station may work"""
    restart_delay_max_s: float = 0.0
    """after a blackout vehicles wait for a random part of this"""


class LoadManagement:
    """The loop between the controller and the EVSEs."""

    def __init__(
        self,
        controller: LoadController,
        evses: Mapping[int, Evse],
        clock: Clock,
        *,
        profiles: PersistentProfiles,
        priorities: Priorities,
        around: LoadInputs,
    ) -> None:
        self.controller = controller
        self.profiles = profiles
        self.priorities = priorities
        self._evses = evses
        self._clock = clock
        self._around = around
        self._since = clock.now()
        self._begins_s = clock.monotonic() + random.uniform(0.0, around.restart_delay_max_s)
        self._own_since: dict[tuple[int, LimitSource], tuple[float, datetime]] = {}
        """what cable and vehicle limit now, and since when"""
        self._told: dict[int, tuple[float, LimitSource, str | None]] = {}
        self.decided = ChangeSignal()
        """fires after a decision that changed something"""
        if around.orders is not None:
            self._obey(around.orders.order)  # before the contact was read the careful side holds
        self._ready_s: dict[int, float] = {}
        self._heat = {evse.id: Derating(evse.layout.max_current_a, around.temperatures) for evse in evses.values()}
        self._due = ChangeSignal()
        self._newest: GridSample | None = None
        self._spoken = ChangeSignal()
        self.waiting = MonitoredTask("the limits of the EVSEs", clock, _DECIDE_AGAIN_S)
        self.before_decision = Event[None]()
        """before each decision"""
        self.after_decision = Event[None]()
        """after each decision, whether or not it changed something"""

    def set_station_limit(self, station_limit_a: float) -> None:
        """The current selector was turned; amperes per phase."""
        self.controller.set_station_limit(station_limit_a)
        self.request_update()

    def request_update(self) -> None:
        """Decide again now: a profile or the selector changed."""
        self._due.notify()

    async def run(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_deciding(), name="limits")
            group.create_task(self._keep_saving(), name="profiles")
            group.create_task(self._keep_hearing(), name="grid-samples")
            for evse in self._evses.values():
                group.create_task(self._follow(evse), name=f"demand-{evse.id}")

    async def _keep_deciding(self) -> None:
        while True:
            seen = self._due.count
            self._decide()
            with self.waiting:
                await self._due.wait_for(seen, self._clock, _DECIDE_EVERY_S)

    async def _keep_saving(self) -> None:
        """Save what ended or began with a transaction; no limit waits for the disk."""
        while True:
            seen = self._due.count
            await self.profiles.flush()
            await self._due.wait_for(seen, self._clock, _DECIDE_EVERY_S)

    async def _follow(self, evse: Evse) -> None:
        """Share anew as soon as a vehicle comes to want energy, or does not any more."""
        seen, wanted = evse.changed.count, _wants(evse)
        while True:
            seen = await evse.changed.wait(seen)
            if _wants(evse) is not wanted:
                wanted = not wanted
                self.request_update()

    @property
    def has_grid_meter(self) -> bool:
        """Whether there is a grid meter to follow."""
        return self._around.source is not None

    @property
    def binding_limits(self) -> dict[int, Limit | None]:
        """Why each EVSE offers what it offers: the limit that binds, the same for everybody who asks."""
        return {evse.id: tightest(evse.limits) for evse in self._evses.values()}

    @property
    def tariff(self) -> TariffSteering | None:
        """What waits for cheap hours; None where nothing does."""
        return self._around.tariff

    async def follow_grid_orders(self) -> None:
        """Follow the grid operator's contact."""
        if self._around.orders is not None:
            async for order in self._around.orders.orders():
                self._obey(order)
                self.request_update()

    def _obey(self, order: GridOrder | None) -> None:
        limit = None
        if order is not None:
            limit = SharedLimit(LimitSource.GRID_ORDER, power_w=order.limit_w, plus_surplus=True, by=order.reason.value)
        self.controller.set_shared_limit("grid-order", limit)

    async def follow_grid_meter(self) -> None:
        """Follow the grid meter; ends with the source's error, for whoever restarts it.

        Raises:
            SourceError: the wire is gone.
        """
        if self._around.source is not None:
            async for sample in self._around.source.samples():
                self._newest = sample  # one that still waits is old news
                self._spoken.notify()

    async def _keep_hearing(self) -> None:
        while True:
            seen = self._spoken.count
            if (sample := self._newest) is None:
                await self._spoken.wait(seen)
                continue
            self._newest = None
            await self.receive_sample(sample)

    async def receive_sample(self, sample: GridSample) -> None:
        """A sample of the house. A vehicle that moves meanwhile must not be taken for a load of it: it is looked at."""
        async with asyncio.TaskGroup() as group:
            for evse in self._evses.values():
                if _is_unsettled(evse):
                    group.create_task(evse.meter.refresh(_GLANCE_S), name=f"glance-{evse.id}")
        self.process_sample(sample)

    def process_sample(self, sample: GridSample) -> None:
        """A fresh sample of the house: the limits follow at once."""
        if self._around.tariff is not None:
            self._around.tariff.process_sample(sample)
        self.controller.observe_draw(self.demands())
        self.controller.process_sample(sample)
        self._decide()

    def demands(self) -> list[Demand]:
        """What each EVSE asks for at the moment."""
        return [self._demand(evse) for evse in self._evses.values()]

    def _decide(self) -> None:
        self.before_decision.publish(None)
        for evse_id, decision in self.controller.decide(self.demands()).items():
            evse, binding = self._evses[evse_id], decision.binding
            if decision.phases not in {None, evse.state.phases}:
                _log.info("EVSE %d charges on %d of its phases", evse_id, decision.phases)
            evse.apply_decision(decision)
            if decision.open_now:
                _log.warning("EVSE %d: the connection would trip before the vehicle follows: contactor opens", evse_id)
            if binding is None:
                continue
            told = (evse.state.offered_a, binding.source, binding.by)
            if self._told.get(evse_id) != told:
                self._told[evse_id] = told
                _log.info("EVSE %d may draw %.1f A: %s, %s", evse_id, told[0], binding.source, binding.source_text)
                self.decided.notify()
        self.after_decision.publish(None)

    def _demand(self, evse: Evse) -> Demand:
        state = evse.state
        self.profiles.set_transaction(evse.id, evse.transaction_id)
        here = _is_here(evse)
        if evse.state.authorization is None:
            self.profiles.cancel_expected(evse.id)
        # Elapsed time, not wall time: a corrected clock must not switch a Relative profile off (K01.FR.42).
        now_s = self._clock.monotonic()
        # A vehicle that comes back to its transaction goes on where it was.
        if not here and evse.transaction_id is None:
            self._ready_s.pop(evse.id, None)
        ready_s = self._ready_s.setdefault(evse.id, now_s) if here else self._ready_s.get(evse.id, now_s)
        started_at = self._clock.now() - timedelta(seconds=now_s - ready_s)
        latest = evse.meter.latest
        return Demand(
            target=ProfileTarget(evse.id, self.profiles.transaction_of(evse.id, evse.transaction_id), started_at),
            phases=evse.layout.phases,
            wants=_wants(evse),
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
        return self.priorities.of_charge(evse.id, evse.transaction_id, of_token)

    def _own_limits(self, evse: Evse, *, here: bool) -> tuple[Limit, ...]:
        limits = [Limit(evse.layout.max_current_a, LimitSource.HARDWARE, self._since)]
        limits += self._plugged_in(evse.id, LimitSource.CABLE, evse.state.seen.cable_max_a)
        limits += self._plugged_in(evse.id, LimitSource.VENTILATION, 0.0 if lacks_ventilation(evse.state) else None)
        if (hot := self._heat[evse.id].limit(evse.state.seen.temperature_c, self._clock.now())) is not None:
            limits.append(hot)
        if self._around.tariff is not None and (waits := self._around.tariff.limit_of(evse, wants=here)) is not None:
            limits.append(waits)
        if (wait_s := self._begins_s - self._clock.monotonic()) > 0.0:
            begins = self._clock.now() + timedelta(seconds=wait_s)
            limits.append(Limit(0.0, LimitSource.RESTART_DELAY, self._since, begins))
        return tuple(limits)

    def _plugged_in(self, evse_id: int, source: LimitSource, current_a: float | None) -> list[Limit]:
        """A limit that came with what is plugged in, since then; none where that does not limit."""
        key = (evse_id, source)
        if current_a is None:
            self._own_since.pop(key, None)
            return []
        known = self._own_since.get(key)
        if known is None or known[0] != current_a:
            known = self._own_since[key] = (current_a, self._clock.now())
        return [Limit(current_a, source, known[1])]


def _is_unsettled(evse: Evse) -> bool:
    """Whether its vehicle draws something else than it is offered."""
    differs = abs((evse.state.draw_a or 0.0) - evse.offered_a) > _UNSETTLED_A
    return evse.state.seen.contactor_closed and differs and evse.meter.error is None


def _is_here(evse: Evse) -> bool:
    """Whether a vehicle is there, and somebody who may charge it."""
    return ev_connected(evse.state) and evse.state.authorization is not None


def _wants(evse: Evse) -> bool:
    """Whether it would charge with what it is given: who waits for the end of a fault leaves its share to others."""
    return _is_here(evse) and not is_blocked(evse.state)
