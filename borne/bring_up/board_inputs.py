"""The inputs of a board in words by their names, read without setting an output."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from borne.bring_up.blocking_work import run_in_daemon_thread
from metering.drivers.bus_registry import BusRegistry
from station.core.hardware import pilot
from station.core.hardware.board import BoardError
from station.devices.linux import sysfs
from station.devices.linux.linux_board_config import LinuxBoardConfig

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.core.hardware.board import Board, Observation
    from station.devices.device_config import RealBoardConfig
    from station.devices.linux.wiring import LinuxEvseWiring, ProximityWiring

_CONVERTER_TIMEOUT_S: Final = 2.0

Values = Mapping[str, str]
"""inputs in words by their names, such as evse1.pilot"""
ReadInputs = Callable[[], Awaitable[Values]]
"""reads all inputs now; raises BoardError"""


def input_reader(configuration: Configuration, board: RealBoardConfig, clock: Clock) -> ReadInputs:
    """Make the function that reads the inputs of a board; of a controller, what it observes."""
    if isinstance(board, LinuxBoardConfig):
        return _linux_reader(board)
    buses = BusRegistry()
    boards = {evse.id: board.open(evse, clock, buses) for evse in configuration.evse}

    async def read() -> Values:
        found: dict[str, str] = {}
        for evse_id, controller in boards.items():
            found |= described_observation(evse_id, await controller.observe_once())
        return found

    return read


async def first_observation(board: Board) -> Observation:
    """Observe a board once.

    Raises:
        BoardError: it does not answer.
    """
    return await anext(aiter(board.observations()))


def described_observation(evse_id: int, observed: Observation) -> Values:
    """Describe what a controller observes."""
    place = f"evse{evse_id}"
    found = {
        f"{place}.pilot": f"state {observed.pilot}",
        f"{place}.contactor": "closed" if observed.contactor_closed else "open",
        f"{place}.cable": "plugged" if observed.cable_plugged else "none",
        f"{place}.lock": "locked" if observed.locked else "unlocked",
    }
    if observed.cable_max_a is not None:
        found[f"{place}.cable"] += f", {observed.cable_max_a:g} A"
    if observed.temperature_c is not None:
        found[f"{place}.temperature"] = f"{observed.temperature_c:g} °C"
    if observed.faults:
        found[f"{place}.faults"] = ", ".join(sorted(str(fault) for fault in observed.faults))
    return found


def _linux_reader(config: LinuxBoardConfig) -> ReadInputs:
    """Read the input lines, which are requested as inputs, and the converters; outputs are not requested."""
    from station.devices.linux.board_lines import board_lines  # late: gpiod
    from station.devices.linux.gpio import GpioLines  # late: gpiod

    inputs = [line for line in board_lines(config) if not line.output]
    lines = GpioLines({line.name: line.line for line in inputs}, {})

    async def read() -> Values:
        try:
            active = lines.read()
            found = {line.name: "active" if line.name in active else "inactive" for line in inputs}
            for number, wiring in enumerate(config.evse, start=1):
                found |= await read_converters(number, wiring)
        except OSError as error:
            raise BoardError(f"{error}") from error
        return found

    return read


async def read_converters(evse_id: int, wiring: LinuxEvseWiring) -> Values:
    """Read pilot, proximity contact and thermometer of an EVSE.

    Raises:
        BoardError: a converter does not answer.
        OSError: it fails.
    """
    try:
        async with asyncio.timeout(_CONVERTER_TIMEOUT_S):
            return await run_in_daemon_thread(lambda: _converters(evse_id, wiring))
    except TimeoutError:
        raise BoardError(f"evse{evse_id}: the A/D converters do not answer") from None


def _converters(evse_id: int, wiring: LinuxEvseWiring) -> Values:
    high_v = sysfs.read_voltage_v(wiring.pilot.high)
    low = f" / {sysfs.read_voltage_v(wiring.pilot.low):.1f} V" if wiring.pilot.low is not None else ""
    found = {f"evse{evse_id}.pilot": f"{high_v:.1f} V{low}, state {pilot.pilot_state(high_v)}"}
    if wiring.proximity is not None:
        found[f"evse{evse_id}.proximity"] = _proximity(wiring.proximity)
    if wiring.temperature is not None:
        found[f"evse{evse_id}.temperature"] = f"{sysfs.read_temperature_c(wiring.temperature):.1f} °C"
    return found


def _proximity(wiring: ProximityWiring) -> str:
    resistance_ohm = sysfs.read_resistance_ohm(wiring, wiring.pull_up_ohm, wiring.reference_v)
    if not pilot.cable_plugged(resistance_ohm):
        return "no cable" if math.isinf(resistance_ohm) else f"{resistance_ohm:.0f} Ω, no cable"
    rating = pilot.cable_rating(resistance_ohm)
    return f"{resistance_ohm:.0f} Ω, {'no valid rating' if rating is None else f'cable of {rating} A'}"
