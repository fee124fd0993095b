"""[board] of a Linux machine, and the factory of its drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from foundation.device_table import Resource, ResourceKind
from foundation.json_values import is_array
from foundation.table import Table
from station.core.hardware.board_table import BoardTable
from station.devices.linux.wiring import GpioLine, JumperWiring, LinuxEvseWiring, SelectorWiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.installation_file.charging_tables import EvseConfig


class LinuxBoardConfig(BoardTable, tag_field="type", tag="linux"):
    """[board] of type "linux": the station drives pilot, contactor and lock itself by GPIO, PWM and A/D converters.

    It needs real meters, and a [firmware] of type "command" or "rauc"; a [simulation] is not possible.
    """

    type: ClassVar[Literal["linux"]] = "linux"
    packages: ClassVar[tuple[str, ...]] = ("gpiod",)
    evse: Annotated[
        tuple[LinuxEvseWiring, ...],
        Meta(min_length=1, examples=[[{"proximity": {"channel": 2}, "lock": {"kind": "motor"}}]]),
    ]
    selector: SelectorWiring | None = None
    """if left out, the breaker is unknown and the limit is 8 A"""
    jumpers: JumperWiring | None = None
    flap: Annotated[GpioLine | None, Meta(examples=[{"line": 20, "active_low": True}])] = None
    """active while the SIM-card flap is open"""
    shunt_trip: Annotated[GpioLine | None, Meta(examples=[{"line": 21}])] = None
    """trips the breaker upstream while the line is active"""

    def check_rules(self) -> None:
        """Check that each line has one use.

        Raises:
            ValueError: a line is used twice.
        """
        used_lines: set[tuple[str, int]] = set()
        for line in gpio_lines(self):
            if (line.chip, line.line) in used_lines:
                raise ValueError(f"line {line.line} of {line.chip} is used twice")
            used_lines.add((line.chip, line.line))

    @property
    def wired_evses(self) -> int:
        """The number of [[board.evse]] tables."""
        return len(self.evse)

    @property
    def has_shunt_trip(self) -> bool:
        """Whether a line for the shunt trip is configured."""
        return self.shunt_trip is not None

    @property
    def socket_parts(self) -> tuple[Mapping[str, bool], ...]:
        """Whether the proximity contact and the lock of each EVSE are wired."""
        return tuple({"proximity": evse.proximity is not None, "lock": evse.lock is not None} for evse in self.evse)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The channels of converters and PWM chips, and the GPIO lines."""
        lines = (Resource(ResourceKind.GPIO_LINE, (line.chip, line.line), ()) for line in gpio_lines(self))
        return (*self._channels(), *lines)

    def _channels(self) -> Iterator[Resource]:
        for position, evse in enumerate(self.evse):
            pilot = ("evse", position, "pilot")
            pwm = evse.pilot.pwm
            yield Resource(ResourceKind.PWM_CHANNEL, (str(pwm.path), pwm.channel), (*pilot, "pwm", "channel"))
            inputs = (
                ((*pilot, "high"), evse.pilot.high),
                ((*pilot, "low"), evse.pilot.low),
                (("evse", position, "proximity"), evse.proximity),
            )
            for key, wired in inputs:
                if wired is not None:
                    name = (str(wired.path), wired.channel)
                    yield Resource(ResourceKind.CONVERTER_CHANNEL, name, (*key, "channel"))

    def open(self, evse: EvseConfig, clock: Clock, _: BusRegistry) -> Board:
        """Create the board of an EVSE; GPIO lines are requested and files opened at first use."""
        from station.devices.linux.board import LinuxBoard  # late: gpiod

        return LinuxBoard(self.evse[evse.id - 1], clock, unrated_cable=evse.cable_without_rating)

    def open_back_plate(self, clock: Clock) -> BackPlate:
        """Create the back plate; GPIO lines are requested at first use."""
        from station.devices.linux.back_plate import LinuxBackPlate  # late: gpiod

        return LinuxBackPlate(self, clock)


def gpio_lines(table: Table) -> list[GpioLine]:
    """All GPIO lines in a table and its sub-tables."""
    if isinstance(table, GpioLine):
        return [table]
    lines: list[GpioLine] = []
    for name in table.__struct_fields__:
        value = getattr(table, name)
        for part in value if is_array(value) else (value,):
            if isinstance(part, Table):
                lines += gpio_lines(part)
    return lines
