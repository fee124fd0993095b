"""Carries what the energy room decides to the EVSEs: once a second, and at once when something changed."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from energy.composite import Charge
from energy.controller import Controller, Demand
from energy.limit import Limit, LimitSource
from metering.pulse import Pulse
from metering.reading import UNKNOWN
from station.evse import Evse
from station.evse_state import ev_connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.grid import GridSample, GridSource
    from metering.clock import Clock
    from station.profiles import Profiles

_log = logging.getLogger(__name__)

_DECIDE_EVERY_S = 1.0


class LoadManagement:
    """The loop between the controller and the EVSEs."""

    def __init__(
        self,
        controller: Controller,
        evses: Mapping[int, Evse],
        clock: Clock,
        *,
        profiles: Profiles,
        source: GridSource | None,
    ) -> None:
        self.controller = controller
        self.profiles = profiles
        self._evses = evses
        self._clock = clock
        self._source = source
        self._since = clock.now()
        self._ready_s: dict[int, float] = {}
        self._due = Pulse()

    def select(self, station_limit_a: float) -> None:
        """The current selector was turned; amperes per phase."""
        self.controller.select(station_limit_a)
        self.poke()

    def poke(self) -> None:
        """Decide again now: a profile or the selector changed."""
        self._due.fire()

    async def run(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_deciding(), name="limits")
            group.create_task(self._keep_saving(), name="profiles")
            for evse in self._evses.values():
                group.create_task(self._follow(evse), name=f"demand-{evse.id}")

    async def _keep_deciding(self) -> None:
        while True:
            self._decide()
            await self._due.wait_at_most(self._clock, _DECIDE_EVERY_S)

    async def _keep_saving(self) -> None:
        """Save what ended or began with a transaction; no limit waits for the disk."""
        while True:
            await self.profiles.flush()
            await self._due.wait_at_most(self._clock, _DECIDE_EVERY_S)

    async def _follow(self, evse: Evse) -> None:
        """Share anew as soon as a vehicle comes to want energy, or does not any more."""
        wanted = _wants(evse)
        while True:
            await evse.changed.wait()
            if _wants(evse) is not wanted:
                wanted = not wanted
                self.poke()

    @property
    def watches_grid(self) -> bool:
        """Whether there is a grid meter to follow."""
        return self._source is not None

    async def watch_grid(self) -> None:
        """Follow the grid meter; ends with the source's error, for whoever restarts it.

        Raises:
            SourceError: the wire is gone.
        """
        if self._source is not None:
            async for sample in self._source.samples():
                self.take_sample(sample)

    def take_sample(self, sample: GridSample) -> None:
        """A fresh sample of the house: the limits follow at once."""
        self.controller.take_sample(sample)
        self.poke()

    def _decide(self) -> None:
        demands = [self._demand(evse) for evse in self._evses.values()]
        for evse_id, decision in self.controller.decide(demands).items():
            evse = self._evses[evse_id]
            before = evse.state.offered_a
            evse.offer(decision.current_a, decision.limits)
            binding = decision.binding
            if evse.state.offered_a != before and binding is not None:
                _log.info("EVSE %d may draw %.1f A: %s", evse_id, evse.state.offered_a, binding.source)

    def _demand(self, evse: Evse) -> Demand:
        state = evse.state
        self.profiles.follow(evse.id, evse.transaction_id)
        wants = _wants(evse)
        if evse.state.authorization is None:
            self.profiles.forget(evse.id)
        # Elapsed time, not wall time: a corrected clock must not switch a Relative profile off (K01.FR.42).
        now_s = self._clock.monotonic()
        ready_s = self._ready_s.setdefault(evse.id, now_s) if wants else now_s
        if not wants:
            self._ready_s.pop(evse.id, None)
        started_at = self._clock.now() - timedelta(seconds=now_s - ready_s)
        latest = evse.meter.latest
        return Demand(
            charge=Charge(evse.id, evse.transaction_id, started_at),
            phases=evse.layout.phases,
            wants=wants,
            draw_a=latest.currents_a if latest is not None and state.seen.contactor_closed else UNKNOWN,
            own_limits=self._own_limits(evse),
        )

    def _own_limits(self, evse: Evse) -> tuple[Limit, ...]:
        limits = [Limit(evse.layout.max_current_a, LimitSource.HARDWARE, self._since)]
        if evse.state.seen.cable_max_a is not None:
            limits.append(Limit(evse.state.seen.cable_max_a, LimitSource.CABLE, self._since))
        return tuple(limits)


def _wants(evse: Evse) -> bool:
    """Whether a vehicle is there and may charge."""
    return ev_connected(evse.state) and evse.state.authorization is not None
