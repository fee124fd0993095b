"""The checks of a board: its chips and lines, its converters and PWM, or its controllers; no output is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from borne.bring_up.blocking_work import run_in_daemon_thread
from borne.bring_up.device_answers import Answer, DeviceCheck
from station.core.installation_file.document import dotted
from station.devices.linux import sysfs
from station.devices.linux.linux_board_config import LinuxBoardConfig
from station.devices.simulated_config import SimulatedBoardConfig

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from station.configuration.installation_file import Configuration
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.linux.board_lines import BoardLine
    from station.devices.linux.wiring import AnalogInput, PwmOutput
    from station.devices.modbus.modbus_board_config import ModbusBoardConfig


def board_checks(configuration: Configuration, clock: Clock, buses: BusRegistry) -> Iterator[DeviceCheck]:
    """The checks of a real board: those of its parts, or of each controller by what it observes."""
    board = configuration.board
    if isinstance(board, LinuxBoardConfig):
        yield from _linux_checks(board)
    elif not isinstance(board, SimulatedBoardConfig):
        for position, evse in enumerate(configuration.evse):
            yield _controller_check(f"board.evse[{position}]", board, evse, clock, buses)


def _controller_check(
    key: str, table: ModbusBoardConfig, evse: EvseConfig, clock: Clock, buses: BusRegistry
) -> DeviceCheck:
    wiring = table.evse[evse.id - 1]
    endpoint = getattr(wiring, "endpoint", None)

    async def ask() -> Answer:
        board = table.open(evse, clock, buses)
        try:
            observation = await board.observe_once()
        finally:
            if endpoint is not None:  # not `close`, which would write
                await buses.bus_for(endpoint).leave(board)
        answer = {
            "controller": str(board),
            "pilot": f"state {observation.pilot}",
            "contactor": "closed" if observation.contactor_closed else "open",
        }
        return answer | ({"line": endpoint.settings} if endpoint is not None else {})

    return DeviceCheck(key, f"controller of EVSE {evse.id}", ask)


def _linux_checks(config: LinuxBoardConfig) -> Iterator[DeviceCheck]:
    from station.devices.linux.board_lines import board_lines  # late: gpiod

    lines = board_lines(config)
    for chip in sorted({line.line.chip for line in lines}):
        here = [line for line in lines if line.line.chip == chip]
        yield DeviceCheck(
            "board",
            f"GPIO chip {chip}",
            lambda chip=chip, here=here: run_in_daemon_thread(lambda: _ask_chip(chip, here)),
        )
    for position, evse in enumerate(config.evse):
        place = dotted(("board", "evse", position))
        pwm = evse.pilot.pwm
        yield DeviceCheck(
            f"{place}.pilot.pwm",
            f"PWM {pwm.path} channel {pwm.channel}",
            lambda pwm=pwm: run_in_daemon_thread(lambda: _ask_pwm(pwm)),
        )
        inputs = {"pilot.high": evse.pilot.high, "pilot.low": evse.pilot.low, "proximity": evse.proximity}
        for name, wired in inputs.items():
            if wired is not None:
                yield _converter_check(f"{place}.{name}", wired)
        if evse.temperature is not None:
            yield _temperature_check(f"{place}.temperature", evse.temperature)


def _converter_check(key: str, config: AnalogInput) -> DeviceCheck:
    def ask() -> Answer:
        return {"voltage": f"{sysfs.read_voltage_v(config):.2f} V"}

    return DeviceCheck(key, f"A/D converter {config.path} channel {config.channel}", lambda: run_in_daemon_thread(ask))


def _temperature_check(key: str, path: Path) -> DeviceCheck:
    def ask() -> Answer:
        return {"temperature": f"{sysfs.read_temperature_c(path):.1f} °C"}

    return DeviceCheck(key, f"thermometer {path}", lambda: run_in_daemon_thread(ask))


def _ask_pwm(config: PwmOutput) -> Answer:
    """Look for the channel; it is neither exported nor enabled."""
    channels = int((config.path / "npwm").read_text(encoding="ascii"))
    if config.channel >= channels:
        raise OSError(f"{config.path}: has channels 0 to {channels - 1}, not {config.channel}")
    folder = config.path / f"pwm{config.channel}"
    if not folder.exists():
        return {"channel": "present"}
    enabled = (folder / "enable").read_text(encoding="ascii").strip() == "1"
    return {"channel": "exported, enabled" if enabled else "exported, not enabled"}


def _ask_chip(chip: str, lines: list[BoardLine]) -> Answer:
    """Ask the kernel for the lines of a chip, and read those that are inputs; outputs are not requested.

    Raises:
        OSError: the chip or a line is missing, or another program holds a line.
    """
    from station.devices.linux.board_lines import read_line_states  # late: gpiod
    from station.devices.linux.gpio import GpioLines  # late: gpiod

    label, states = read_line_states(chip, [line.line.line for line in lines])
    held = [f"{line.name} by {states[line.line.line].consumer}" for line in lines if states[line.line.line].consumer]
    if held:
        raise OSError(f"{chip}: lines are in use: {', '.join(held)}")
    inputs = GpioLines({line.name: line.line for line in lines if not line.output}, {})
    try:
        active = sorted(inputs.read())
    finally:
        with contextlib.suppress(OSError):
            inputs.close()
    return {"chip": label, "lines": str(len(lines)), "active inputs": ", ".join(active) or "none"}
