"""The contract of the hardware of one EVSE: what the station sees of it, and what it may tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from foundation.frozen import frozen
from station.core.model import Fault, PilotState

if TYPE_CHECKING:
    from foundation.monitored_task import MonitoredTask


class BoardError(Exception):
    """The board does not answer or does not obey. The caller must take the contactor for open in no case."""


@frozen
class Observation:
    """What the board sees at one moment."""

    pilot: PilotState = PilotState.A
    cable_plugged: bool = False
    """a cable is in the socket; with an attached cable: a vehicle is connected"""
    cable_max_a: float | None = None
    """what the cable's proximity resistor allows; None where there is none to read"""
    contactor_closed: bool = False
    """as its auxiliary contact tells"""
    phases: int | None = None
    """how many the contactor connects, 1 or 3, where the board can switch that; None: it cannot"""
    phase: int | None = None
    """which it connects, or would, as the only one, 1 to 3, where the board can choose; None: the first"""
    locked: bool = False
    """the cable is held in its socket, as the lock's contact tells (a lock without one: as it was ordered)"""
    bay_occupied: bool = False
    temperature_c: float | None = None
    faults: frozenset[Fault] = frozenset()


NO_OBSERVATION = Observation()
"""Before the first look: no vehicle, contactor open."""


@frozen
class Outputs:
    """What the board must do."""

    pilot_a: float | None = None
    """the current that the pilot's duty cycle offers; None is a steady pilot: no energy (IEC 61851-1 A.4)"""
    pilot_fault: bool = False
    """state F: the pilot at −12 V"""
    contactor: bool = False
    lock: bool = False
    phases: int | None = None
    """how many the contactor is to connect; None: as it is. It changes while the contactor is open, never under load;
    a board that does not get there reports Fault.POWER_SWITCH"""
    phase: int | None = None
    """which it is to be where it is one, for a board that can choose; None: as it is. It changes as `phases` does"""


SAFE_OUTPUTS = Outputs()
"""Nothing offered, contactor open, cable free: what the board must do when nobody thinks for it."""


class SelfTest(StrEnum):
    """What came of testing the residual-current monitor."""

    PASSED = "passed"
    """it tripped in time, and came back"""
    FAILED = "failed"
    ABSENT = "absent"
    """there is no monitor that can be tested from here"""


class Sensor(StrEnum):
    """What some boards have and others lack."""

    BAY = "bay"
    """tells whether something stands in the parking bay"""
    EMERGENCY_STOP = "emergency-stop"
    TEMPERATURE = "temperature"
    """a thermal switch, or a thermometer"""


class Board(Protocol):
    """The hardware of one EVSE. Its own controller opens the contactor when this program falls silent."""

    @property
    def sensors(self) -> frozenset[Sensor]:
        """Those that are there; what the others would see is never told."""
        ...

    def observations(self) -> AsyncIterator[Observation]:
        """Yield what the board sees, first at once and then after each change.

        Raises:
            BoardError: the board is gone.
        """
        ...

    @property
    def observation_task(self) -> MonitoredTask | None:
        """The look that goes on and has to come to an end; None: what changes tells itself."""
        ...

    async def apply(self, outputs: Outputs) -> None:
        """Bring the outputs to this state; to repeat a state is harmless.

        Raises:
            BoardError: it was not, or not surely, done.
        """
        ...

    async def test_residual_monitor(self) -> SelfTest:
        """Let the residual-current monitor test itself; the trip that belongs to it is not told as a fault.

        Only while the contactor is open.

        Raises:
            BoardError: the board is gone, or the contactor is closed.
        """
        ...

    async def close(self) -> None:
        """Let go of the board, with its outputs at rest.

        Raises:
            BoardError: it cannot be reached; its own watchdog has to do it.
        """
        ...
