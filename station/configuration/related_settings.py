"""The one table of settings that depend on each other: one must not exceed another, or two must differ.

`borne check` and the API of the installer reject what breaks a row, with the name of the key. Settings that an earlier
version has stored on site are lowered by the same rows when they are loaded, so that a station starts with all of them.
Limits that are known only while the station runs (selector, cable, fuse of the meter) cap each other in `energy`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from energy.sources.ct import CtConfig
from energy.sources.dry_contact import minimum_w
from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.installation_file.document import KeyPath, RuleError, dotted
from station.devices.keyboard_reader import KeyboardReaderConfig
from station.devices.linux.config import LinuxBoardConfig, gpio_lines
from station.devices.modbus.config import ModbusBoardConfig
from station.devices.serial_reader import SerialReaderConfig

if TYPE_CHECKING:
    from metering.drivers.endpoints import ModbusEndpoint
    from station.configuration.installation_tables import InstallationTables

Uses: TypeAlias = Iterator[tuple[KeyPath, Hashable]]
"""a key, and the thing that it stands for: a channel, a line, an address"""


class NotAbove(Frozen):
    """A setting that must not exceed a value that other settings determine."""

    key: KeyPath
    premises: tuple[KeyPath, ...]
    """the keys that determine the highest value"""
    most: Callable[[InstallationTables], tuple[float | None, float | None]]
    """the value of the setting, and the highest that it may have; None: not set, or no such limit"""
    words: str
    """what the highest value is, for the error"""

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error if the setting is too high."""
        value, most = self.most(tables)
        if value is not None and most is not None and value > most:
            yield RuleError(self.key, f"must be at most {most:g}, {self.words} (is {value:g})")


class Different(Frozen):
    """Settings of which no two may stand for the same thing."""

    premises: tuple[KeyPath, ...]
    uses: Callable[[InstallationTables], Uses]

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error for each setting that stands for the same as an earlier one."""
        first: dict[Hashable, KeyPath] = {}
        for key, use in self.uses(tables):
            if use in first:
                yield RuleError(key, f"must not be the same as {dotted(first[use])}")
            else:
                first[use] = key


def _safe_current(tables: InstallationTables) -> tuple[float | None, float | None]:
    grid = tables.grid
    return (grid.safe_current_a, grid.max_current_a) if grid is not None else (None, None)


def _ordered_power(tables: InstallationTables) -> tuple[float | None, float | None]:
    order = tables.grid_order
    if order is None:
        return None, None
    rated_w = sum(evse.max_current_a * evse.phases for evse in tables.evse) * NOMINAL_VOLTAGE_V
    return order.limit_w, max(rated_w, minimum_w(order.devices))


def _converter_channels(tables: InstallationTables) -> Uses:
    """Channels of A/D converters: a clamp measures one conductor, a pilot is that of one EVSE."""
    if tables.grid is not None and isinstance(tables.grid.source, CtConfig):
        source = tables.grid.source
        for position, clamp in enumerate(source.clamps):
            yield ("grid", "source", "clamps", position, "channel"), (str(source.path), clamp.channel)
    if isinstance(tables.board, LinuxBoardConfig):
        for position, evse in enumerate(tables.board.evse):
            inputs = {
                ("pilot", "high"): evse.pilot.high,
                ("pilot", "low"): evse.pilot.low,
                ("proximity",): evse.proximity,
            }
            for place, wired in inputs.items():
                if wired is not None:
                    yield ("board", "evse", position, *place, "channel"), (str(wired.path), wired.channel)


def _pilot_outputs(tables: InstallationTables) -> Uses:
    if isinstance(tables.board, LinuxBoardConfig):
        for position, evse in enumerate(tables.board.evse):
            pwm = evse.pilot.pwm
            yield ("board", "evse", position, "pilot", "pwm", "channel"), (str(pwm.path), pwm.channel)


def _gpio_lines(tables: InstallationTables) -> Uses:
    """Lines of the grid operator's contacts, which no line of the board may be."""
    if isinstance(tables.board, LinuxBoardConfig):
        for wired in dict.fromkeys(gpio_lines(tables.board)):
            yield ("board",), (wired.chip, wired.line)
    if (order := tables.grid_order) is not None:
        yield ("grid_order", "line"), (order.chip, order.line)
        if order.opposite_line is not None:
            yield ("grid_order", "opposite_line"), (order.chip, order.opposite_line)


def _wires(tables: InstallationTables) -> Iterator[tuple[KeyPath, ModbusEndpoint, int]]:
    """Each device on Modbus: the key of its unit, its wire, and the unit."""
    for position, evse in enumerate(tables.evse):
        if not isinstance(evse.meter, SimulatedMeterConfig):
            yield ("evse", position, "meter", "unit"), evse.meter.endpoint, evse.meter.unit_in_use
    if tables.grid is not None and isinstance(tables.grid.source, GridModbusConfig):
        meter = tables.grid.source.meter
        yield ("grid", "source", "meter", "unit"), meter.endpoint, meter.unit_in_use
    if isinstance(tables.board, ModbusBoardConfig):
        for position, controller in enumerate(tables.board.evse):
            yield ("board", "evse", position, "unit"), controller.endpoint, controller.unit_in_use


def _modbus_units(tables: InstallationTables) -> Uses:
    """Addresses on Modbus: two devices with the same answer at once, or one meter bills two EVSEs."""
    for key, endpoint, unit in _wires(tables):
        yield key, (endpoint.address, unit)


def _serial_devices(tables: InstallationTables) -> Uses:
    """Serial devices: one that receives a stream is not shared, one of Modbus by Modbus devices only."""
    shared: set[str] = set()
    for key, endpoint, _ in _wires(tables):
        if endpoint.address not in shared:
            shared.add(endpoint.address)
            yield (*key[:-1], "device"), endpoint.address
    if tables.grid is not None and isinstance(tables.grid.source, LinkyConfig | P1Config):
        yield ("grid", "source", "device"), os.path.realpath(tables.grid.source.device)
    for position, reader in enumerate(tables.reader):
        if isinstance(reader, SerialReaderConfig | KeyboardReaderConfig):
            yield ("reader", position, "device"), os.path.realpath(reader.device)


_EVSES: Final[KeyPath] = ("evse", "*")
_BOARD: Final[KeyPath] = ("board", "evse", "*")
_SOURCE: Final[KeyPath] = ("grid", "source")
RELATED_SETTINGS: Final[tuple[NotAbove | Different, ...]] = (
    NotAbove(
        ("grid", "safe_current_a"), (("grid", "max_current_a"),), _safe_current, "the value of grid.max_current_a"
    ),
    NotAbove(("grid_order", "limit_w"), (_EVSES, ("grid_order", "devices")), _ordered_power, "the power of all EVSEs"),
    Different((_SOURCE, _BOARD), _converter_channels),
    Different((_BOARD,), _pilot_outputs),
    Different((("board",), ("grid_order", "line"), ("grid_order", "chip")), _gpio_lines),
    Different((_EVSES, _SOURCE, _BOARD), _modbus_units),
    Different((_EVSES, _SOURCE, _BOARD, ("reader", "*")), _serial_devices),
)
"""each row with the keys that it reads besides the one that it reports"""


def excesses(tables: InstallationTables) -> list[tuple[RuleError, float]]:
    """The errors of the settings that exceed what others allow, each with the highest value allowed."""
    found: list[tuple[RuleError, float]] = []
    for row in RELATED_SETTINGS:
        if isinstance(row, NotAbove):
            _, most = row.most(tables)
            found += [(error, most) for error in row.errors(tables) if most is not None]
    return found
