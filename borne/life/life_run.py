"""Plays many days of a station on the virtual clock, and checks it throughout (`borne life`).

Drivers, loads of the house, power cuts, failures of network, CSMS, meters and disk, charging profiles, firmware updates
and clock errors follow from a seed. The events of a day depend on seed and number of the day only, so the first day
that fails is the shortest prefix that does.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from borne.life.checking_csms import CheckingCsms
from borne.life.invariants import InvariantError
from borne.life.station_watch import StationWatch
from metering.reading import Phases
from simulator.scenarios.under_test import CsmsError
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.core.model import IdToken
from station.storage.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from borne.host_process import HostProcess
    from borne.life.life_csms import LifeCsms
    from borne.life.life_plan import LifePlan
    from simulator.world import World

_CARD: Final = IdToken("04A3B2C1D5E680", "ISO14443")
_MAX_WAITING_EVENTS: Final = 2_000
"""events that a day without CSMS leaves in the queue at most"""
_TOLERANCE_WH: Final = 0.01
"""rounding of a register in an event"""
_DRAIN_TIMEOUT_S: Final = 7200.0
_START_TIMEOUT_S: Final = 120.0
_ACCEPTANCE_STEPS: Final = 200
"""looks at the registration status, a second of the station's clock apart"""
_REAL_STEP_S: Final = 0.05
"""real seconds between them, for a CSMS that is far away"""


_EventOfDay = Callable[[], Awaitable[None]]


class LifeRun:
    """One station, its driver, house and CSMS; made by `started_life` (played_days.py)."""

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
