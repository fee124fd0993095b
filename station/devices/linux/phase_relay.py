"""The relay that takes the phases behind L2 and L3 away, on GPIO lines; it moves while the contactor is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.devices.linux.wiring import GpioLine, PhaseRelayWiring

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.devices.linux.gpio import GpioLines

_MOVES_S = 3.0
"""a relay that is not where it was ordered to be so long after is broken"""


class LinuxPhaseRelay:
    """What is ordered of the relay, and where it is."""

    def __init__(self, wiring: PhaseRelayWiring | None, clock: Clock) -> None:
        self._wiring = wiring
        self._clock = clock
        self._ordered: int | None = None
        self._ordered_s = clock.monotonic()

    @property
    def inputs(self) -> dict[str, GpioLine | None]:
        """The lines to read."""
        return {"three-phases": self._wiring.feedback if self._wiring is not None else None}

    @property
    def outputs(self) -> dict[str, GpioLine | None]:
        """The lines to drive."""
        return {"connect-phases": self._wiring.connect if self._wiring is not None else None}

    def connected(self, active: frozenset[str]) -> int | None:
        """How many phases the contactor would connect; None: there is no relay."""
        if self._wiring is None:
            return None
        return 3 if "three-phases" in active else 1

    def order(self, phases: int | None, lines: GpioLines) -> None:
        """Move it; whoever orders has seen the contactor open. None: where it was ordered to be.

        It is written each time: a line that was requested anew after a failure has begun at rest.

        Raises:
            OSError: a line is gone.
        """
        phases = self._ordered if phases is None else phases
        if self._wiring is None or phases is None:
            return
        lines.write("connect-phases", phases == 3)
        if phases != self._ordered:
            self._ordered, self._ordered_s = phases, self._clock.monotonic()

    def is_faulted(self, active: frozenset[str]) -> bool:
        """Whether it has not come to where it was ordered."""
        differs = self._ordered is not None and self.connected(active) != self._ordered
        return differs and self._clock.monotonic() - self._ordered_s >= _MOVES_S
