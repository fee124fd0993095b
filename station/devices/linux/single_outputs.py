"""Drives single outputs of a Linux board for its bring-up; begins and ends with all of them in the safe state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.core.hardware import pilot
from station.core.hardware.board import BoardError
from station.devices.linux import sysfs
from station.devices.linux.board_lines import board_lines
from station.devices.linux.collected_errors import CollectedErrors
from station.devices.linux.gpio import GpioLines

if TYPE_CHECKING:
    from station.devices.linux.gpio import RequestLines
    from station.devices.linux.linux_board_config import LinuxBoardConfig


class SingleOutputs:
    """All lines of a board, by the names of `board_lines`, and the pilot of each EVSE.

    In the safe state every line is inactive, so that contactors are open, and every pilot is steady at +12 V.
    """

    def __init__(self, config: LinuxBoardConfig, request_lines: RequestLines | None = None) -> None:
        lines = board_lines(config)
        outputs = sorted((line for line in lines if line.output), key=lambda line: not line.hazardous)
        self._outputs = [line.name for line in outputs]
        self._lines = GpioLines(
            {line.name: line.line for line in lines if not line.output},
            {line.name: line.line for line in outputs},
            request_lines,
        )
        self._pilots = [sysfs.Pwm(evse.pilot.pwm) for evse in config.evse]

    def set_safe(self) -> None:
        """Set all lines inactive, contactors first, and all pilots steady; a failure does not skip the others.

        Raises:
            BoardError: an output could not be set.
        """
        attempts = CollectedErrors()
        self._set_safe(attempts)
        attempts.raise_first()

    def close(self) -> None:
        """Set the safe state as `set_safe`, and release the lines.

        Raises:
            BoardError: an output could not be set.
        """
        attempts = CollectedErrors()
        self._set_safe(attempts)
        with attempts:
            self._lines.close()
        attempts.raise_first()

    def _set_safe(self, attempts: CollectedErrors) -> None:
        for name in self._outputs:
            with attempts:
                self._lines.write(name, False)
        for output in self._pilots:
            with attempts:
                output.set_duty_cycle(pilot.STEADY)

    def active_inputs(self) -> frozenset[str]:
        """Read all inputs now; returns the names of the active ones.

        Raises:
            BoardError: a line fails.
        """
        try:
            return self._lines.read()
        except OSError as error:
            raise BoardError(f"{error}") from error

    def set_line(self, name: str, active: bool) -> None:
        """Set an output active or inactive.

        Raises:
            BoardError: the line fails.
        """
        try:
            self._lines.write(name, active)
        except OSError as error:
            raise BoardError(f"{name}: {error}") from error

    def set_duty_cycle(self, evse_id: int, duty: float) -> None:
        """Set the duty cycle, 0 to 1, of the pilot of an EVSE; 0 is steady −12 V, 1 steady +12 V.

        Raises:
            BoardError: the PWM fails.
        """
        try:
            self._pilots[evse_id - 1].set_duty_cycle(duty)
        except OSError as error:
            raise BoardError(f"pilot of EVSE {evse_id}: {error}") from error
