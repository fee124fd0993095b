"""[board] of a Linux machine: which line, channel and file each part of the station is wired to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from station.hardware.selector import LEAST_A, selected_a

if TYPE_CHECKING:
    from metering.clock import Clock
    from metering.drivers import Buses
    from station.configuration.charging_tables import EvseConfig
    from station.hardware.back_plate import BackPlate
    from station.hardware.board import Board

_Seconds = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
_Factor = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class GpioLine(_Table):
    """One line of a GPIO chip."""

    line: Annotated[int, Field(ge=0, le=1023)]
    chip: Annotated[str, Field(min_length=1)] = "/dev/gpiochip0"
    active_low: bool = False
    """active when the level is low, as a contact between the line and ground is when it is closed"""
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] = "as-is"


class AnalogInput(_Table):
    """One channel of a converter, as Linux' industrial I/O shows it in sysfs."""

    path: Path
    """/sys/bus/iio/devices/iio:deviceN"""
    channel: Annotated[int, Field(ge=0, le=255)]
    """in_voltageN"""
    gain: _Factor = 1.0
    """volts at the terminal for each volt at the converter"""
    offset_v: _Factor = 0.0
    """volts at the terminal when the converter shows none"""


class PwmOutput(_Table):
    """One channel of a PWM, as Linux shows it in sysfs."""

    path: Path
    """/sys/class/pwm/pwmchipN"""
    channel: Annotated[int, Field(ge=0, le=255)] = 0
    inverted: bool = False
    """the stage behind it inverts: its output is at +12 V while the channel is low"""


class PilotWiring(_Table):
    """The control pilot: what makes it, and what measures its plateaus (peak detectors or a synchronous sample)."""

    pwm: PwmOutput
    high: AnalogInput
    """of the positive half"""
    low: AnalogInput | None = None
    """of the negative half; without it a missing diode in the vehicle is not found"""


class ProximityWiring(AnalogInput):
    """The proximity contact of a socket, pulled up to a reference."""

    pull_up_ohm: _Positive
    reference_v: _Positive


class MotorLock(_Table):
    """A lock whose motor is driven one way or the other for a moment."""

    kind: Literal["motor"]
    shut: GpioLine
    open: GpioLine
    feedback: GpioLine
    """active while the cable is held"""
    pulse_s: _Seconds = 0.6


class SolenoidLock(_Table):
    """A lock that holds while it is energised."""

    kind: Literal["solenoid"]
    shut: GpioLine
    feedback: GpioLine | None = None
    """active while the cable is held; without it the lock is believed to follow"""


class ResidualMonitor(_Table):
    """The residual-current monitor (IEC 62955): it tells a DC fault, and may be tested."""

    tripped: GpioLine
    test: GpioLine | None = None
    """a pulse on it makes the monitor test itself: it then has to trip, and to come back"""
    trips_within_s: _Seconds = 0.5
    recovers_within_s: _Seconds = 2.0


class PhaseRelay(_Table):
    """A relay that takes the phases behind L2 and L3 away while the contactor is open; at rest they are away."""

    connect: GpioLine
    """active: all three are behind the contactor"""
    feedback: GpioLine
    """active while they are"""


class LinuxEvse(_Table):
    """[[board.evse]]: one EVSE, in the order of [[evse]]."""

    pilot: PilotWiring
    contactor: GpioLine
    contactor_feedback: GpioLine
    """active while the auxiliary contact says that the contactor is closed"""
    proximity: ProximityWiring | None = None
    """of a socket; left out with an attached cable"""
    lock: Annotated[MotorLock | SolenoidLock, Field(discriminator="kind")] | None = None
    phases: PhaseRelay | None = None
    """without it the contactor always connects all phases that there are"""
    residual: ResidualMonitor | None = None
    emergency_stop: GpioLine | None = None
    too_hot: GpioLine | None = None
    """a thermal switch"""
    bay: GpioLine | None = None
    """the sensor of the parking bay"""
    temperature: Path | None = None
    """a file with thousandths of a degree: in_temp_input of an IIO device, temp1_input of hwmon"""


class SelectorWiring(_Table):
    """The rotary current selector: the number that its lines tell is a place in `positions`."""

    lines: Annotated[tuple[GpioLine, ...], Field(min_length=1, max_length=8)]
    """the bits of the number, the least one first"""
    positions: tuple[Literal["32", "25", "20", "16", "12", "8", "X", "Y", "Z"], ...]
    """what is printed for 0, 1, 2, …; a number without a position is 8 A, one that never occurs may be called Z"""

    @field_validator("positions")
    @classmethod
    def _a_wire_that_is_off_allows_the_least(cls, positions: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """A plug that is off, or a common wire that is cut, leaves all lines inactive or all active."""
        most = (1 << len(info.data.get("lines", ()))) - 1
        for number, lines in ((0, "inactive"), (most, "active")):
            if number < len(positions) and selected_a(positions[number]) > LEAST_A:
                off = f"all lines are {lines} when a plug is off"
                raise ValueError(f"number {number} must be 8, X, Y or Z, not {positions[number]}: {off}")
        return positions


class JumperWiring(_Table):
    """The jumpers of the smart-meter port: one line for each position, active where they stand."""

    lines: tuple[GpioLine, GpioLine, GpioLine, GpioLine, GpioLine]
    """1-2, 3-4, 5-6, 7-8, 9-10"""


class LinuxBoardConfig(_Table):
    """[board] of type "linux"."""

    type: Literal["linux"]
    evse: Annotated[tuple[LinuxEvse, ...], Field(min_length=1)]
    selector: SelectorWiring | None = None
    """without it nothing is known of the breaker: 8 A"""
    jumpers: JumperWiring | None = None
    flap: GpioLine | None = None
    """active while the SIM-card flap is open"""
    shunt_trip: GpioLine | None = None

    @model_validator(mode="after")
    def _each_line_has_one_use(self) -> LinuxBoardConfig:
        used: set[tuple[str, int]] = set()
        for line in _lines(self):
            if (line.chip, line.line) in used:
                raise ValueError(f"line {line.line} of {line.chip} is used twice")
            used.add((line.chip, line.line))
        return self

    def open(self, evse: EvseConfig, clock: Clock, _: Buses) -> Board:
        """The board of an EVSE; the lines are requested at the first use."""
        from station.hardware.linux import LinuxBoard

        return LinuxBoard(self.evse[evse.id - 1], clock, unrated=evse.cable_without_rating)

    def open_back_plate(self, clock: Clock) -> BackPlate:
        """The back plate; the lines are requested at the first look."""
        from station.hardware.linux_back_plate import LinuxBackPlate

        return LinuxBackPlate(self, clock)


def _lines(table: BaseModel) -> list[GpioLine]:
    """Every line that a table names, at any depth."""
    if isinstance(table, GpioLine):
        return [table]
    found: list[GpioLine] = []
    for _, value in table:
        for part in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            if isinstance(part, BaseModel):
                found += _lines(part)
    return found
