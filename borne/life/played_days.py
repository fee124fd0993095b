"""Starts a station at its CSMS, plays the days of a plan, and compares the bills at the end."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.life.checking_csms import CheckingCsms, free_socket, serving, url_of
from borne.life.foreign_csms import ForeignCsms
from borne.life.invariants import InvariantError
from borne.life.life_plan import LifeFailedError, LifeFigures, LifePlan
from borne.life.life_run import LifeRun
from borne.life.station_watch import SUBSCRIBED_VA
from foundation.event_loop import StationLoop
from simulator.scenarios.controlled_csms import HttpCsmsControl
from station.configuration.installation_file import Configuration

if TYPE_CHECKING:
    import socket

    from borne.host_process import HostProcess
    from borne.life.life_csms import LifeCsms
    from simulator.world import World

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_FAULTS_SHOWN: Final = 5


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
