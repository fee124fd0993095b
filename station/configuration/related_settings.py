"""The table of settings that depend on each other: one must not exceed another, or two must differ.

`borne check` and the API of the installer reject a setting that breaks a rule, and name its key. Site settings that an
earlier version has stored are lowered by the same rules when they are loaded, so that the station starts with them.
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

Assignments: TypeAlias = Iterator[tuple[KeyPath, Hashable]]
"""keys, each with the resource that it assigns: a channel, a line, an address"""


class MaximumRule(Frozen):
    """A setting that must not exceed a value that other settings determine."""

    key: KeyPath
    premises: tuple[KeyPath, ...]
    """the keys that determine the highest value"""
    value_and_maximum: Callable[[InstallationTables], tuple[float | None, float | None]]
    """the value of the setting, None if not set, and its maximum, None if unlimited; in the unit of the key"""
    maximum_name: str
    """name of the maximum, for the error"""

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error if the setting is too high."""
        value, maximum = self.value_and_maximum(tables)
        if value is not None and maximum is not None and value > maximum:
            yield RuleError(self.key, f"must be at most {maximum:g}, {self.maximum_name} (is {value:g})")


class UniqueRule(Frozen):
    """Settings of which no two may assign the same resource."""

    premises: tuple[KeyPath, ...]
    """the keys that the rule reads"""
    assignments: Callable[[InstallationTables], Assignments]

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error for each setting that assigns the same resource as an earlier one."""
        first: dict[Hashable, KeyPath] = {}
        for key, resource in self.assignments(tables):
            if resource in first:
                yield RuleError(key, f"must not be the same as {dotted(first[resource])}")
            else:
                first[resource] = key


def _safe_current(tables: InstallationTables) -> tuple[float | None, float | None]:
    grid = tables.grid
    return (grid.safe_current_a, grid.max_current_a) if grid is not None else (None, None)


def _ordered_power(tables: InstallationTables) -> tuple[float | None, float | None]:
    order = tables.grid_order
    if order is None:
        return None, None
    rated_w = sum(evse.max_current_a * evse.phases for evse in tables.evse) * NOMINAL_VOLTAGE_V
    return order.limit_w, max(rated_w, minimum_w(order.devices))


def _converter_channels(tables: InstallationTables) -> Assignments:
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


def _pilot_outputs(tables: InstallationTables) -> Assignments:
    if isinstance(tables.board, LinuxBoardConfig):
        for position, evse in enumerate(tables.board.evse):
            pwm = evse.pilot.pwm
            yield ("board", "evse", position, "pilot", "pwm", "channel"), (str(pwm.path), pwm.channel)


def _gpio_lines(tables: InstallationTables) -> Assignments:
    """GPIO lines: those of the grid operator's contacts must differ from each other and from those of the board."""
    if isinstance(tables.board, LinuxBoardConfig):
        for wired in dict.fromkeys(gpio_lines(tables.board)):
            yield ("board",), (wired.chip, wired.line)
    if (order := tables.grid_order) is not None:
        yield ("grid_order", "line"), (order.chip, order.line)
        if order.opposite_line is not None:
            yield ("grid_order", "opposite_line"), (order.chip, order.opposite_line)


def _modbus_devices(tables: InstallationTables) -> Iterator[tuple[KeyPath, ModbusEndpoint, int]]:
    """The Modbus devices: the key of the unit, the endpoint, and the unit."""
    for position, evse in enumerate(tables.evse):
        if not isinstance(evse.meter, SimulatedMeterConfig):
            yield ("evse", position, "meter", "unit"), evse.meter.endpoint, evse.meter.unit_in_use
    if tables.grid is not None and isinstance(tables.grid.source, GridModbusConfig):
        meter = tables.grid.source.meter
        yield ("grid", "source", "meter", "unit"), meter.endpoint, meter.unit_in_use
    if isinstance(tables.board, ModbusBoardConfig):
        for position, controller in enumerate(tables.board.evse):
            yield ("board", "evse", position, "unit"), controller.endpoint, controller.unit_in_use


def _modbus_units(tables: InstallationTables) -> Assignments:
    """Modbus addresses: two devices with one address would respond at once, or one meter would bill two EVSEs."""
    for key, endpoint, unit in _modbus_devices(tables):
        yield key, (endpoint.address, unit)


def _serial_devices(tables: InstallationTables) -> Assignments:
    """Serial devices: Modbus devices may share one; a meter or reader that sends by itself has its own."""
    shared: set[str] = set()
    for key, endpoint, _ in _modbus_devices(tables):
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
RELATED_SETTINGS: Final[tuple[MaximumRule | UniqueRule, ...]] = (
    MaximumRule(
        ("grid", "safe_current_a"), (("grid", "max_current_a"),), _safe_current, "the value of grid.max_current_a"
    ),
    MaximumRule(
        ("grid_order", "limit_w"), (_EVSES, ("grid_order", "devices")), _ordered_power, "the power of all EVSEs"
    ),
    UniqueRule((_SOURCE, _BOARD), _converter_channels),
    UniqueRule((_BOARD,), _pilot_outputs),
    UniqueRule((("board",), ("grid_order", "line"), ("grid_order", "chip")), _gpio_lines),
    UniqueRule((_EVSES, _SOURCE, _BOARD), _modbus_units),
    UniqueRule((_EVSES, _SOURCE, _BOARD, ("reader", "*")), _serial_devices),
)
"""each row with the keys that it reads besides the one that it reports"""


def settings_above_maximum(tables: InstallationTables) -> list[tuple[RuleError, float]]:
    """The errors of all settings that exceed their maximum, each with that maximum in the unit of the setting."""
    found: list[tuple[RuleError, float]] = []
    for row in RELATED_SETTINGS:
        if isinstance(row, MaximumRule):
            _, maximum = row.value_and_maximum(tables)
            found += [(error, maximum) for error in row.errors(tables) if maximum is not None]
    return found
