"""Controllers with a communication time-out: it is set, kept alive and, when the program stops, opens the contactor.

Board and controller share a virtual clock; between them is a real connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from metering.drivers.bus_registry import BusRegistry
from simulator.clock import VirtualClock
from simulator.meter_server import TcpFraming, TcpMeterServer
from station.core.hardware.board import SAFE_OUTPUTS, BoardError, Observation, Outputs
from station.core.model import Fault, PilotState
from station.devices.modbus.board import KEEP_ALIVE_S, ModbusBoard
from station.devices.modbus.controllers import TIMEOUT_S
from station.devices.modbus.wiring import ModbusEvse
from tests import fakes
from tests.modbus_controllers.charx import SimulatedCharx, SimulatedCharxGroup
from tests.modbus_controllers.controller import ContactorChange, SimulatedController, SimulatedVehicle
from tests.modbus_controllers.heidelberg import SimulatedHeidelberg
from tests.modbus_controllers.models import DEVICES, wire_of

CHARGING = Outputs(pilot_a=16.9, contactor=True, lock=True)
CURRENTS = {"phoenix-charx": 301, "heidelberg-energy-control": 261, "bender-cc612": 1000}
FALLBACKS = {"phoenix-charx": 306, "heidelberg-energy-control": 262, "bender-cc612": 131}
TIMEOUTS = {"phoenix-charx": 307, "heidelberg-energy-control": 257, "bender-cc612": 132}


class Bench:
    """A board and its simulated controller."""

    def __init__(self, device: SimulatedController, board: ModbusBoard, clock: VirtualClock) -> None:
        self.device = device
        self.board = board
        self.clock = clock
        self.seen: list[Observation] = []
        self.errors: list[BoardError] = []
        self.changes: list[tuple[float, ContactorChange]] = []
        device.contactor_changed.subscribe(lambda change: self.changes.append((clock.monotonic(), change)))

    async def observe(self) -> None:
        """Task: collect the observations of the board, and its errors, after each of which it is read again."""
        while True:
            try:
                async for observation in self.board.observations():
                    self.seen.append(observation)
            except BoardError as error:
                self.errors.append(error)
                await self.clock.sleep(1.0)


@pytest.mark.parametrize("model", TIMEOUTS)
async def test_a_look_at_a_controller_writes_nothing_to_it(model: str) -> None:
    """As `borne check --here` and `borne board watch` do, perhaps beside another program."""
    clock = fakes.clock()
    device = DEVICES[model](clock)
    async with wire_of(device, clock) as server:
        tree = {"model": model, "timeout_s": 5.0, **server.address}
        board = ModbusBoard(ModbusEvse.from_tree(tree), clock, BusRegistry(), attached_cable=False)
        for _ in range(2):
            assert (await board.observe_once()).pilot is PilotState.A
            await clock.advance(KEEP_ALIVE_S)
        device.stop()
        assert device.writes == []


@contextlib.asynccontextmanager
async def wired(
    model: str, device: SimulatedController | None = None, **more: Any
) -> AsyncGenerator[tuple[Bench, asyncio.Task[None]]]:
    """A board whose controller is observed; the task is what a program that stops no longer does."""
    clock = fakes.clock()
    simulated = device if device is not None else DEVICES[model](clock)
    simulated.clock = clock
    async with wire_of(simulated, clock) as server:
        tree = {"model": model, "timeout_s": 5.0, **server.address}
        board = ModbusBoard(ModbusEvse.from_tree(tree), clock, BusRegistry(), attached_cable=False, **more)
        bench = Bench(simulated, board, clock)
        observing = asyncio.create_task(bench.observe())
        try:
            await clock.settle()
            yield bench, observing
        finally:
            observing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await observing
            with contextlib.suppress(BoardError):
                await board.close()
            simulated.stop()


async def stop(program: asyncio.Task[None]) -> None:
    """End the task that reads and writes, as a program that is killed ends: it writes nothing more."""
    program.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await program


@pytest.mark.parametrize("model", DEVICES)
async def test_the_timeout_and_its_current_are_written_before_any_current(model: str) -> None:
    async with wired(model) as (bench, _):
        await bench.board.apply(CHARGING)
        written = [address for address, _ in bench.device.writes]
        offered = next(
            position
            for position, (address, value) in enumerate(bench.device.writes)
            if address == CURRENTS[model] and value > 0
        )
        assert written.index(FALLBACKS[model]) < written.index(TIMEOUTS[model]) < offered
        assert bench.device.timeout_s == TIMEOUT_S
        assert bench.errors == []


@pytest.mark.parametrize("model", DEVICES)
async def test_a_program_that_runs_keeps_the_timeout_from_elapsing(model: str) -> None:
    async with wired(model) as (bench, _):
        await bench.board.apply(CHARGING)
        bench.device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(30 * TIMEOUT_S)
        assert bench.device.timeouts == 0
        assert bench.seen[-1].contactor_closed
        assert [change.closed for _, change in bench.changes] == [True]
        assert KEEP_ALIVE_S <= TIMEOUT_S / 4


@pytest.mark.parametrize("model", DEVICES)
async def test_the_contactor_opens_by_itself_when_the_program_stops(model: str) -> None:
    async with wired(model) as (bench, program):
        await bench.board.apply(CHARGING)
        bench.device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(7.0)
        assert bench.device.contactor_closed
        await stop(program)
        stopped_s = bench.clock.monotonic()
        await bench.clock.advance(TIMEOUT_S + 1.0)
        assert bench.device.timeouts == 1
        opened_s, change = bench.changes[-1]
        assert change == ContactorChange(False, "time-out")
        assert TIMEOUT_S - KEEP_ALIVE_S - 0.5 <= opened_s - stopped_s <= TIMEOUT_S


async def test_a_charx_that_only_lowers_the_current_offers_the_least() -> None:
    """The sources differ in what its time-out does; in this case 6 A remain."""
    device = SimulatedCharx(fakes.clock(), withdraws_release=False)
    async with wired("phoenix-charx", device) as (bench, program):
        await bench.board.apply(CHARGING)
        device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(5.0)
        assert device.draws_a == 16.0
        await stop(program)
        await bench.clock.advance(TIMEOUT_S)
        assert device.draws_a == 6.0


@pytest.mark.parametrize(("model", "register", "kept"), [(m, FALLBACKS[m], 16) for m in DEVICES] + [
    (m, TIMEOUTS[m], 300) for m in DEVICES
])  # fmt: skip
async def test_a_controller_that_keeps_another_value_gets_no_current(model: str, register: int, kept: int) -> None:
    async with wired(model) as (bench, _):
        bench.device.fixed_words[register] = kept
        await bench.clock.advance(KEEP_ALIVE_S + 1.0)
        address = register + 1000 if model == "phoenix-charx" else register
        assert bench.errors
        assert f"register {address} (" in str(bench.errors[-1])
        assert f") is {kept} and must be " in str(bench.errors[-1])
        with pytest.raises(BoardError, match=f"register {address} "):
            await bench.board.apply(CHARGING)
        bench.device.connect(SimulatedVehicle.WANTS_ENERGY)
        assert not bench.device.contactor_closed
        await bench.board.apply(SAFE_OUTPUTS)  # always possible
        bench.device.fixed_words.clear()
        await bench.clock.advance(2.0)
        await bench.board.apply(CHARGING)
        assert bench.device.contactor_closed


@pytest.mark.parametrize("model", DEVICES)
async def test_an_accepted_controller_without_these_registers_is_used_with_a_warning(
    model: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A box of an earlier firmware, and `i_accept_no_timeout = true`."""
    clock = fakes.clock()
    device = DEVICES[model](clock)
    device.missing_words = {TIMEOUTS[model], FALLBACKS[model]}
    async with wired(model, device, accepts_no_timeout=True) as (bench, _):
        await bench.board.apply(CHARGING)
        device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(5.0)
        assert device.contactor_closed
        assert bench.errors == []
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "board.i_accept_no_timeout is true" in warnings[0]


@pytest.mark.parametrize("model", DEVICES)
async def test_without_that_acceptance_it_is_not_used(model: str) -> None:
    device = DEVICES[model](fakes.clock())
    device.missing_words = {TIMEOUTS[model]}
    async with wired(model, device) as (bench, _):
        with pytest.raises(BoardError, match="illegal address"):
            await bench.board.apply(CHARGING)
        assert bench.seen == []


@pytest.mark.parametrize("model", DEVICES)
async def test_a_controller_that_was_without_power_gets_its_timeout_and_its_current_again(model: str) -> None:
    async with wired(model) as (bench, _):
        await bench.board.apply(CHARGING)
        bench.device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(5.0)
        bench.device.lose_power()
        await bench.clock.advance(KEEP_ALIVE_S + 1.0)
        assert bench.device.timeout_s == TIMEOUT_S
        assert bench.device.draws_a == 16.0 if model != "heidelberg-energy-control" else 16.9
        assert bench.errors == []


async def test_outputs_that_are_written_again_never_follow_newer_ones() -> None:
    """The charge ends while the permitted current is written again: the release is not given once more."""
    async with wired("phoenix-charx") as (bench, _), asyncio.TaskGroup() as tasks:
        await bench.board.apply(CHARGING)
        ends: list[asyncio.Task[None]] = []

        def end(write: tuple[int, int]) -> None:
            if write == (301, 16) and not ends:
                ends.append(tasks.create_task(bench.board.apply(SAFE_OUTPUTS)))

        bench.device.written.subscribe(end)
        await bench.clock.advance(KEEP_ALIVE_S + 0.5)
        await ends[0]
        await bench.clock.settle()
        assert bench.device.offered_a == 0.0


async def test_a_charx_whose_release_is_not_that_of_modbus_is_not_used() -> None:
    """It would ignore the orders; only its web interface changes this."""
    device = SimulatedCharx(fakes.clock())
    device.words[120] = 3  # always released
    async with wired("phoenix-charx", device) as (bench, _):
        assert "register 1120 (release mode; 5: Modbus) is 3 and must be 5" in str(bench.errors[-1])
        assert bench.seen == []
        assert 120 not in [address for address, _ in device.writes]


async def test_the_charging_points_of_a_charx_group_have_registers_of_their_own() -> None:
    clock, buses = fakes.clock(), BusRegistry()
    points = [SimulatedCharx(clock), SimulatedCharx(clock)]
    async with TcpMeterServer({1: SimulatedCharxGroup(*points)}, TcpFraming(), clock) as server:
        tree = {"model": "phoenix-charx", "timeout_s": 5.0, **server.address}
        boards = [
            ModbusBoard(ModbusEvse.from_tree({**tree, "charging_point": n}), clock, buses, attached_cable=False)
            for n in (1, 2)
        ]
        await boards[1].apply(CHARGING)
        assert [point.offered_a for point in points] == [0.0, 16.0]
        assert [point.timeout_s for point in points] == [None, TIMEOUT_S]
        for board in boards:
            await board.close()
    for point in points:
        point.stop()


@pytest.mark.parametrize(
    ("bit", "fault"),
    [
        (0, Fault.OVER_TEMPERATURE),
        (21, Fault.LOCK),
        (22, Fault.LOCK),
        (24, Fault.OVER_CURRENT),
        (27, Fault.CONTACTOR_WELDED),
        (28, Fault.DIODE),
        (30, Fault.DC_RESIDUAL_CURRENT),
        (31, Fault.RESIDUAL_MONITOR),
    ],
)
async def test_the_error_bits_of_a_charx_are_faults(bit: int, fault: Fault) -> None:
    device = SimulatedCharx(fakes.clock())
    async with wired("phoenix-charx", device) as (bench, _):
        assert bench.seen[-1].faults == frozenset()
        device.error_bits = 1 << bit
        await bench.clock.advance(0.5)
        assert bench.seen[-1].faults == frozenset({fault})


async def test_the_cable_of_a_charx_is_reported() -> None:
    device = SimulatedCharx(fakes.clock())
    device.cable_a = 20
    async with wired("phoenix-charx", device) as (bench, _):
        device.connect(SimulatedVehicle.CONNECTED)
        await bench.clock.advance(0.5)
        assert (bench.seen[-1].pilot, bench.seen[-1].cable_max_a) == (PilotState.B, 20.0)


async def test_a_heidelberg_box_gets_tenths_of_an_ampere_up_to_sixteen_and_no_standby() -> None:
    async with wired("heidelberg-energy-control") as (bench, _):
        assert (258, 4) in bench.device.writes
        for current_a, counts in ((6.37, 63), (16.0, 160), (32.0, 160)):
            await bench.board.apply(Outputs(pilot_a=current_a, contactor=True))
            assert bench.device.writes[-1] == (261, counts)
        await bench.board.apply(SAFE_OUTPUTS)
        assert bench.device.writes[-1] == (261, 0)


async def test_a_heidelberg_box_that_is_locked_shows_state_f_and_no_ground_fault() -> None:
    device = SimulatedHeidelberg(fakes.clock())
    device.key_locked = True
    async with wired("heidelberg-energy-control", device) as (bench, _):
        assert (bench.seen[-1].pilot, bench.seen[-1].faults) == (PilotState.F, frozenset())


@pytest.mark.parametrize(("number", "fault"), [(9, True), (11, True), (8, False)])
async def test_an_error_of_a_heidelberg_box_is_a_fault_and_its_derating_is_none(number: int, fault: bool) -> None:
    device = SimulatedHeidelberg(fakes.clock())
    device.fixed_words[5] = number
    async with wired("heidelberg-energy-control", device) as (bench, _):
        assert bool(bench.seen[-1].faults) is fault
        assert bench.seen[-1].contactor_closed is not fault


@pytest.mark.parametrize("model", DEVICES)
async def test_a_vehicle_is_ready_once_its_controller_signals_a_current(model: str) -> None:
    """Until then no contactor is expected to be closed, so none counts as stuck."""
    async with wired(model) as (bench, _):
        bench.device.connect(SimulatedVehicle.WANTS_ENERGY)
        await bench.clock.advance(0.5)
        assert (bench.seen[-1].pilot, bench.seen[-1].contactor_closed) == (PilotState.B, False)
        await bench.board.apply(CHARGING)
        await bench.clock.advance(0.5)
        assert (bench.seen[-1].pilot, bench.seen[-1].contactor_closed) == (PilotState.C, True)
