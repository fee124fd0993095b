"""Plays many days of a station on the virtual clock, and checks it throughout (`borne life`).

Drivers, loads of the house, power cuts, failures of network, CSMS, meters and disk, charging profiles, firmware updates
and clock errors follow from a seed. The events of a day depend on seed and number of the day only, so the first day
that fails is the shortest prefix that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import httpx

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.life.checking_csms import CheckingCsms, free_socket, serving, url_of
from borne.life.foreign_csms import ForeignCsms
from borne.life.invariants import InvariantError
from borne.life.station_watch import SUBSCRIBED_VA, StationWatch
from foundation.event_loop import StationLoop
from foundation.frozen import Frozen
from metering.reading import Phases
from simulator.scenarios.controlled_csms import HttpCsmsControl
from simulator.scenarios.under_test import CsmsError
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.model import IdToken
from station.storage.outbox import Outbox

if TYPE_CHECKING:
    import socket

    from borne.host_process import HostProcess
    from borne.life.life_csms import LifeCsms
    from simulator.world import World

_IDENTITY: Final = "LIFE-1"
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CARD: Final = IdToken("04A3B2C1D5E680", "ISO14443")
_MAX_WAITING_EVENTS: Final = 2_000
"""events that a day without CSMS leaves in the queue at most"""
_TOLERANCE_WH: Final = 0.01
"""rounding of a register in an event"""
_DRAIN_TIMEOUT_S: Final = 7200.0
_START_TIMEOUT_S: Final = 120.0
_FAULTS_SHOWN: Final = 5
_ACCEPTANCE_STEPS: Final = 200
"""looks at the registration status, a second of the station's clock apart"""
_REAL_STEP_S: Final = 0.05
"""real seconds between them, for a CSMS that is far away"""


class LifePlan(Frozen):
    """What is played: number of days, seed, house, and length of a day."""

    days: int
    seed: int = 0
    linky: bool = False
    """a house with a Linky, whose current the station shares"""
    day_hours: float = 24.0
    """length of a day; its events keep their share of it, so that a short day has as many"""
    identity: str = _IDENTITY
    """identity of the station"""
    csms_url: str | None = None
    """URL of the CSMS without identity; None: one that checks each event"""
    csms_api: str | None = None
    """URL of the adapter that tells this CSMS what to send, and reads its bills; None: nobody can"""
    password: str | None = None
    """password of the station at this CSMS"""


class LifeFigures(Frozen):
    """Result of the days: their CPU time and counts of transactions."""

    days: int
    cpu_s: float
    """CPU time of the process, with its CSMS"""
    transactions: int | None = None
    """transactions whose bills were compared; None: nobody could read the bills of the CSMS"""
    unbilled: int = 0
    """transactions without a register at begin or end, because the meter was silent"""
    billed_wh: float = 0.0
    refused_orders: int = 0
    """requests that the adapter of another CSMS has not let it send"""

    @property
    def cpu_s_per_day(self) -> float:
        """CPU time of one day."""
        return self.cpu_s / self.days


class LifeFailedError(Exception):
    """An invariant did not hold; `day` is the shortest prefix of days that fails."""

    def __init__(self, plan: LifePlan, day: int, reason: str, *, at_end: bool = False) -> None:
        options = {
            "--linky": plan.linky,
            f"--hours {plan.day_hours:g}": plan.day_hours != 24.0,
            f"--identity {plan.identity}": plan.identity != _IDENTITY,
            f"--csms {plan.csms_url}": plan.csms_url is not None,
            f"--csms-api {plan.csms_api}": plan.csms_api is not None,
            "--password …": plan.password is not None,
        }
        more = "".join(f" {option}" for option, given in options.items() if given)
        when = f"after {day} days" if at_end else f"day {day} fails"
        super().__init__(f"{when}: {reason}\nto repeat: borne life --days {day} --seed {plan.seed}{more}")
        self.day = day


_EventOfDay = Callable[[], Awaitable[None]]


class LifeRun:
    """One station, its driver, house and CSMS; made by `started_life`."""

    def __init__(self, plan: LifePlan, world: World, process: HostProcess, csms: LifeCsms, storage: Path) -> None:
        self._plan = plan
        self.world = world
        """the simulated hardware of the station, with vehicle and house"""
        self._runtime = process.station
        self.csms = csms
        """the CSMS of the station, with what it has received"""
        self._storage = storage
        self._clock = world.clock
        self._day_s = plan.day_hours * 3600.0
        self._began_s = world.clock.monotonic()
        self._watch = StationWatch(self._runtime, world)
        self._counted_before_wh = self._register_wh
        self._unbilled_before = 0
        self._random = Random()
        self._csms_away_until_s = 0.0

    @property
    def _register_wh(self) -> float:
        return self.world.boards[1].read_meter().energy_import_wh or 0.0

    # Days

    async def play_day(self, day: int) -> None:
        """Play one day, counted from 1, and check the station at its end.

        Raises:
            InvariantError: an invariant does not hold.
        """
        self._random = Random(f"{self._plan.seed}/{day}")
        begins_s = self._began_s + (day - 1) * self._day_s
        for share, action in sorted(self._events_of_day(), key=lambda scheduled: scheduled[0]):
            await self._advance_to(begins_s + share * self._day_s)
            await self._wait_running()
            await action()
            self._check()
        await self._advance_to(begins_s + self._day_s)
        await self._wait_running()
        await self._check_day(day)

    def _events_of_day(self) -> list[tuple[float, _EventOfDay]]:
        """The events of a day: when, as a share of it, and what."""
        random = self._random
        arrives = random.uniform(0.2, 0.7)
        leaves = arrives + random.uniform(0.1, 0.25)
        script: list[tuple[float, _EventOfDay]] = [(arrives, self._arrive), (leaves, self._leave)]
        script += [(random.random(), self._change_house) for _ in range(12 if self._plan.linky else 0)]
        troubles: tuple[tuple[float, _EventOfDay], ...] = (
            (0.2, self._cut_power),
            (0.4, self._cut_link),
            (0.3, self._restart_csms),
            (0.3, self._silence_meter),
            (0.3, self._silence_grid_meter),
            (0.15, self._fill_disk),
            (0.2, self._update_firmware),
            (0.5, self._push_profile),
            (0.2, self._shift_clock),
            (0.1, self._reset),
        )
        for chance, trouble in troubles:
            # Most of them while the vehicle is there.
            at = random.uniform(arrives, leaves) if random.random() < 0.7 else random.random()
            if random.random() < chance:
                script.append((at, trouble))
        return script

    async def _advance_to(self, at_s: float) -> None:
        """Let the time pass; a CSMS that is away comes back meanwhile."""
        if self._csms_away_until_s and self._csms_away_until_s <= at_s:
            await self._clock.advance(max(0.0, self._csms_away_until_s - self._clock.monotonic()))
            self._csms_away_until_s = 0.0
            self.csms.come_back()
        await self._clock.advance(max(0.0, at_s - self._clock.monotonic()))

    async def _wait(self, low_s: float, high_s: float) -> None:
        await self._clock.advance(self._random.uniform(low_s, high_s))

    async def _wait_running(self) -> None:
        """Wait until the station runs: it may restart after a reset."""
        given_up_s = self._clock.monotonic() + _START_TIMEOUT_S
        while not self._runtime.running:
            if self._clock.monotonic() > given_up_s:
                raise InvariantError("the station does not start again")
            await self._clock.advance(0.5)
            await asyncio.sleep(0.01)

    async def wait_accepted(self) -> None:
        """Wait until the CSMS has accepted the station.

        Raises:
            CsmsError: it has not.
        """
        for _ in range(_ACCEPTANCE_STEPS):
            link = self._runtime.link
            if link is not None and link.boot_status == "Accepted":
                return
            await self._clock.advance(1.0)
            await asyncio.sleep(_REAL_STEP_S)
        link = self._runtime.link
        reason = (link.last_error if link is not None else None) or "no answer to its BootNotification"
        raise CsmsError(f"--csms {self._plan.csms_url or ''}: does not accept the station: {reason}")

    # The driver and the house

    async def _arrive(self) -> None:
        random, board = self._random, self.world.boards[1]
        if board.vehicle is not None:
            return
        model = VehicleModel(
            max_current_a=random.choice((10.0, 16.0, 32.0)),
            phases=1 if self._plan.linky else random.choice((1, 3)),
            battery_wh=random.choice((20_000.0, 50_000.0, 77_000.0)),
            soc=random.uniform(0.1, 0.7),
            reaction_s=random.uniform(0.2, 4.0),
        )
        card_first = random.random() < 0.3
        if card_first:
            self._present_card()
            await self._wait(1, 30)
        board.plug(model)
        if not card_first:
            await self._wait(1, 60)
            self._present_card()
        await self._wait(2, 10)

    async def _leave(self) -> None:
        board = self.world.boards[1]
        if board.vehicle is None:
            return
        for _ in range(20):
            await self._wait_running()
            if self._has_authorization:
                self._present_card()
            await self._wait(5, 15)
            if not board.locked:
                board.unplug()
                await self._wait(1, 5)
                return
        raise InvariantError("the cable stays locked, and the driver cannot leave")

    @property
    def _has_authorization(self) -> bool:
        return self._runtime.parts.get(ChargingStation).evses[1].state.authorization is not None

    def _present_card(self) -> None:
        self._runtime.parts.get(ChargingStation).present_token(_CARD, 1)

    async def _change_house(self) -> None:
        self.world.house.set_currents(Phases(self._random.choice((1.0, 4.0, 12.0, 20.0, 28.0, 34.0)), 0.0, 0.0))

    # Troubles

    async def _cut_power(self) -> None:
        await self._runtime.cut_power()
        await self._wait(1, 600)
        await self._runtime.restore_power()
        await self._wait(1, 60)

    async def _cut_link(self) -> None:
        self.csms.leave()
        self._csms_away_until_s = self._clock.monotonic() + self._random.uniform(0.002, 0.3) * self._day_s

    async def _restart_csms(self) -> None:
        self.csms.restart()
        await self._wait(0, 5)

    async def _silence_meter(self) -> None:
        self.world.fail_meter(1, True)
        await self._wait(1, 90)
        self.world.fail_meter(1, False)
        await self._wait(2, 20)

    async def _silence_grid_meter(self) -> None:
        if self.world.disturb_grid_meter(silence=True, noise=None):
            await self._wait(2, 900)
            self.world.disturb_grid_meter(silence=False, noise=None)

    async def _fill_disk(self) -> None:
        """Let no file of this process grow for a while."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            await self._wait(1, 300)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await self._wait(1, 30)

    async def _update_firmware(self) -> None:
        """Order an update whose image is not there."""
        firmware = {"location": "http://127.0.0.1:9/image", "retrieveDateTime": "2020-01-01T00:00:00Z"}
        request = {"requestId": self._random.randrange(2**30), "retries": 1, "retryInterval": 30, "firmware": firmware}
        await self.csms.ask("UpdateFirmware", request)
        await self._wait(1, 60)

    async def _push_profile(self) -> None:
        random = self._random
        purpose = random.choice(("TxDefaultProfile", "ChargingStationMaxProfile"))
        periods = [
            {"startPeriod": 0, "limit": random.choice((0.0, 6.0, 10.0, 16.0))},
            {"startPeriod": 600, "limit": 13.0},
        ]
        schedule = {
            "id": 1,
            "chargingRateUnit": "A",
            "startSchedule": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration": int(0.1 * self._day_s),
            "chargingSchedulePeriod": periods,
        }
        profile = {
            "id": random.randrange(1, 4),
            "stackLevel": random.randrange(3),
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        await self.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        if random.random() < 0.3:
            await self._wait(1, 100)
            await self.csms.ask("ClearChargingProfile", {"chargingProfileId": profile["id"]})

    async def _shift_clock(self) -> None:
        """The station's clock jumps; the next Heartbeat of the CSMS that checks each event corrects it."""
        self._clock.adjust(timedelta(seconds=self._random.choice((-1, 1)) * self._random.uniform(1, 5000)))

    async def _reset(self) -> None:
        await self.csms.ask("Reset", {"type": self._random.choice(("Immediate", "OnIdle"))})
        await self._wait(30, 90)

    # Checks

    def _check(self) -> None:
        self._watch.check()
        if self.csms.faults:
            raise InvariantError("; ".join(self.csms.faults[:3]))

    async def _check_day(self, day: int) -> None:
        """Let the CSMS receive everything, and compare its bills with the register."""
        self.csms.come_back()
        self._csms_away_until_s = 0.0
        outbox = self._runtime.parts.get(Outbox)
        if (waiting := await outbox.count_waiting()) > _MAX_WAITING_EVENTS:
            raise InvariantError(f"{waiting} events wait for the CSMS")
        self._watch.check_growth(self._storage, settled=day >= 3)
        self._check()
        if self.world.boards[1].vehicle is not None:
            return
        until_s = self._clock.monotonic() + _DRAIN_TIMEOUT_S
        while (await outbox.count_waiting() or self.csms.running) and self._clock.monotonic() < until_s:
            await self._clock.advance(10.0)
        self._check()
        if waiting := await outbox.count_waiting():
            raise InvariantError(f"{waiting} events still wait for the CSMS")
        if self.csms.running:
            raise InvariantError(f"transactions do not end at the CSMS: {self.csms.running}")
        if isinstance(self.csms, CheckingCsms):
            self._check_balance(self.csms)

    def _check_balance(self, csms: CheckingCsms) -> None:
        """Compare the bills so far with what the register has counted."""
        tolerance_wh = _TOLERANCE_WH * (1 + csms.ended)
        if csms.unbilled != self._unbilled_before:  # nobody knows their energy: the balance restarts
            self._unbilled_before = csms.unbilled
            self._counted_before_wh = self._register_wh - csms.billed_wh
        counted_wh = self._register_wh - self._counted_before_wh
        if abs(csms.billed_wh - counted_wh) > tolerance_wh:
            raise InvariantError(f"{csms.billed_wh:.3f} Wh are billed, the register has counted {counted_wh:.3f} Wh")


def _configuration(plan: LifePlan, storage: Path, url: str) -> Configuration:
    simulation: dict[str, object] = {"rate": 0.0, "follow_csms_time": plan.csms_url is None, "seed": plan.seed}
    csms: dict[str, object] = {"url": url}
    if plan.password is not None:
        csms["password"] = plan.password
    tables: dict[str, object] = {
        "station": {"identity": plan.identity, "storage": str(storage)},
        "csms": csms,
        "http": {"port": 0},
        "simulation": simulation,
    }
    if plan.linky:
        tables["evse"] = [{"id": 1, "phases": 1}]
        tables["grid"] = {"phases": 1, "source": {"type": "linky", "device": "simulated"}}
        simulation["linky"] = {"mode": "historique", "phases": 1, "subscribed_va": SUBSCRIBED_VA}
    return Configuration.from_tree(tables)


@contextlib.asynccontextmanager
async def started_life(plan: LifePlan, storage: Path) -> AsyncGenerator[LifeRun]:
    """Run a station on an empty storage directory, at its CSMS, whose days can be played one after the other.

    Raises:
        CsmsError: the CSMS does not accept the station, or its adapter does not answer.
        StartError: the storage cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        listening = stack.enter_context(free_socket())
        process = host_process(_configuration(plan, storage, plan.csms_url or url_of(listening)))
        world = world_of(process.station.hardware)
        csms = await stack.enter_async_context(_csms(plan, process, world, listening))
        run = LifeRun(plan, world, process, csms, storage)
        running = asyncio.get_running_loop().create_task(process.run_with_gc_control())
        try:
            await process.station.wait_until_started()
            await run.wait_accepted()
            if isinstance(csms, ForeignCsms):
                await csms.check_adapter()
            yield run
        finally:
            csms.come_back()
            process.stop()
            while not running.done():
                await world.clock.advance(0.5)
                await asyncio.sleep(0.001)
            await running


@contextlib.asynccontextmanager
async def _csms(
    plan: LifePlan, process: HostProcess, world: World, listening: socket.socket
) -> AsyncGenerator[LifeCsms]:
    """The CSMS of a plan: one that checks each event, served at the socket, or the one at the plan's URL."""
    if plan.csms_url is None:
        world.clock.adjust(_START - world.clock.now())
        csms = CheckingCsms(lambda: _START + timedelta(seconds=world.clock.monotonic()))
        async with serving(csms, listening):
            yield csms
    elif plan.csms_api is None:
        yield ForeignCsms(process.station, world.clock, None)
    else:
        async with httpx.AsyncClient(base_url=plan.csms_api.rstrip("/"), trust_env=False) as client:
            yield ForeignCsms(process.station, world.clock, HttpCsmsControl(client))


async def play_days(plan: LifePlan, storage: Path, report: Callable[[int], None]) -> LifeFigures:
    """Play the days of a plan on an empty storage directory; `report` is called after each day.

    Raises:
        LifeFailedError: something that must hold did not.
        CsmsError: the CSMS does not accept the station, or its adapter does not answer.
        StartError: the storage cannot be used.
    """
    began_s = time.process_time()
    async with started_life(plan, storage) as run:
        for day in range(1, plan.days + 1):
            try:
                await run.play_day(day)
            except InvariantError as error:
                raise LifeFailedError(plan, day, str(error)) from error
            report(day)
        csms, cpu_s = run.csms, time.process_time() - began_s
        if isinstance(csms, CheckingCsms):
            return LifeFigures(plan.days, cpu_s, csms.ended, csms.unbilled, csms.billed_wh)
        return await _compared(plan, csms, cpu_s)


async def _compared(plan: LifePlan, csms: LifeCsms, cpu_s: float) -> LifeFigures:
    """Compare the bills of another CSMS, if it has an adapter.

    Raises:
        LifeFailedError: a bill is missing or wrong.
    """
    try:
        bills = await csms.compare_bills() if isinstance(csms, ForeignCsms) else None
    except InvariantError as error:
        raise LifeFailedError(plan, plan.days, str(error), at_end=True) from error
    refused = csms.refused_orders if isinstance(csms, ForeignCsms) else 0
    if bills is None:
        return LifeFigures(plan.days, cpu_s)
    if bills.faults:
        raise LifeFailedError(plan, plan.days, "; ".join(bills.faults[:_FAULTS_SHOWN]), at_end=True)
    return LifeFigures(plan.days, cpu_s, bills.compared, bills.without_energy, bills.billed_wh, refused)


def play(plan: LifePlan, report: Callable[[int], None]) -> LifeFigures:
    """Play the days of a plan in an event loop of its own and a temporary storage; as `play_days`."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=StationLoop) as runner:
        return runner.run(play_days(plan, Path(folder), report))
