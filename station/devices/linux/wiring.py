"""Wiring of a station on a Linux machine: GPIO lines, PWM and converter channels, files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import FINITE
from station.core.hardware.current_selector import FALLBACK_A, selected_a
from station.core.installation_file.document import RuleError

_Seconds = Annotated[float, Meta(gt=0, le=10, extra=FINITE)]
_Factor = Annotated[float, Meta(ge=-1000, le=1000, extra=FINITE)]
_Positive = Annotated[float, Meta(gt=0, le=1_000_000, extra=FINITE)]


class GpioLine(Table):
    """One GPIO input or output of the board, and how it is wired."""

    line: Annotated[int, Meta(ge=0, le=1023, examples=[0])]
    """the number of the line on its chip"""
    chip: Annotated[str, Meta(min_length=1)] = "/dev/gpiochip0"
    """device path of the GPIO chip"""
    active_low: bool = False
    """active when the level is low, as for a contact between the line and ground"""
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] = "as-is"
    """the pull resistor that the chip switches on; as-is changes nothing"""


class AnalogInput(Table):
    """One channel of an A/D converter (Linux industrial I/O in sysfs), and the divider in front of it."""

    path: Annotated[Path, Meta(examples=["/sys/bus/iio/devices/iio:device1"])]
    """/sys/bus/iio/devices/iio:deviceN"""
    channel: Annotated[int, Meta(ge=0, le=255, examples=[0])]
    """in_voltageN"""
    gain: _Factor = 1.0
    """volts at the terminal for each volt at the converter"""
    offset_v: _Factor = 0.0
    """volts at the terminal when the converter measures 0 V"""


class PwmOutput(Table):
    """The PWM channel (Linux, sysfs) that drives the control pilot."""

    path: Annotated[Path, Meta(examples=["/sys/class/pwm/pwmchip0"])]
    """/sys/class/pwm/pwmchipN"""
    channel: Annotated[int, Meta(ge=0, le=255)] = 0
    """the channel of that chip"""
    inverted: bool = False
    """whether the stage behind it inverts: its output is at +12 V while the channel is low"""


class PilotWiring(Table):
    """The control pilot: its PWM, and the inputs that measure its levels (peak detectors or synchronous sampling)."""

    pwm: PwmOutput
    high: AnalogInput
    """measures the positive half of the pilot signal, volts at the vehicle"""
    low: Annotated[AnalogInput | None, Meta(examples=[{"channel": 1}])] = None
    """measures the negative half; if left out, a missing diode in the vehicle is not detected"""


class ProximityWiring(AnalogInput, kw_only=True):
    """The input that measures the proximity contact of a socket, whose resistor codes the cable's rating."""

    pull_up_ohm: Annotated[_Positive, Meta(examples=[1000])]
    """the resistor between the reference voltage and the proximity contact, in ohms"""
    reference_v: Annotated[_Positive, Meta(examples=[3.3])]
    """the reference voltage"""


class MotorLock(Table, tag_field="kind", tag="motor"):
    """The connector lock of a socket with a motor: short pulses move it, and it keeps its position."""

    kind: ClassVar[Literal["motor"]] = "motor"
    """a lock with a motor, which is driven by pulses and keeps its position"""
    shut: Annotated[GpioLine, Meta(examples=[{"line": 10}])]
    """drives the lock shut"""
    open: Annotated[GpioLine, Meta(examples=[{"line": 11}])]
    """drives the lock open"""
    feedback: Annotated[GpioLine, Meta(examples=[{"line": 12}])]
    """active while the lock is shut"""
    pulse_s: _Seconds = 0.6
    """duration of a pulse, seconds"""


class SolenoidLock(Table, tag_field="kind", tag="solenoid"):
    """The connector lock of a socket with a solenoid: shut while energised, open without power."""

    kind: ClassVar[Literal["solenoid"]] = "solenoid"
    """a lock that is shut while its line is active"""
    shut: Annotated[GpioLine, Meta(examples=[{"line": 10}])]
    """shuts the lock while active"""
    feedback: Annotated[GpioLine | None, Meta(examples=[{"line": 12}])] = None
    """active while the lock is shut; if left out, the lock is assumed to follow"""


class ResidualMonitorWiring(Table):
    """The residual-current monitor of an EVSE (IEC 62955): the lines of its trip contact and its test input."""

    tripped: Annotated[GpioLine, Meta(examples=[{"line": 13}])]
    """active while the monitor has tripped"""
    test: Annotated[GpioLine | None, Meta(examples=[{"line": 14}])] = None
    """a pulse starts the self-test of the monitor, in which it must trip and recover"""
    trips_within_s: _Seconds = 0.5
    """longest time until the monitor trips in a test, seconds"""
    recovers_within_s: _Seconds = 2.0
    """longest time until the monitor is ready again after a test, seconds"""


class PhaseRelayWiring(Table):
    """The lines of the relay that connects L2 and L3, for three phases; at rest they are disconnected."""

    connect: Annotated[GpioLine, Meta(examples=[{"line": 15}])]
    """connects all three phases to the contactor while active"""
    feedback: Annotated[GpioLine, Meta(examples=[{"line": 16}])]
    """active while all three phases are connected"""


class LinuxEvseWiring(Table):
    """[[board.evse]]: the inputs and outputs of one EVSE on a Linux machine, in the order of [[evse]]."""

    pilot: PilotWiring
    contactor: Annotated[GpioLine, Meta(examples=[{"line": 5}])]
    """closes the contactor while it is active"""
    contactor_feedback: Annotated[GpioLine, Meta(examples=[{"line": 6, "active_low": True, "bias": "pull-up"}])]
    """active while the auxiliary contact of the contactor is closed"""
    proximity: ProximityWiring | None = None
    """for a socket; left out with an attached cable"""
    lock: MotorLock | SolenoidLock | None = None
    """the lock of a socket; left out with an attached cable"""
    phases: PhaseRelayWiring | None = None
    """if left out, the contactor always connects all phases"""
    residual: ResidualMonitorWiring | None = None
    emergency_stop: Annotated[GpioLine | None, Meta(examples=[{"line": 7}])] = None
    """active while the emergency stop is pressed"""
    too_hot: Annotated[GpioLine | None, Meta(examples=[{"line": 8}])] = None
    """active while a thermal switch has tripped"""
    bay: Annotated[GpioLine | None, Meta(examples=[{"line": 9}])] = None
    """active while the sensor of the parking bay detects a vehicle"""
    temperature: Annotated[Path | None, Meta(examples=["/sys/class/hwmon/hwmon0/temp1_input"])] = None
    """a file with thousandths of a degree: in_temp_input of an IIO device, temp1_input of hwmon"""


class SelectorWiring(Table):
    """The rotary current selector, which sets the maximum current: its lines encode an index into `positions`."""

    lines: Annotated[
        tuple[GpioLine, ...],
        Meta(min_length=1, max_length=8, examples=[[{"line": 22}, {"line": 23}, {"line": 24}, {"line": 25}]]),
    ]
    """the bits of the index, least significant first"""
    positions: Annotated[
        tuple[Literal["32", "25", "20", "16", "12", "8", "X", "Y", "Z"], ...],
        Meta(examples=[["Z", "32", "25", "20", "16", "12", "8", "X", "Y"]]),
    ]
    """the labels for index 0, 1, 2, …; an index without a label means 8 A, one that never occurs may be Z

    All lines inactive, or all active, may be a loose plug: these two must be 8, X, Y or Z.
    """

    def check_rules(self) -> None:
        """Reject positions above 8 A for all lines inactive or all active: an unplugged or cut wire looks like that.

        Raises:
            RuleError: such a position.
        """
        all_active = (1 << len(self.lines)) - 1
        for number, lines in ((0, "inactive"), (all_active, "active")):
            if number < len(self.positions) and selected_a(self.positions[number]) > FALLBACK_A:
                explanation = f"all lines are {lines} if a plug is loose"
                reason = f"number {number} must be 8, X, Y or Z, not {self.positions[number]}: {explanation}"
                raise RuleError(("positions",), reason)


class JumperWiring(Table):
    """The jumpers of the smart-meter port: an input for each position, active while the jumpers are there."""

    lines: Annotated[
        tuple[GpioLine, GpioLine, GpioLine, GpioLine, GpioLine],
        Meta(examples=[[{"line": 30}, {"line": 31}, {"line": 32}, {"line": 33}, {"line": 34}]]),
    ]
    """lines for the positions 1-2, 3-4, 5-6, 7-8, 9-10"""
