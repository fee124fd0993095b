"""A fake Linux board: GPIO chips with the API of gpiod 2 in memory, and a sysfs tree in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gpiod import ChipInfo, LineInfo, LineSettings
from gpiod.line import Direction, Value

from tests.held_file import HeldFile

CHIP = "/dev/gpiochip0"


class Chips:
    """The lines of a fake GPIO chip; `on_output` models what is connected to the outputs."""

    def __init__(self, path: str = CHIP, lines: int = 64) -> None:
        self.path = path
        self.active: dict[int, bool] = dict.fromkeys(range(lines), False)
        """by line: whether it is active, regardless of the level"""
        self.settings: dict[int, LineSettings] = {}
        """settings of the requested lines"""
        self.written: list[tuple[int, bool]] = []
        """every change of an output, in order"""
        self.on_output: Callable[[int, bool], object] = lambda line, active: None
        self.missing = False
        """whether the chip does not exist"""
        self.busy_lines: set[int] = set()
        """lines that another program has requested"""

    def request_lines(
        self, path: str, config: dict[Iterable[int | str] | int | str, LineSettings | None], consumer: str | None = None
    ) -> Request:
        """Fake of gpiod.request_lines."""
        assert consumer == "borne"
        if path != self.path or self.missing:
            raise FileNotFoundError(2, "No such file or directory", path)
        requested: dict[int, LineSettings] = {}
        for key, settings in config.items():
            assert settings is not None
            for line in (key,) if isinstance(key, int) else key:
                assert isinstance(line, int)
                requested[line] = settings
        if self.busy_lines & requested.keys() or self.settings.keys() & requested.keys():
            raise OSError(16, "Device or resource busy")
        for line, settings in requested.items():
            self.settings[line] = settings
            if settings.direction is Direction.OUTPUT:
                self.set_output(line, settings.output_value is Value.ACTIVE)
        return Request(self, list(requested))

    def open(self, path: str) -> OpenChip:
        """Fake of gpiod.Chip."""
        if path != self.path or self.missing:
            raise FileNotFoundError(2, "No such file or directory", path)
        return OpenChip(self)

    def set_output(self, line: int, active: bool) -> None:
        """Change an output."""
        self.active[line] = active
        self.written.append((line, active))
        self.on_output(line, active)


class OpenChip:
    """Fake of gpiod.Chip: what the kernel knows of a chip and its lines."""

    def __init__(self, chips: Chips) -> None:
        self._chips = chips

    def get_info(self) -> ChipInfo:
        """Name, label and number of lines."""
        return ChipInfo(Path(self._chips.path).name, "bench", len(self._chips.active))

    def get_line_info(self, line: int) -> LineInfo:
        """A line, as it is requested now."""
        requested = self._chips.settings.get(line)
        consumer = "other" if line in self._chips.busy_lines else "borne" if requested is not None else ""
        direction = (requested.direction if requested is not None else Direction.INPUT).value
        return LineInfo(line, f"GPIO{line}", bool(consumer), consumer, direction, False, 1, 1, 1, 1, False, 0)

    def close(self) -> None:
        """Close it."""


class Request:
    """Fake of gpiod.LineRequest."""

    def __init__(self, chips: Chips, lines: list[int]) -> None:
        self._chips = chips
        self._lines = lines

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        """The values of lines."""
        self._check()
        requested = self._lines if lines is None else [line for line in lines if isinstance(line, int)]
        return [Value.ACTIVE if self._chips.active[line] else Value.INACTIVE for line in requested]

    def set_values(self, values: dict[int | str, Value]) -> None:
        """Set outputs."""
        self._check()
        for line, value in values.items():
            assert isinstance(line, int)
            assert self._chips.settings[line].direction is Direction.OUTPUT
            self._chips.set_output(line, value is Value.ACTIVE)

    def release(self) -> None:
        """Release the lines."""
        for line in self._lines:
            self._chips.settings.pop(line, None)

    def _check(self) -> None:
        if self._chips.missing:
            raise OSError(19, "No such device")


CONTACTOR, FEEDBACK, SHUT, OPEN, LOCKED, TRIPPED, TEST = 5, 6, 10, 11, 12, 13, 14
EMERGENCY, HOT, BAY, FLAP, SHUNT = 7, 8, 9, 20, 21
SELECTOR = (22, 23, 24, 25)
JUMPERS = (30, 31, 32, 33, 34)
PULL_UP_OHM, REFERENCE_V, GAIN = 1000.0, 3.3, 4.0


def raw_count(converter_v: float) -> str:
    """The content of the file of a channel at this voltage of its input."""
    return f"{round(converter_v / 0.0005)}\n"


class Bench:
    """A wired station on a test bench: contactor, lock and residual-current monitor follow their outputs."""

    def __init__(self, root: Path, chips: Chips | None = None) -> None:
        self.root = root
        self.chips = chips or Chips()
        self.chips.on_output = self._follow
        self.sensors = True
        """whether flap, parking bay, emergency stop and temperature are wired"""
        self.welded = self.stuck_open = self.lock_stuck = self.monitor_broken = False
        self.converter, self.pwm = root / "iio:device1", root / "pwmchip0"
        for folder in (self.converter, self.pwm / "pwm0"):
            folder.mkdir(parents=True)
        (self.converter / "in_voltage_scale").write_text("0.5\n")  # millivolts
        for name in ("period", "duty_cycle", "enable"):
            (self.pwm / "pwm0" / name).write_text("0\n")
        (self.pwm / "npwm").write_text("2\n")
        (root / "temperature").write_text("21300\n")
        self.set_selector(1)
        self.set_pilot_voltages(12.0)
        self.set_cable_resistance(float("inf"))

    def set_pilot_voltages(self, high_v: float, low_v: float = -12.0) -> None:
        """Set the voltages of the control pilot."""
        self._convert(0, high_v / GAIN)
        self._convert(1, low_v / GAIN)

    def set_cable_resistance(self, resistance_ohm: float) -> None:
        """Set the resistance of the cable in the socket; infinite: no cable."""
        share = 1.0 if resistance_ohm == float("inf") else resistance_ohm / (resistance_ohm + PULL_UP_OHM)
        self._convert(2, REFERENCE_V * share)

    def hold_channel(self, channel: int) -> HeldFile:
        """Let the converter not answer for a channel within the context: 0 and 1 measure the pilot, 2 the cable.

        `release` takes a raw count: `raw_count` computes it.
        """
        return HeldFile(self._raw_file(channel))

    def _convert(self, channel: int, volts: float) -> None:
        file = self._raw_file(channel)
        unfinished = file.with_suffix(".new")  # a file that is half written has no counterpart in sysfs
        unfinished.write_text(raw_count(volts))
        unfinished.replace(file)

    def _raw_file(self, channel: int) -> Path:
        return self.converter / f"in_voltage{channel}_raw"

    @property
    def duty(self) -> float:
        """The duty cycle of the pilot."""
        folder = self.pwm / "pwm0"
        assert (folder / "enable").read_text() == "1"
        return int((folder / "duty_cycle").read_text()) / int((folder / "period").read_text())

    def set_input(self, line: int, active: bool) -> None:
        """Change an input."""
        self.chips.active[line] = active

    def set_selector(self, number: int) -> None:
        """Set the position of the current selector, from 1 (32 A); 0: its plug is disconnected."""
        for bit, line in enumerate(SELECTOR):
            self.set_input(line, bool(number >> bit & 1))

    def _follow(self, line: int, active: bool) -> None:
        if line == CONTACTOR:
            self.chips.active[FEEDBACK] = (active and not self.stuck_open) or self.welded
        elif line in {SHUT, OPEN} and active and not self.lock_stuck:
            self.chips.active[LOCKED] = line == SHUT
        elif line == TEST and not self.monitor_broken:
            self.chips.active[TRIPPED] = active

    def table(self) -> dict[str, Any]:
        """The [board] table, with everything wired, but for `sensors`."""
        converter = str(self.converter)
        table: dict[str, Any] = {
            "type": "linux",
            "selector": {
                "lines": [{"line": line} for line in SELECTOR],
                "positions": ["Z", "32", "25", "20", "16", "12", "8", "X", "Y"],
            },
            "jumpers": {"lines": [{"line": line} for line in JUMPERS]},
            "flap": {"line": FLAP, "active_low": True, "bias": "pull-up"},
            "shunt_trip": {"line": SHUNT},
            "evse": [
                {
                    "contactor": {"line": CONTACTOR},
                    "contactor_feedback": {"line": FEEDBACK},
                    "pilot": {
                        "pwm": {"path": str(self.pwm)},
                        "high": {"path": converter, "channel": 0, "gain": GAIN},
                        "low": {"path": converter, "channel": 1, "gain": GAIN},
                    },
                    "proximity": {
                        "path": converter,
                        "channel": 2,
                        "pull_up_ohm": PULL_UP_OHM,
                        "reference_v": REFERENCE_V,
                    },
                    "lock": {
                        "kind": "motor",
                        "shut": {"line": SHUT},
                        "open": {"line": OPEN},
                        "feedback": {"line": LOCKED},
                    },
                    "residual": {"tripped": {"line": TRIPPED}, "test": {"line": TEST}},
                    "emergency_stop": {"line": EMERGENCY},
                    "too_hot": {"line": HOT},
                    "bay": {"line": BAY},
                    "temperature": str(self.root / "temperature"),
                }
            ],
        }
        if not self.sensors:
            for name in ("bay", "emergency_stop", "too_hot", "temperature"):
                del table["evse"][0][name]
            del table["flap"]
        return table
