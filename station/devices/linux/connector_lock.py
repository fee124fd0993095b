"""The connector lock of a socket on GPIO lines: a motor driven by pulses, or a solenoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.devices.linux.wiring import GpioLine, MotorLock, SolenoidLock

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.devices.linux.gpio import GpioLines


class LinuxConnectorLock:
    """Shuts and opens the connector lock of a socket, if one is wired, and ends the pulse of its motor."""

    def __init__(self, wiring: MotorLock | SolenoidLock | None, clock: Clock) -> None:
        self._wiring = wiring
        self._clock = clock
        self._commanded = False
        self._moving_until_s: float | None = None

    @property
    def inputs(self) -> dict[str, GpioLine | None]:
        """The input lines of the lock by name, for `GpioLines`; None: not wired."""
        return {"locked": self._wiring.feedback if self._wiring is not None else None}

    @property
    def outputs(self) -> dict[str, GpioLine | None]:
        """The output lines of the lock by name, for `GpioLines`; empty if no lock is wired."""
        match self._wiring:
            case MotorLock(shut=shut, open=open_):
                return {"shut": shut, "open": open_}
            case SolenoidLock(shut=shut):
                return {"shut": shut}
            case None:
                return {}

    def is_locked(self, active: frozenset[str]) -> bool:
        """Return whether the lock is shut, by its feedback contact; as commanded if there is none.

        `active`: the names of the active inputs, as `GpioLines.read` returns them.
        """
        if self._wiring is None or self._wiring.feedback is None:
            return self._commanded
        return "locked" in active

    def set_locked(self, shut: bool, lines: GpioLines) -> None:
        """Shut or open the lock; does not wait. A motor is driven only if the feedback differs from the command.

        Starts the pulse of a motor, but does not end it.

        Raises:
            OSError: a line fails.
        """
        self._commanded = shut
        match self._wiring:
            case MotorLock(pulse_s=pulse_s):
                if lines.is_active("locked") is not shut:
                    lines.write("open" if shut else "shut", False)  # never both lines at once
                    lines.write("shut" if shut else "open", True)
                    self._moving_until_s = self._clock.monotonic() + pulse_s
            case SolenoidLock():
                lines.write("shut", shut)
            case None:
                pass

    def end_due_pulse(self, lines: GpioLines) -> None:
        """End the motor pulse if its time is over; called at each observation.

        Raises:
            OSError: a line fails.
        """
        if self._moving_until_s is not None and self._clock.monotonic() >= self._moving_until_s:
            lines.write("shut", False)
            lines.write("open", False)
            self._moving_until_s = None

    async def wait_finished(self, lines: GpioLines) -> None:
        """Wait for the end of a running motor pulse, and end it; returns at once if there is none.

        Raises:
            OSError: a line fails.
        """
        if self._moving_until_s is not None:
            await self._clock.sleep(self._moving_until_s - self._clock.monotonic())
            self.end_due_pulse(lines)
