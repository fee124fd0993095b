"""Sysfs files of Linux hardware: a PWM, a channel of an A/D converter, a temperature.

Sources: the kernel's documentation of sysfs-class-pwm, sysfs-bus-iio and hwmon. Reading a converter blocks, so call it
in a thread; the other files respond at once.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.devices.linux.wiring import AnalogInput, PwmOutput

PERIOD_NS: Final = 1_000_000
"""the control pilot has 1 kHz (IEC 61851-1 A.2)"""
_UDEV_ATTEMPTS: Final = 40
_UDEV_RETRY_S: Final = 0.01
"""number of attempts, and seconds between them, until udev has set the permissions of a new channel"""


class Pwm:
    """Drives the PWM channel of the control pilot, at 1 kHz; exported and enabled at first use."""

    def __init__(self, config: PwmOutput) -> None:
        self._chip = config.path
        self._channel = config.channel
        self._folder = config.path / f"pwm{config.channel}"
        self._inverted = config.inverted
        self._ready = False

    def set_duty_cycle(self, duty: float) -> None:
        """Set the share, 0 to 1, of each millisecond that the pilot is at +12 V; 1 is steady +12 V, 0 is steady −12 V.

        Raises:
            OSError: there is no such channel, or another program uses it.
        """
        if not self._ready:
            self._set_up()
        high = 1.0 - duty if self._inverted else duty
        try:
            (self._folder / "duty_cycle").write_text(str(round(high * PERIOD_NS)))
        except OSError:
            self._ready = False
            raise

    def _set_up(self) -> None:
        if not self._folder.exists():
            (self._chip / "export").write_text(str(self._channel))
            self._wait_for_udev()
        # The kernel refuses a period below the present duty cycle, hence the order.
        with contextlib.suppress(OSError):
            (self._folder / "duty_cycle").write_text("0" if not self._inverted else str(PERIOD_NS))
        (self._folder / "period").write_text(str(PERIOD_NS))
        (self._folder / "duty_cycle").write_text("0" if self._inverted else str(PERIOD_NS))
        (self._folder / "enable").write_text("1")
        self._ready = True

    def _wait_for_udev(self) -> None:
        """Wait until udev has set the permissions of a newly exported channel (60-borne.rules)."""
        for _ in range(_UDEV_ATTEMPTS):
            if all(os.access(self._folder / name, os.W_OK) for name in ("period", "duty_cycle", "enable")):
                return
            time.sleep(_UDEV_RETRY_S)


def read_voltage_v(config: AnalogInput) -> float:
    """Read the voltage in volts at the terminal, computed from the converter by scale, gain and offset. Blocks.

    Raises:
        OSError: there is no such converter or channel, or its file contains no number.
    """
    folder, name = config.path, f"in_voltage{config.channel}"
    raw, scale_mv = _read_number(folder / f"{name}_raw"), _read_first(folder, f"{name}_scale", "in_voltage_scale")
    offset = _read_first(folder, f"{name}_offset", "in_voltage_offset", default=0.0)
    return (raw + offset) * scale_mv / 1000.0 * config.gain + config.offset_v


def read_resistance_ohm(config: AnalogInput, pull_up_ohm: float, reference_v: float) -> float:
    """Read the resistance in ohms from a terminal to earth, by its divider with a pull-up; infinite: open. Blocks.

    Raises:
        OSError: as `read_voltage_v`.
    """
    terminal_v = read_voltage_v(config)
    if terminal_v >= reference_v:
        return float("inf")
    return pull_up_ohm * max(0.0, terminal_v) / (reference_v - terminal_v)


def read_temperature_c(path: Path) -> float:
    """Read a temperature in degrees Celsius, from a file that contains thousandths of a degree.

    Raises:
        OSError: there is no such sensor, or its file contains no number.
    """
    return _read_number(path) / 1000.0


def _read_first(folder: Path, *names: str, default: float | None = None) -> float:
    for name in names:
        if (folder / name).exists():
            return _read_number(folder / name)
    if default is None:
        raise OSError(f"{folder}: has none of {', '.join(names)}")
    return default


def _read_number(path: Path) -> float:
    text = path.read_text().strip()
    try:
        return float(text)
    except ValueError as error:
        raise OSError(f"{path}: {text!r} is not a number") from error
