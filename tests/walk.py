"""A whole station in this process on a virtual clock, connected to a test CSMS by a real websocket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.host_process import HostProcess
from borne.station_runtime import StationRuntime
from ocpp_handlers.stack import OcppStack
from ocpp_handlers.variables.device_model import DeviceModel
from simulator.board import SimulatedBoard
from simulator.register import EnergyRegister
from simulator.vehicle import VehicleModel
from simulator.world import World
from station.charging.evse import Evse
from station.charging.tokens.admission import TokenOutcome
from station.configuration.installation_file import Configuration
from station.core.invalid_messages import InvalidMessageCount, InvalidMessageCounts
from station.core.model import IdToken
from station.interfaces.http.server import WebServer
from station.security.network_profile import OFFERED_VERSIONS
from tests.csms import Csms, running_csms
from tests.running_parts import RunningParts

CARD = IdToken("04A3B2C1D5E680", "ISO14443")
OTHER_CARD = IdToken("04FFFFFFFFFF80", "ISO14443")
_REAL_TIME_LIMIT_S = 20.0
"""real seconds"""


class Walk:
    """Drives a station in a test: actions of a driver and a CSMS, and the passing of time."""

    def __init__(self, process: HostProcess, csms: Csms) -> None:
        self.process = process
        self.csms = csms
        self.contained_errors = 0
        """how many errors of auxiliary parts the test provokes"""
        self.invalid_messages: list[InvalidMessageCount] = []
        """the invalid messages of the station that the test provokes"""

    @property
    def application(self) -> StationRuntime:
        """The station in that process."""
        return self.process.station

    @property
    def web(self) -> WebServer:
        """The web server of page and API."""
        return self.process.web

    @property
    def parts(self) -> RunningParts:
        """The parts of the running station."""
        assert self.application.running, "the station has no power"
        return RunningParts(self.application.parts)

    @property
    def evse(self) -> Evse:
        """The first EVSE."""
        return self.parts.station.evses[1]

    @property
    def world(self) -> World:
        """The simulated world of the station."""
        return world_of(self.application.hardware)

    @property
    def board(self) -> SimulatedBoard:
        """The board of the first EVSE."""
        return self.world.boards[1]

    @property
    def stack(self) -> OcppStack:
        """The OCPP stack of the station."""
        assert isinstance(self.parts.link, OcppStack)
        return self.parts.link

    @property
    def device_model(self) -> DeviceModel:
        """The device model of the station."""
        assert isinstance(self.parts.variables, DeviceModel)
        return self.parts.variables

    async def advance(self, seconds: float) -> None:
        """Advance the virtual time."""
        await self.world.clock.advance(seconds)

    async def until(self, condition: Callable[[], object], *, within_s: float = 60.0, step_s: float = 0.5) -> None:
        """Advance the virtual time until a condition is true; fails if it is not after `within_s`.

        Virtual time does not wait for the threads of a busy machine: at the end, the condition is also awaited in real
        time, while the virtual clock stands.
        """
        waited_s, deadline_s = 0.0, None
        while True:
            try:
                if condition():
                    return
            except AssertionError:
                if deadline_s is not None and time.monotonic() >= deadline_s:
                    raise
            if waited_s < within_s:
                await self.advance(step_s)
                waited_s += step_s
            elif deadline_s is None:
                deadline_s = time.monotonic() + _REAL_TIME_LIMIT_S
            assert deadline_s is None or time.monotonic() < deadline_s, f"not true within {within_s} s"
            await asyncio.sleep(0.001)

    async def settle(self) -> None:
        """Let the station finish its work at this moment."""
        for _ in range(3):
            await self.world.clock.settle()
            await asyncio.sleep(0.001)

    async def accepted(self) -> None:
        """Wait until the CSMS has accepted the station and knows all statuses."""
        await self.until(lambda: self.csms.received("StatusNotification"))
        await self.settle()

    async def present(self, card: IdToken = CARD) -> TokenOutcome:
        """Present a card to the reader; returns the outcome."""
        outcome = self.parts.station.present_token(card, 1)
        await self.until(outcome.done)
        return outcome.result()

    async def plug(self, **model: Any) -> None:
        """Plug a vehicle in."""
        self.board.plug(VehicleModel(**model))
        await self.settle()

    async def unplug(self, *, ev_side: bool = False) -> None:
        """Unplug the vehicle."""
        self.board.unplug(keep_cable=ev_side)
        await self.settle()

    async def charging(self) -> None:
        """Wait until energy flows."""
        await self.until(lambda: sum(self.board.currents_a) > 0)

    async def set_variable(self, component: str, name: str, value: str, instance: str | None = None) -> None:
        """Set a variable as the CSMS does; it must be accepted."""
        variable: dict[str, str] = {"name": name}
        if instance is not None:
            variable["instance"] = instance
        item = {"component": {"name": component}, "variable": variable, "attributeValue": value}
        answer = await self.csms.call("SetVariables", {"setVariableData": [item]})
        assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted", answer

    def events(self) -> list[dict[str, Any]]:
        """All transaction events that the CSMS has received."""
        return self.csms.received("TransactionEvent")

    def types_and_triggers(self) -> list[tuple[str, str]]:
        """Type and trigger of all received transaction events."""
        return [(event["eventType"], event["triggerReason"]) for event in self.events()]


def configuration(storage: Path, csms_url: str | None, **tables: Any) -> Configuration:
    """A configuration for tests: virtual time, free port."""
    tree: dict[str, Any] = {
        "station": {"identity": "BORNE-TEST", "storage": str(storage), "serial_number": "0001"},
        "http": {"port": 0},
        "simulation": {"rate": 0.0},
    }
    if csms_url is not None:
        tree["csms"] = {"url": csms_url}
    for name, table in tables.items():
        tree[name] = {**tree.get(name, {}), **table} if isinstance(table, dict) else table
    return Configuration.from_tree(tree)


def mid_month() -> datetime:
    """The middle of the present month: what begins then also ends in this month."""
    return datetime.now(UTC).replace(day=15, hour=12, minute=0, second=0, microsecond=0)


def install_new_meter(storage: Path, evse_id: int = 1) -> None:
    """Put a register at 0 into a storage that has none, so that a test can count from there."""
    EnergyRegister(storage / f"simulated-meter-{evse_id}.register", folder_locked=True).close()


@contextlib.asynccontextmanager
async def powered(config: Configuration, csms: Csms, *, at: datetime | None = None) -> AsyncGenerator[Walk]:
    """Run a station in this process; its clock starts at the present time, or at `at`. New meters begin at 0."""
    for evse in config.evse:
        install_new_meter(Path(config.station.storage), evse.id)
    process = host_process(config)
    application = process.station
    if at is not None:
        application.clock.adjust(at - application.clock.now())
    csms.now = application.clock.now
    running = asyncio.create_task(process.run(), name="application")
    try:
        started = asyncio.create_task(application.wait_until_started(), name="start")
        await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if running.done():
            running.result()
        yield (walk := Walk(process, csms))
    finally:
        counts = application.parts.find(InvalidMessageCounts) if application.running else None
        process.stop()
        halting = asyncio.create_task(_let_time_pass(application), name="time")
        await running
        halting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await halting
    assert application.auxiliary.error_count == walk.contained_errors, "the log has the tracebacks"
    assert counts is None or list(counts.counts()) == walk.invalid_messages, "the log has their faults"


async def _let_time_pass(application: StationRuntime) -> None:
    clock = world_of(application.hardware).clock
    while True:
        await clock.advance(0.5)
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def walking(
    storage: Path, csms: Csms | None = None, at: datetime | None = None, /, **tables: Any
) -> AsyncGenerator[Walk]:
    """Run a station with its CSMS, as `powered`; check at the end that all messages fitted their schemas.

    The station also offers the edition of the CSMS, so that the two speak it.
    """
    if csms is not None and csms.edition.name not in OFFERED_VERSIONS:
        tables["csms"] = {"versions": [csms.edition.name, *OFFERED_VERSIONS], **tables.get("csms", {})}
    async with (
        running_csms(csms) as served,
        powered(configuration(storage, served.url, **tables), served, at=at) as walk,
    ):
        yield walk
    assert served.schema_faults == []
