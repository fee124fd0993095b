"""The GPIO lines of a board by name, with their directions, and what the kernel knows of them; drives none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import gpiod
from gpiod.line import Direction

from foundation.frozen import Frozen
from foundation.json_values import is_array
from foundation.table import Table
from station.devices.linux.wiring import GpioLine, MotorLock

if TYPE_CHECKING:
    from station.devices.linux.linux_board_config import LinuxBoardConfig

_OUTPUT_KEYS: Final = frozenset({"contactor", "shut", "open", "connect", "test", "shunt_trip"})
"""the keys of lines that the board drives; all others are inputs"""
_HAZARDOUS_KEYS: Final = frozenset({"contactor", "shunt_trip"})
_JUMPER_POSITIONS: Final = ("1-2", "3-4", "5-6", "7-8", "9-10")


class BoardLine(Frozen):
    """A GPIO line of the board."""

    name: str
    """such as evse1.contactor, evse1.lock.shut, selector.bit0, flap"""
    line: GpioLine
    output: bool
    """whether the board drives it; else it reads it"""
    hazardous: bool
    """whether it puts mains voltage on a connector, or trips the breaker upstream"""
    motor: bool
    """whether it drives a motor, which only bears pulses"""


class LineState(Frozen):
    """What the kernel knows of a line."""

    kernel_name: str
    """empty: it has none"""
    direction: str
    """input or output, as the line is now"""
    consumer: str | None
    """the program or driver that holds the line; None: it is free"""


def board_lines(config: LinuxBoardConfig) -> tuple[BoardLine, ...]:
    """All lines of a board, those of each EVSE first."""
    return tuple(_lines_of(config, ""))


def _lines_of(table: Table, place: str) -> Iterator[BoardLine]:
    """The lines in a table and its sub-tables; `place`: the begin of their names."""
    for key in table.__struct_fields__:
        value = getattr(table, key)
        entries: Sequence[object] = value if is_array(value) else ()
        if isinstance(value, GpioLine):
            output, hazardous = key in _OUTPUT_KEYS, key in _HAZARDOUS_KEYS
            yield BoardLine(f"{place}{key}", value, output, hazardous, output and isinstance(table, MotorLock))
        elif isinstance(value, Table):
            yield from _lines_of(value, f"{place}{key}.")
        for number, entry in enumerate(entries):
            if isinstance(entry, GpioLine):
                position = _JUMPER_POSITIONS[number] if place == "jumpers." else f"bit{number}"
                yield BoardLine(f"{place}{position}", entry, output=False, hazardous=False, motor=False)
            elif isinstance(entry, Table):
                yield from _lines_of(entry, f"{place}{key}{number + 1}.")


def read_line_states(chip: str, lines: Sequence[int]) -> tuple[str, Mapping[int, LineState]]:
    """Read the label of a chip and what the kernel knows of some of its lines; requests none of them.

    Raises:
        OSError: there is no such chip, or it has no such line.
    """
    try:
        opened = gpiod.Chip(chip)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OSError(f"{chip}: {reason or error}") from error
    try:
        info = opened.get_info()
        if missing := [line for line in lines if line >= info.num_lines]:
            raise OSError(f"{chip}: has lines 0 to {info.num_lines - 1}, not {missing[0]}")
        states = {line: _state(opened.get_line_info(line)) for line in lines}
    finally:
        opened.close()
    return info.label or info.name, states


def _state(info: gpiod.LineInfo) -> LineState:
    direction = "output" if info.direction is Direction.OUTPUT else "input"
    return LineState(info.name or "", direction, (info.consumer or "the kernel") if info.used else None)
