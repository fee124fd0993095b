"""The lines, channels and files that the parts of a station are wired to on a Linux machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from station.core.hardware.current_selector import LEAST_A, selected_a

_Seconds = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
_Factor = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class GpioLine(_Table):
    """One line of a GPIO chip."""

    line: Annotated[int, Field(ge=0, le=1023)]
    """the number of the line on its chip"""
    chip: Annotated[str, Field(min_length=1)] = "/dev/gpiochip0"
    """the GPIO chip"""
    active_low: bool = False
    """active when the level is low, as a contact between the line and ground is when it is closed"""
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] = "as-is"
    """the pull resistor that the chip switches on; as-is changes nothing"""


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
    """the channel of that chip"""
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
    """the resistor between the reference voltage and the proximity contact, in ohms"""
    reference_v: _Positive
    """the voltage above that resistor"""


class MotorLock(_Table):
    """A lock whose motor is driven one way or the other for a moment."""

    kind: Literal["motor"]
    """a lock with a motor, which is moved by pulses and stays where it is"""
    shut: GpioLine
    """moves the lock so that it holds the cable"""
    open: GpioLine
    """moves the lock so that it lets the cable go"""
    feedback: GpioLine
    """active while the cable is held"""
    pulse_s: _Seconds = 0.6
    """how long a pulse lasts"""


class SolenoidLock(_Table):
    """A lock that holds while it is energised."""

    kind: Literal["solenoid"]
    """a lock that is shut while its line is active"""
    shut: GpioLine
    """holds the cable while it is active"""
    feedback: GpioLine | None = None
    """active while the cable is held; without it the lock is believed to follow"""


class ResidualMonitorWiring(_Table):
    """The residual-current monitor (IEC 62955): it tells a DC fault, and may be tested."""

    tripped: GpioLine
    """active while the monitor has tripped"""
    test: GpioLine | None = None
    """a pulse on it makes the monitor test itself: it then has to trip, and to come back"""
    trips_within_s: _Seconds = 0.5
    """the longest time that the monitor may take to trip in a test"""
    recovers_within_s: _Seconds = 2.0
    """the longest time that it may take to be ready again after a test"""


class PhaseRelayWiring(_Table):
    """A relay that takes the phases behind L2 and L3 away while the contactor is open; at rest they are away."""

    connect: GpioLine
    """active: all three are behind the contactor"""
    feedback: GpioLine
    """active while they are"""


class LinuxEvseWiring(_Table):
    """[[board.evse]]: one EVSE, in the order of [[evse]]."""

    pilot: PilotWiring
    contactor: GpioLine
    """closes the contactor while it is active"""
    contactor_feedback: GpioLine
    """active while the auxiliary contact says that the contactor is closed"""
    proximity: ProximityWiring | None = None
    """of a socket; left out with an attached cable"""
    lock: Annotated[MotorLock | SolenoidLock, Field(discriminator="kind")] | None = None
    """the lock of a socket; left out with an attached cable"""
    phases: PhaseRelayWiring | None = None
    """without it the contactor always connects all phases that there are"""
    residual: ResidualMonitorWiring | None = None
    emergency_stop: GpioLine | None = None
    """active while the emergency stop is pressed"""
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
