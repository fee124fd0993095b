"""The interface of the board of one EVSE: its observations and its outputs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from station.core.model import Fault, PilotState

if TYPE_CHECKING:
    from foundation.monitored_task import MonitoredTask


class BoardError(ExpectedError):
    """The board does not answer or did not execute a command. The caller must never assume an open contactor."""


class Observation(Frozen):
    """What the board of an EVSE measures and detects at one moment."""

    pilot: PilotState = PilotState.A
    cable_plugged: bool = False
    """a cable is in the socket; with an attached cable: a vehicle is connected"""
    cable_max_a: float | None = None
    """the rating of the cable by its proximity resistor, amperes per phase; None: there is none to read"""
    contactor_closed: bool = False
    """according to its auxiliary contact"""
    phases: int | None = None
    """the number of phases that the contactor connects, 1 or 3; None: the board cannot switch phases"""
    phase: int | None = None
    """the phase, 1 to 3, used for single-phase charging, where the board can choose it; None: the first"""
    locked: bool = False
    """the cable is locked, according to the lock's contact (a lock without a contact: as commanded)"""
    bay_occupied: bool = False
    """the parking bay is occupied, by a sensor that only some boards have"""
    temperature_c: float | None = None
    """measured by the board, degrees Celsius; None: no thermometer"""
    faults: frozenset[Fault] = frozenset()
    """the faults that the board detects now"""


NO_OBSERVATION = Observation()
"""the state before the first observation: no vehicle, contactor open"""


class Outputs(Frozen):
    """The outputs that the station commands the board of an EVSE to have."""

    pilot_a: float | None = None
    """the current offered by the pilot's duty cycle; None: steady pilot, no energy offered (IEC 61851-1 A.4)"""
    pilot_digital: bool = False
    """the duty cycle of 5 %: the vehicle must communicate (ISO 15118), and learns the current in this way

    Only for a board with `digital_pilot`.
    """
    pilot_fault: bool = False
    """state F: the pilot at −12 V"""
    contactor: bool = False
    """True: closed"""
    lock: bool = False
    """True: the cable is locked in the socket"""
    phases: int | None = None
    """the number of phases to connect; None: unchanged. Switched only while the contactor is open, never under load;
    a board that fails to switch reports Fault.POWER_SWITCH"""
    phase: int | None = None
    """the phase for single-phase charging, for a board that can choose; None: unchanged. Switched as `phases` is"""


SAFE_OUTPUTS = Outputs()
"""no current offered, contactor open, cable unlocked: the outputs when no program controls the board"""


class SelfTest(StrEnum):
    """The result of a test of the residual-current monitor."""

    PASSED = "passed"
    """the monitor tripped in time and reset"""
    FAILED = "failed"
    ABSENT = "absent"
    """there is no monitor that the board can test"""


class Sensor(StrEnum):
    """Sensors that only some boards have."""

    BAY = "bay"
    """detects whether the parking bay is occupied"""
    EMERGENCY_STOP = "emergency-stop"
    TEMPERATURE = "temperature"
    """a thermal switch, or a thermometer"""


class Board(Protocol):
    """The hardware of one EVSE. Its own controller opens the contactor if this program stops communicating."""

    @property
    def sensors(self) -> frozenset[Sensor]:
        """The sensors that this board has; observations of other sensors are never set."""
        ...

    @property
    def digital_pilot(self) -> bool:
        """Whether its pilot can ask a vehicle to communicate: a duty cycle of 5 %, and state F for some seconds."""
        ...

    def observations(self) -> AsyncIterator[Observation]:
        """Yield the current observation at once and then after each change.

        Raises:
            BoardError: the board is not reachable.
        """
        ...

    @property
    def observation_task(self) -> MonitoredTask | None:
        """The task that polls the board, for the watchdog; None: the board reports changes by itself."""
        ...

    async def apply(self, outputs: Outputs) -> None:
        """Set the outputs to this state; idempotent.

        Raises:
            BoardError: it failed or could not be confirmed.
        """
        ...

    async def test_residual_monitor(self) -> SelfTest:
        """Run the self-test of the residual-current monitor and return its result; only while the contactor is open.

        The trip that it causes is not reported as a fault.

        Raises:
            BoardError: the board is not reachable, or the contactor is closed.
        """
        ...

    async def close(self) -> None:
        """Set the safe outputs and release the board.

        Raises:
            BoardError: the board is not reachable; its own watchdog has to set the safe outputs.
        """
        ...
