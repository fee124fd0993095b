"""`borne board`: the bring-up of a board that the installation file names, with the station stopped."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from borne import start
from borne.arguments import Action, positive_seconds
from borne.bring_up.board_inputs import ReadInputs, Values, input_reader
from borne.bring_up.board_outputs import hold_current, hold_duty_cycle, hold_line, move_lock
from borne.bring_up.confirmation import require_typed_name
from borne.commands import board_parts
from borne.commands.board_options import add_config, add_evse, add_seconds, run, stopped_station
from borne.commands.installed_argument import load_or_refuse
from borne.output import refuse, say
from foundation.clock import SystemClock
from station.configuration.missing_packages import missing_package_errors
from station.core.hardware import pilot
from station.devices.linux.linux_board_config import LinuxBoardConfig
from station.devices.simulated_config import SimulatedBoardConfig

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.device_config import RealBoardConfig
    from station.devices.linux.board_lines import BoardLine

_WATCH_S: Final = 0.2
_LONGEST_OUTPUT_S: Final = 60.0


def _real_board(configuration: Configuration) -> RealBoardConfig:
    board = configuration.board
    if isinstance(board, SimulatedBoardConfig):
        refuse('board.type is "simulated": it has no lines; `borne sim` controls it while the station runs')
    return board


def _linux_board(configuration: Configuration) -> LinuxBoardConfig:
    board = _real_board(configuration)
    if not isinstance(board, LinuxBoardConfig):
        refuse(f'board.type is "{board.type}": its controllers drive their lines themselves')
    return board


def _chosen_evse(configuration: Configuration, number: int) -> EvseConfig:
    if not 1 <= number <= len(configuration.evse):
        refuse(f"--evse: must be 1 to {len(configuration.evse)} (is {number})")
    return configuration.evse[number - 1]


# Inputs


def lines(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board lines`: print the lines of the board with name and direction; requests none of them."""
    add_config(parser)
    given = parser.parse_args(arguments)
    configuration = load_or_refuse(given.config)
    start.require_packages(missing_package_errors(configuration), given.config)
    board = _real_board(configuration)
    if isinstance(board, LinuxBoardConfig):
        say("\n".join(_line_rows(board)))
    else:
        for evse_id, wiring in enumerate(board.evse, start=1):
            say(f"evse{evse_id}  {wiring.model} unit {wiring.unit_in_use} on {wiring.endpoint.address}, ", end="")
            say(wiring.endpoint.settings)
    return 0


def _line_rows(board: LinuxBoardConfig) -> Iterator[str]:
    from station.devices.linux.board_lines import board_lines, read_line_states  # late: gpiod

    found = board_lines(board)
    width = max(len(line.name) for line in found)
    by_chip: dict[str, list[int]] = {}
    for line in found:
        by_chip.setdefault(line.line.chip, []).append(line.line.line)
    states: dict[tuple[str, int], str] = {}
    for chip, numbers in by_chip.items():
        try:
            for number, state in read_line_states(chip, numbers)[1].items():
                holder = f"in use by {state.consumer}" if state.consumer else "free"
                states[chip, number] = f"{state.kernel_name or '-'}, now {state.direction}, {holder}"
        except OSError as error:
            states |= {(chip, number): f"NOT there: {error}" for number in numbers}
    for line in found:
        wiring = line.line
        direction = "output" if line.output else "input "
        active = "active low " if wiring.active_low else "active high"
        bias = "" if wiring.bias == "as-is" else f", {wiring.bias}"
        place = f"{wiring.chip} {wiring.line}"
        yield f"{line.name:<{width}}  {direction}  {place:<18}  {active}{bias}  ({states[wiring.chip, wiring.line]})"


def watch(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board watch`: show the inputs until Ctrl-C; in place if they fit on a terminal, else each change."""
    add_config(parser)
    parser.add_argument(
        "--seconds", metavar="SECONDS", type=positive_seconds, help="Time to watch. [default: until Ctrl-C]"
    )
    given = parser.parse_args(arguments)
    with stopped_station(given.config) as configuration:
        read = input_reader(configuration, _real_board(configuration), SystemClock())
        return run(lambda: _show_inputs(read, given.seconds))


async def _show_inputs(read: ReadInputs, seconds: float | None) -> int:
    clock = SystemClock()
    ends_s = clock.monotonic() + seconds if seconds is not None else None
    drawn: Values = {}
    while True:
        values = await read()
        if sys.stdout.isatty() and len(values) < shutil.get_terminal_size().lines:
            _draw(values, drawn)
        else:
            for name, text in values.items():
                if drawn.get(name) != text:
                    say(f"{name}: {text}")
        drawn = values
        if ends_s is not None and clock.monotonic() >= ends_s:
            return 0
        await clock.sleep(_WATCH_S)


def _draw(values: Values, drawn: Values) -> None:
    """Draw all inputs over those shown before; what has changed is in bold."""
    width = max(map(len, values), default=0)
    up = f"\x1b[{len(drawn)}A" if drawn else ""
    rows: list[str] = []
    for name, text in values.items():
        changed = bool(drawn) and drawn.get(name) != text
        weight = "\x1b[1m" if changed else ""
        rows.append(f"\x1b[K{name:<{width}}  {weight}{text}\x1b[0m\n")
    say(f"{up}{''.join(rows)}\x1b[J", end="")


# Outputs


def set_line(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board set`: set an output active for some seconds, after its name was typed to confirm it."""
    parser.add_argument("line", metavar="LINE", help="Name of the output, as `borne board lines` prints it.")
    add_config(parser)
    add_seconds(parser, 2.0, "Time for which it is active")
    parser.add_argument(
        "--yes", action="store_true", help="Do not ask; not for contactors and the shunt trip, which always ask."
    )
    given = parser.parse_intermixed_args(arguments)
    with stopped_station(given.config) as configuration:
        board = _linux_board(configuration)
        line = _output(board, given.line)
        if line.hazardous and given.yes:
            refuse(f"--yes: not for {line.name}, whose name must be typed")
        if not given.yes:
            require_typed_name(line.name, _effect(line, given.seconds))
        return run(lambda: hold_line(board, line.name, given.seconds, SystemClock()))


def _output(board: LinuxBoardConfig, name: str) -> BoardLine:
    from station.devices.linux.board_lines import board_lines  # late: gpiod

    outputs = {line.name: line for line in board_lines(board) if line.output}
    if name not in outputs:
        refuse(f"LINE: must be one of {', '.join(outputs)} (is {name})")
    if outputs[name].motor:
        refuse(f"{name}: drives a motor, which bears pulses only: use `borne board lock`")
    return outputs[name]


def _effect(line: BoardLine, seconds: float) -> str:
    effect = "sets a line of the board active"
    if line.name.endswith("contactor"):
        effect = "CLOSES A CONTACTOR: mains voltage is on the connector"
    elif line.hazardous:
        effect = "TRIPS THE BREAKER upstream of the station"
    return f"{line.name} {effect}, for {seconds:g} s."


def set_pilot(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board pilot`: set the control pilot of an EVSE for some seconds, and read its voltage back."""
    add_config(parser)
    add_evse(parser)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--duty", metavar="PERCENT", type=_duty_percent, help="Duty cycle, 0 (-12 V) to 100 (+12 V).")
    chosen.add_argument("--amperes", metavar="A", type=_pilot_current, help="Current to offer, 6 to 80 A.")
    add_seconds(parser, 10.0, "Time for which it is set")
    given = parser.parse_args(arguments)
    with stopped_station(given.config) as configuration:
        board, evse, clock = _real_board(configuration), _chosen_evse(configuration, given.evse), SystemClock()
        if isinstance(board, LinuxBoardConfig):
            duty = given.duty if given.amperes is None else pilot.duty_cycle(given.amperes)
            return run(lambda: hold_duty_cycle(board, evse.id, duty, given.seconds, clock))
        if given.amperes is None:
            refuse(f'--duty: a board of type "{board.type}" signals currents only; use --amperes')
        effect = "lets the controller CLOSE THE CONTACTOR of a vehicle that is ready"
        require_typed_name(f"evse{evse.id}", f"{given.amperes:g} A {effect}, for {given.seconds:g} s.")
        return run(lambda: hold_current(board, evse, given.amperes, given.seconds, clock))


def _duty_percent(text: str) -> float:
    percent = float(text)
    if not 0.0 <= percent <= 100.0:
        raise ArgumentTypeError(f"must be 0 to 100 (is {text})")
    return percent / 100.0


def _pilot_current(text: str) -> float:
    current_a = float(text)
    try:
        pilot.duty_cycle(current_a)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return current_a


def lock(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board lock`: lock the connector of an EVSE and unlock it; exit 0 if its contact follows."""
    add_config(parser)
    add_evse(parser)
    given = parser.parse_args(arguments)
    with stopped_station(given.config) as configuration:
        board, evse = _linux_board(configuration), _chosen_evse(configuration, given.evse)
        if board.evse[evse.id - 1].lock is None:
            refuse(f"EVSE {evse.id} has no lock: board.evse[{evse.id - 1}].lock is left out")
        return run(lambda: move_lock(board, evse, SystemClock()))


COMMANDS: Final[Mapping[str, Action]] = {
    "board lines": lines,
    "board watch": watch,
    "board set": set_line,
    "board pilot": set_pilot,
    "board lock": lock,
    "board light": board_parts.light,
    "board reader": board_parts.reader,
    "board meter": board_parts.meter,
    "board report": board_parts.report,
}
"""the commands of `borne board`"""
