"""[board] of a Linux machine, and the factory of its drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from station.devices.linux.wiring import GpioLine, JumperWiring, LinuxEvseWiring, SelectorWiring

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.installation_file.charging_tables import EvseConfig


class LinuxBoardConfig(BaseModel):
    """[board] of type "linux": the station drives pilot, contactor and lock itself by GPIO, PWM and A/D converters."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["linux"]
    evse: Annotated[tuple[LinuxEvseWiring, ...], Field(min_length=1)]
    selector: SelectorWiring | None = None
    """if left out, the breaker is unknown and the limit is 8 A"""
    jumpers: JumperWiring | None = None
    flap: GpioLine | None = None
    """active while the SIM-card flap is open"""
    shunt_trip: GpioLine | None = None
    """trips the breaker upstream while the line is active"""

    @model_validator(mode="after")
    def _each_line_has_one_use(self) -> LinuxBoardConfig:
        used: set[tuple[str, int]] = set()
        for line in _lines(self):
            if (line.chip, line.line) in used:
                raise ValueError(f"line {line.line} of {line.chip} is used twice")
            used.add((line.chip, line.line))
        return self

    def open(self, evse: EvseConfig, clock: Clock, _: BusRegistry) -> Board:
        """Create the board of an EVSE; GPIO lines are requested and files opened at first use."""
        from station.devices.linux.board import LinuxBoard  # late: gpiod

        return LinuxBoard(self.evse[evse.id - 1], clock, unrated_cable=evse.cable_without_rating)

    def open_back_plate(self, clock: Clock) -> BackPlate:
        """Create the back plate; GPIO lines are requested at first use."""
        from station.devices.linux.back_plate import LinuxBackPlate  # late: gpiod

        return LinuxBackPlate(self, clock)


def _lines(table: BaseModel) -> list[GpioLine]:
    """All GPIO lines in a table and its sub-tables."""
    if isinstance(table, GpioLine):
        return [table]
    found: list[GpioLine] = []
    for _, value in table:
        for part in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            if isinstance(part, BaseModel):
                found += _lines(part)
    return found
