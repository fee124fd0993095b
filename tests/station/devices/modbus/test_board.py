"""Modbus controllers against a real server: the values written and read, over TCP and a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from foundation.clock import SystemClock
from foundation.table_definition import InvalidTableError
from metering.drivers.bus_registry import BusRegistry
from station.core.hardware.board import SAFE_OUTPUTS, BoardError, Outputs, SelfTest
from station.core.model import Fault, PilotState
from station.devices.modbus.board import ModbusBoard
from station.devices.modbus.controllers import CONTROLLERS
from station.devices.modbus.modbus_board_config import ModbusBoardConfig
from station.devices.modbus.wiring import ModbusEvse

CHARGING = Outputs(pilot_a=16.9, contactor=True, lock=True)
WITHOUT_TIMEOUT = [name for name, table in CONTROLLERS.items() if table.timeout is None]
"""the others are tested in test_communication_timeout.py"""
PHOENIX = [name for name in WITHOUT_TIMEOUT if name.startswith("phoenix")]


class FakeController:
    """A controller: its registers by address, and the values written to it, in order."""

    def __init__(self, model: str) -> None:
        self.table = ModbusEvse.from_tree({"model": model, "host": "127.0.0.1"}).controller
        self.words: dict[int, int] = {}
        self.writes: list[tuple[int, int, int]] = []
        """function code, address, value"""
        self.refuses = False
        self.failing_accesses = 0
        """how many of the next accesses fail"""
        for block in self.table.blocks:
            self.words |= dict.fromkeys(range(block.address, block.address + block.count), 0)

    async def handle_access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Handle one access; called by pymodbus."""
        if self.refuses:
            return ExcCodes.DEVICE_FAILURE
        if self.failing_accesses:
            self.failing_accesses -= 1
            return ExcCodes.DEVICE_BUSY
        if written is not None:
            self.writes += [(function, address + at, int(value)) for at, value in enumerate(written)]
            self.words.update({address + at: int(value) for at, value in enumerate(written)})
        elif function in {3, 4}:
            for at in range(count):
                current[address - start + at] = self.words.get(address + at, 0)
        return None

    @property
    def simulated(self) -> SimDevice:
        """The device as pymodbus serves it."""
        table = self.table
        inputs = [SimData(b.address, count=b.count, datatype=DataType.REGISTERS) for b in table.blocks]
        if table.enable is None:
            return SimDevice(table.unit, simdata=inputs, action=self.handle_access)
        coils = [SimData(table.enable.address, values=False, datatype=DataType.BITS)]
        holding = [SimData(table.current_at, datatype=DataType.REGISTERS)]
        unused = [SimData(0, count=1, values=False, datatype=DataType.BITS)]
        return SimDevice(table.unit, simdata=(coils, unused, holding, inputs), action=self.handle_access)

    def state(self, letter: str) -> None:
        """Set the state of the vehicle."""
        numbers = {state.value: number for number, state in self.table.states.items()}
        self.words[self.table.state_at[1]] = numbers[letter] << self.table.state_shift


@contextlib.asynccontextmanager
async def on_tcp(model: str, **more: Any) -> AsyncGenerator[tuple[FakeController, ModbusBoard]]:
    device = FakeController(model)
    server = ModbusTcpServer(device.simulated, address=("127.0.0.1", 0))
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]  # pyright: ignore  # untyped there
    board = board_of({"model": model, "host": "127.0.0.1", "port": port, "timeout_s": 2.0}, **more)
    try:
        yield device, board
    finally:
        with contextlib.suppress(BoardError):
            await board.close()
        await server.shutdown()


def board_of(table: dict[str, Any], *, attached_cable: bool = False) -> ModbusBoard:
    return ModbusBoard(ModbusEvse.from_tree(table), SystemClock(), BusRegistry(), attached_cable=attached_cable)


async def first_observation(board: ModbusBoard) -> Any:
    """The first observation of the board."""
    watching = board.observations()
    observation = await anext(watching)
    await watching.aclose()
    return observation


async def test_a_simple_evse_receives_whole_amperes_and_nothing_else_while_it_may_charge() -> None:
    async with on_tcp("simple-evse") as (device, board):
        await board.apply(CHARGING)
        assert device.writes == [(16, 1004, 0), (16, 1000, 16)]
        device.writes.clear()
        await board.apply(Outputs(pilot_a=6.0, contactor=True))
        assert device.writes[-1] == (16, 1000, 6)


async def test_a_simple_evse_winds_down_first_and_opens_at_once_only_where_it_must() -> None:
    async with on_tcp("simple-evse") as (device, board):
        await board.apply(CHARGING)
        device.state("C")
        device.words[1006] = 2
        assert (await first_observation(board)).contactor_closed
        device.writes.clear()
        await board.apply(Outputs(contactor=True))
        assert device.writes == [(16, 1004, 0), (16, 1000, 0)]  # the vehicle stops by itself
        device.writes.clear()
        await board.apply(Outputs(pilot_fault=True))
        assert device.writes == [(16, 1004, 1), (16, 1000, 0)]
        await board.apply(CHARGING)
        assert device.words[1004] == 0


@pytest.mark.parametrize(
    ("letter", "pwm", "pilot", "closed"),
    [("A", 1, "A", False), ("B", 2, "B", False), ("C", 2, "C", True), ("D", 2, "D", True), ("C", 3, "B", False)],
)
async def test_a_simple_evse_reports_the_vehicle_and_whether_its_relay_is_closed(
    letter: str, pwm: int, pilot: str, closed: bool
) -> None:
    async with on_tcp("simple-evse") as (device, board):
        device.state(letter)
        device.words |= {1003: 20, 1006: pwm}
        observation = await first_observation(board)
        assert (observation.pilot, observation.contactor_closed) == (PilotState(pilot), closed)
        assert observation.cable_plugged is (letter != "A")
        assert observation.cable_max_a == (20.0 if letter != "A" else None)


async def test_an_attached_cable_has_no_resistor_to_be_believed() -> None:
    async with on_tcp("simple-evse", attached_cable=True) as (device, board):
        device.state("B")
        device.words[1003] = 20
        assert (await first_observation(board)).cable_max_a is None


@pytest.mark.parametrize("model", WITHOUT_TIMEOUT)
async def test_a_controller_that_reports_a_failure_is_faulted(model: str) -> None:
    async with on_tcp(model) as (device, board):
        device.state("E")
        observation = await first_observation(board)
        assert (observation.pilot, observation.faults) == (PilotState.E, frozenset({Fault.GROUND_FAULT}))


@pytest.mark.parametrize("model", PHOENIX)
async def test_a_phoenix_controller_has_its_current_before_it_is_enabled_and_is_disabled_first(model: str) -> None:
    async with on_tcp(model) as (device, board):
        table = device.table
        assert table.enable is not None
        await board.apply(CHARGING)
        assert device.writes == [(6, table.current_at, 16), (5, table.enable.address, 1)]
        device.state("C")
        assert (await first_observation(board)).contactor_closed
        device.writes.clear()
        await board.apply(SAFE_OUTPUTS)
        assert device.writes == [(5, table.enable.address, 0)]
        assert not (await first_observation(board)).contactor_closed


async def test_the_cable_of_a_phoenix_controller_is_believed() -> None:
    async with on_tcp("phoenix-ev-cc-eth") as (device, board):
        device.state("B")
        device.words[101] = 13
        assert (await first_observation(board)).cable_max_a == 13.0


async def test_a_state_that_is_none_is_a_board_error() -> None:
    async with on_tcp("simple-evse") as (device, board):
        device.words[1002] = 9
        with pytest.raises(BoardError, match="the unknown state"):
            await first_observation(board)


async def test_a_controller_that_refuses_or_is_gone_is_a_board_error_and_its_return_is_enough() -> None:
    async with on_tcp("simple-evse") as (device, board):
        device.refuses = True
        with pytest.raises(BoardError, match="rejected: device failure"):
            await board.apply(CHARGING)
        with pytest.raises(BoardError, match="rejected: device failure"):
            await first_observation(board)
        device.refuses = False
        await board.apply(CHARGING)
        assert device.words[1000] == 16
    with pytest.raises(BoardError, match="cannot be reached"):
        await board.apply(SAFE_OUTPUTS)


@pytest.mark.parametrize("model", WITHOUT_TIMEOUT)
async def test_an_exchange_that_goes_wrong_once_is_repeated_and_no_silence(model: str) -> None:
    """A frame in an hour is disturbed on the best of serial lines; no charge ends for it."""
    async with on_tcp(model) as (device, board):
        device.state("A")
        device.failing_accesses = 1
        await board.apply(CHARGING)
        assert device.words[device.table.current_at] == 16
        device.failing_accesses = 1
        assert (await first_observation(board)).pilot is PilotState.A
        for fails in (board.apply(SAFE_OUTPUTS), first_observation(board)):
            device.failing_accesses = 2
            with pytest.raises(BoardError, match="busy"):
                await fails


async def test_letting_go_offers_nothing_any_more() -> None:
    async with on_tcp("phoenix-em-cp-pp-eth") as (device, board):
        await board.apply(CHARGING)
        await board.close()
        assert device.writes[-1] == (5, 400, 0)


async def test_no_table_names_a_test_of_the_monitor() -> None:
    async with on_tcp("simple-evse") as (_, board):
        assert await board.test_residual_monitor() is SelfTest.ABSENT


class Line:
    """A serial line between two pseudo-terminals."""

    def __enter__(self) -> tuple[str, str]:
        self._ends = [pty.openpty() for _ in range(2)]
        for master, slave in self._ends:
            tty.setraw(slave)
            os.set_blocking(master, False)
        (first, _), (second, _) = self._ends
        loop = asyncio.get_running_loop()
        loop.add_reader(first, lambda: os.write(second, os.read(first, 4096)))
        loop.add_reader(second, lambda: os.write(first, os.read(second, 4096)))
        return os.ttyname(self._ends[0][1]), os.ttyname(self._ends[1][1])

    def __exit__(self, *reason: object) -> None:
        for master, slave in self._ends:
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)


@pytest.mark.parametrize("model", ["simple-evse", "phoenix-ev-cc-serial"])
async def test_a_controller_on_a_serial_line(model: str) -> None:
    device = FakeController(model)
    with Line() as (ours, theirs):
        server = ModbusSerialServer(device.simulated, framer=FramerType.RTU, port=theirs, baudrate=9600)
        board = board_of({"model": model, "device": ours, "timeout_s": 2.0})
        try:
            await server.serve_forever(background=True)
            await board.apply(CHARGING)
            assert device.words[device.table.current_at] == 16
            device.state("C")
            if model == "simple-evse":
                device.words[1006] = 2
            assert (await first_observation(board)).contactor_closed
            await board.close()
        finally:
            await server.shutdown()


@pytest.mark.parametrize("table", [{}, {"host": "x", "device": "/dev/x"}])
def test_a_controller_has_one_wire(table: dict[str, Any]) -> None:
    with pytest.raises(InvalidTableError, match="either host or device"):
        ModbusEvse.from_tree({"model": "simple-evse", **table})


async def test_the_selector_is_what_the_installer_has_configured() -> None:
    evse = {"model": "bender-cc612", "host": "192.168.1.20"}
    config = ModbusBoardConfig.from_tree({"type": "modbus", "selector_a": 16, "evse": [evse]})
    plate = config.open_back_plate(SystemClock())
    assert plate.view.selector == "16"
    with pytest.raises(BoardError, match="no shunt trip"):
        await plate.energise_shunt_trip(True)
