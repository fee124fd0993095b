"""The lock of a socket on GPIO lines: a motor that is driven for a moment, or a solenoid that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.devices.linux.wiring import GpioLine, MotorLock, SolenoidLock

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.devices.linux.gpio import GpioLines


class LinuxConnectorLock:
    """What is ordered of the lock, and the movement that follows from it."""

    def __init__(self, wiring: MotorLock | SolenoidLock | None, clock: Clock) -> None:
        self._wiring = wiring
        self._clock = clock
        self._ordered = False
        self._moving_until_s: float | None = None

    @property
    def inputs(self) -> dict[str, GpioLine | None]:
        """The lines to read."""
        return {"locked": self._wiring.feedback if self._wiring is not None else None}

    @property
    def outputs(self) -> dict[str, GpioLine | None]:
        """The lines to drive."""
        match self._wiring:
            case MotorLock(shut=shut, open=open_):
                return {"shut": shut, "open": open_}
            case SolenoidLock(shut=shut):
                return {"shut": shut}
            case None:
                return {}

    def locked(self, active: frozenset[str]) -> bool:
        """Whether the cable is held, as its contact tells, or as ordered where there is none."""
        if self._wiring is None or self._wiring.feedback is None:
            return self._ordered
        return "locked" in active

    def order(self, shut: bool, lines: GpioLines) -> None:
        """Hold the cable, or let it go; a motor that is not where it has to be is driven (again).

        Raises:
            OSError: a line is gone.
        """
        self._ordered = shut
        match self._wiring:
            case MotorLock(pulse_s=pulse_s):
                if lines.is_active("locked") is not shut:
                    lines.write("open" if shut else "shut", False)  # never both at once
                    lines.write("shut" if shut else "open", True)
                    self._moving_until_s = self._clock.monotonic() + pulse_s
            case SolenoidLock():
                lines.write("shut", shut)
            case None:
                pass

    def update(self, lines: GpioLines) -> None:
        """End a movement whose time is over.

        Raises:
            OSError: a line is gone.
        """
        if self._moving_until_s is not None and self._clock.monotonic() >= self._moving_until_s:
            lines.write("shut", False)
            lines.write("open", False)
            self._moving_until_s = None

    async def wait_finished(self, lines: GpioLines) -> None:
        """Let a movement come to its end.

        Raises:
            OSError: a line is gone.
        """
        if self._moving_until_s is not None:
            await self._clock.sleep(self._moving_until_s - self._clock.monotonic())
            self.update(lines)
