"""The relay that disconnects the phases L2 and L3, on GPIO lines; it is switched only with the contactor open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.devices.linux.wiring import GpioLine, PhaseRelayWiring

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.devices.linux.gpio import GpioLines

_SWITCHING_TIME_S = 3.0
"""a relay that has not moved after this time is faulty"""


class LinuxPhaseRelay:
    """Switches an EVSE between one and three phases by its relay, if one is wired, and checks the feedback."""

    def __init__(self, wiring: PhaseRelayWiring | None, clock: Clock) -> None:
        self._wiring = wiring
        self._clock = clock
        self._commanded_phases: int | None = None
        self._commanded_at_s = clock.monotonic()

    @property
    def inputs(self) -> dict[str, GpioLine | None]:
        """The input line of the relay by name, for `GpioLines`; None: not wired."""
        return {"three-phases": self._wiring.feedback if self._wiring is not None else None}

    @property
    def outputs(self) -> dict[str, GpioLine | None]:
        """The output line of the relay by name, for `GpioLines`; None: not wired."""
        return {"connect-phases": self._wiring.connect if self._wiring is not None else None}

    def connected_phases(self, active: frozenset[str]) -> int | None:
        """The phases, 1 or 3, that the closed contactor connects, by the relay's feedback; None without relay.

        `active`: the names of the active inputs, as `GpioLines.read` returns them.
        """
        if self._wiring is None:
            return None
        return 3 if "three-phases" in active else 1

    def set_phases(self, phases: int | None, lines: GpioLines) -> None:
        """Set the relay to 1 or 3 phases, None: as before; does not wait. The caller ensures an open contactor.

        The line is written each time, since lines requested again after a failure start inactive.

        Raises:
            OSError: a line fails.
        """
        phases = self._commanded_phases if phases is None else phases
        if self._wiring is None or phases is None:
            return
        lines.write("connect-phases", phases == 3)
        if phases != self._commanded_phases:
            self._commanded_phases, self._commanded_at_s = phases, self._clock.monotonic()

    def is_faulted(self, active: frozenset[str]) -> bool:
        """Return whether the feedback has differed from the commanded position for 3 s or more."""
        differs = self._commanded_phases is not None and self.connected_phases(active) != self._commanded_phases
        return differs and self._clock.monotonic() - self._commanded_at_s >= _SWITCHING_TIME_S
