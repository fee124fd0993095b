"""One station of a fleet in its host: plays its part of the plan, and reports how it is."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.composition.simulated import world_of
from borne.fleet.answered_bills import read_answered_bills
from foundation.constants import NOMINAL_VOLTAGE_V
from simulator.fleet import schedule
from simulator.fleet.drivers import Drivers
from simulator.fleet.reports import StationReport, StationState
from simulator.fleet.waiting import wait_until
from simulator.register import EnergyRegister, RegisterError
from station.charging.charging_station import ChargingStation
from station.core.model import EventType
from station.devices.simulated_config import SimulatedReaderConfig
from station.storage.database import StorageError
from station.storage.outbox import Outbox

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from foundation.clock import Clock
    from simulator.board import SimulatedBoard
    from simulator.fleet.plan import LoadedPlan
    from simulator.fleet.request_meter import ConnectionObserver
    from simulator.world import World
    from station.charging.evse import Evse
    from station.core.csms import CsmsLink
    from station.core.model import TransactionEvent

_BOOT_ACCEPTED: Final = "Accepted"
_DRAIN_CHECK_S: Final = 0.2
_SILENCE_S: Final = 5.0
"""real seconds from the start after which a station reports that the CSMS does not answer, before it gives up"""


class FleetStation:
    """One station of a fleet: its drivers, its house and its disturbances, and what is counted about it."""

    def __init__(
        self,
        runtime: StationRuntime,
        number: int,
        loaded: LoadedPlan,
        observer: ConnectionObserver,
        leaving: asyncio.Event,
        *,
        start_s: float,
        resumed: bool,
    ) -> None:
        """Take a station that does not run yet.

        Args:
            runtime: the station, with simulated hardware.
            number: its number in the fleet.
            loaded: the plan of the fleet.
            observer: the tap of its connection.
            leaving: once it is set, vehicles leave and disturbances end.
            start_s: real time of the event loop at which it is to start.
            resumed: whether it goes on with an existing storage.
        """
        self.runtime = runtime
        self.number = number
        self.observer = observer
        self.start_s = start_s
        self._plan = loaded.plan
        self._contracts = loaded.contracts
        self._leaving = leaving
        self._resumed = resumed
        self._world: World = world_of(runtime.hardware)
        self._storage = Path(runtime.configuration.station.storage)
        self._state = StationState.WAITING
        self._arrivals = 0
        self._transactions = {EventType.STARTED: 0, EventType.UPDATED: 0, EventType.ENDED: 0}
        self._evses: dict[int, Evse] = {}
        """the EVSEs of the present run, by number; empty while the station is off"""
        self._outbox: Outbox | None = None
        runtime.auxiliary.subscribe(runtime.started, self._use_run)

    @property
    def accepted(self) -> bool:
        """Whether the CSMS has accepted the station since its host began."""
        return self.observer.boots > 0

    async def play(self, elapsed_s: float) -> None:
        """Play this station's part of the plan from `elapsed_s` simulated seconds after its begin.

        Returns when all vehicles have left, every transaction has ended and every event is answered, but at the latest
        when the time that the plan allows for it is over.
        """
        begin_s = self._world.clock.monotonic() - elapsed_s
        end_s = begin_s + self._plan.fleet.duration_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                async with asyncio.TaskGroup() as group:
                    for evse_id in self._world.boards:
                        arrivals = schedule.arrivals(self._plan, self.number, evse_id, self._contracts)
                        group.create_task(self._drivers(evse_id).play(arrivals, begin_s, end_s))
                    group.create_task(self._play_house_loads(begin_s))
                    group.create_task(self._play_disturbances(begin_s))
                    group.create_task(self._begin_misbehaviour(begin_s))
                    group.create_task(self._set_deadline(limit, end_s))
                while not await self._is_drained():  # noqa: ASYNC110 - depends on many things at once
                    await asyncio.sleep(_DRAIN_CHECK_S)

    async def _set_deadline(self, limit: asyncio.Timeout, end_s: float) -> None:
        """Wait until the end of the plan, then set the time that is left for the vehicles and events."""
        await wait_until(self._world.clock, end_s, self._leaving)
        limit.reschedule(asyncio.get_running_loop().time() + self._plan.fleet.drain_s)

    def _drivers(self, evse_id: int) -> Drivers:
        return Drivers(
            _DrivenEvse(self._world, evse_id, self._reader_of(evse_id), lambda: self._evses),
            card_after_s=self._plan.arrivals.card_after_s,
            leave=self._plan.arrivals.leave,
            leaving=self._leaving,
            plugged_in=self._count_arrival,
        )

    def drop_connection(self) -> None:
        """Abort the connection to the CSMS, if there is one; the station reconnects by its back-off."""
        if (link := self._link) is not None and link.connected:
            link.drop_connection()

    def report(self) -> StationReport:
        """Report on the station at this moment."""
        return StationReport(
            self.number,
            self.runtime.identity,
            self._present_state(),
            boots=self.observer.boots,
            arrivals=self._arrivals,
            started=self._transactions[EventType.STARTED],
            ended=self._transactions[EventType.ENDED],
            waiting_events=self._outbox.waiting if self._outbox is not None else 0,
            power_w=sum(sum(board.currents_a) for board in self._world.boards.values()) * NOMINAL_VOLTAGE_V,
            register_wh=sum(board.counted_wh for board in self._world.boards.values()),
            misbehaviour=self._world.misbehaviour.count,
            resumed=self._resumed,
            failure=None if self.accepted else self._why_not_accepted(),
        )

    def _why_not_accepted(self) -> str | None:
        """Why the CSMS has not accepted the station, as far as it knows."""
        link, csms = self._link, self.runtime.configuration.csms
        if link is None or csms is None:
            return None
        waiting_s = asyncio.get_running_loop().time() - self.start_s
        if link.last_error is None and not link.connected and waiting_s > _SILENCE_S:
            return f"no answer yet from the CSMS at {csms.url}"
        return link.last_error

    def last_report(self, before: StationReport, host_failure: str | None) -> StationReport:
        """Report on the stopped station: `before`, with the meters and bills that its storage contains now."""
        failure = before.failure if host_failure is None else host_failure
        register_wh, bills, unfinished = before.register_wh, dict[str, float](), 0
        try:
            register_wh = sum(
                _counted_wh(self._storage / f"simulated-meter-{evse_id}.register") for evse_id in self._world.boards
            )
            answered = read_answered_bills(self._storage)
            bills, unfinished = answered.bills, answered.unfinished
        except (RegisterError, sqlite3.Error) as error:
            failure = f"its storage cannot be read: {error}"
        return StationReport(
            before.number,
            before.identity,
            StationState.STOPPED if failure is None or not before.boots else StationState.FAILED,
            boots=before.boots,
            arrivals=before.arrivals,
            started=before.started,
            ended=before.ended,
            waiting_events=before.waiting_events,
            register_wh=register_wh,
            misbehaviour=before.misbehaviour,
            bills=bills,
            unfinished=unfinished,
            resumed=before.resumed,
            failure=failure,
        )

    @property
    def _link(self) -> CsmsLink | None:
        return self.runtime.link

    def _present_state(self) -> StationState:
        if self.runtime.stopping and not self.runtime.running:
            return StationState.STOPPED
        if self._state is not StationState.STARTING or not self.runtime.running:
            return self._state
        link = self._link
        if link is None or link.boot_status != _BOOT_ACCEPTED:
            return StationState.STARTING
        return StationState.ONLINE if link.connected else StationState.OFFLINE

    async def _is_drained(self) -> bool:
        if self._state is StationState.WAITING and self._leaving.is_set():
            return True  # a stopped fleet does not wait for its turn in the ramp
        outbox, evses = self._outbox, self._evses.values()
        if (
            outbox is None
            or outbox.waiting
            or any(evse.state.transaction is not None or evse.count_unrecorded(None) for evse in evses)
            or any(board.vehicle is not None for board in self._world.boards.values())
        ):
            return False
        try:  # after a start, the transactions that it interrupted are ended beside everything else
            return not await outbox.open_transactions() and not outbox.waiting
        except StorageError:
            return False  # its power was cut meanwhile

    def _reader_of(self, evse_id: int) -> str:
        """The name of a simulated reader that serves an EVSE."""
        for reader in self.runtime.configuration.reader:
            if isinstance(reader, SimulatedReaderConfig) and reader.evse in (None, evse_id):
                return reader.name
        raise LookupError(f"EVSE {evse_id} has no simulated reader")  # the plan adds one to each template

    def _count_arrival(self) -> None:
        self._arrivals += 1

    def _use_run(self, runtime: StationRuntime) -> None:
        """Use the parts of a run that has just started, after a boot or a power cut."""
        self._state = StationState.STARTING
        self._evses = dict(runtime.parts.get(ChargingStation).evses)
        self._outbox = runtime.parts.get(Outbox)
        runtime.auxiliary.subscribe(self._outbox.appended, self._count_event)

    def _count_event(self, event: TransactionEvent) -> None:
        self._transactions[event.event_type] += 1

    async def _play_house_loads(self, begin_s: float) -> None:
        if not self._world.has_grid:
            return
        for loads in schedule.house_loads(self._plan, self.number):
            await wait_until(self._world.clock, begin_s + loads.at_s, self._leaving)
            if self._leaving.is_set():
                return
            self._world.house.set_currents(loads.currents_a)

    async def _play_disturbances(self, begin_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for disturbance in schedule.station_disturbances(self._plan, self.number):
                if begin_s + disturbance.at_s >= self._world.clock.monotonic():
                    group.create_task(self._play_disturbance(disturbance, begin_s))

    async def _begin_misbehaviour(self, begin_s: float) -> None:
        for table in schedule.station_misbehaviour(self._plan, self.number):
            await wait_until(self._world.clock, begin_s + table.at_s, self._leaving)
            if self._leaving.is_set():
                return
            with contextlib.suppress(ValueError):  # the page of the fleet has given too many already
                self._world.misbehaviour.add(table.rule)

    async def _play_disturbance(self, cut: schedule.StationDisturbance, begin_s: float) -> None:
        """Cut the link or the power for a while."""
        await wait_until(self._world.clock, begin_s + cut.at_s, self._leaving)
        if self._leaving.is_set() or not self.runtime.running:
            return
        if cut.type == "power-cut":
            await self._cut_power(begin_s + cut.at_s + cut.lasts_s)
        elif (link := self._link) is not None:
            link.cut_network()
            await wait_until(self._world.clock, begin_s + cut.at_s + cut.lasts_s, self._leaving)
            link.restore_network()

    async def _cut_power(self, until_s: float) -> None:
        self._state, self._evses, self._outbox = StationState.POWERLESS, {}, None
        await self.runtime.cut_power()
        self.observer.note_power_cut()
        await wait_until(self._world.clock, until_s, self._leaving)
        await self.runtime.restore_power()


class _DrivenEvse:
    """An EVSE as its drivers see it (`EvseForDrivers`)."""

    def __init__(self, world: World, evse_id: int, reader: str, evses: Callable[[], dict[int, Evse]]) -> None:
        self._world = world
        self._evse_id = evse_id
        self._reader = reader
        self._evses = evses

    @property
    def board(self) -> SimulatedBoard:
        """Its simulated board."""
        return self._world.boards[self._evse_id]

    @property
    def clock(self) -> Clock:
        """The clock of the station."""
        return self._world.clock

    @property
    def in_use(self) -> bool | None:
        """Whether it is authorized or has an authorized transaction; None while the station is off."""
        evse = self._evses().get(self._evse_id)
        return None if evse is None else evse.state.authorization is not None

    def present_card(self, uid: str, /) -> None:
        """Present a card at its reader."""
        self._world.readers[self._reader].present_card(uid)


def _counted_wh(path: Path) -> float:
    """What a meter that nobody uses has counted."""
    register = EnergyRegister(path)
    try:
        return register.counted_wh
    finally:
        register.close()
