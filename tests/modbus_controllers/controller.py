"""A simulated EVSE controller on Modbus: registers, vehicle, contactor, and the time-out of its communication.

The addresses of the subclasses are those of the sources that `station.devices.modbus.controllers` names, written down
a second time: they take nothing from the station's tables.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Final, Literal

from foundation.clock import Clock, TimerHandle
from foundation.events import Event
from foundation.frozen import Frozen

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_WRITES: Final = frozenset({5, 6, 15, 16})


class SimulatedVehicle(StrEnum):
    """What the vehicle at a controller does; one that wants energy closes its switch while a current is signalled."""

    NONE = "A"
    CONNECTED = "B"
    WANTS_ENERGY = "C"


class ContactorChange(Frozen):
    """The contactor of a controller has closed or opened."""

    closed: bool
    cause: Literal["order", "vehicle", "time-out"]


class SimulatedController(ABC):
    """The registers and the contactor of one controller. What a test may change about it is an attribute or a method.

    The vehicle draws what is offered, up to 32 A.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.contactor_closed = False
        self.contactor_changed: Event[ContactorChange] = Event()
        self.writes: list[tuple[int, int]] = []
        """address and value of each write, in order"""
        self.written: Event[tuple[int, int]] = Event()
        """published before a write is answered: its address and value"""
        self.timeouts = 0
        """how often the time-out has elapsed"""
        self.fixed_words: dict[int, int] = {}
        """registers that keep this value whatever is written"""
        self.missing_words: set[int] = set()
        """registers that the firmware does not have"""
        self._fallen_back = False
        """the time-out has elapsed, and its current is in force"""
        self._vehicle = SimulatedVehicle.NONE
        self._timer: TimerHandle | None = None

    @property
    @abstractmethod
    def offered_a(self) -> float:
        """The current that the pilot signals now, A; 0: none."""

    @property
    @abstractmethod
    def timeout_s(self) -> float | None:
        """The time-out as set in its register; None: off."""

    def apply_timeout(self) -> None:
        """Do what the controller does when its time-out elapses: permit its fallback current."""
        self._fallen_back = True

    def end_timeout(self) -> None:
        """Do what the controller does when requests arrive after its time-out: permit the ordered current again."""
        if self._fallen_back:
            self._fallen_back = False
            self.update("order")

    def restarts_timeout(self, function: int) -> bool:
        """Whether a request with this function restarts the time-out: any, unless the controller differs."""
        del function
        return True

    @abstractmethod
    def read_word(self, function: int, address: int) -> int | None:
        """The value of a register; None: there is none for this function."""

    @abstractmethod
    def write_word(self, address: int, value: int) -> bool | None:
        """Write a register; False: the value is not accepted; None: there is no such register."""

    @abstractmethod
    def lose_power(self) -> None:
        """Lose power for a moment: the registers that do not last have their factory values."""

    @property
    def draws_a(self) -> float:
        """The current that the vehicle draws now, A."""
        return min(self.offered_a, 32.0) if self.contactor_closed else 0.0

    @property
    def letter(self) -> str:
        """The state of the pilot: A, B or C."""
        wants = self._vehicle is SimulatedVehicle.WANTS_ENERGY
        return "B" if wants and not self.offered_a else self._vehicle.value

    def connect(self, vehicle: SimulatedVehicle) -> None:
        """Let the vehicle do this from now on."""
        self._vehicle = vehicle
        self.update("vehicle")

    def answer(self, pdu: bytes) -> bytes:
        """The response to a request."""
        function = pdu[0]
        if self.restarts_timeout(function):
            self._restart_timeout()
        response = self._answer(function, pdu)
        if function in _WRITES:
            self._restart_timeout()  # which may have another duration now
            self.update("order")
        return response

    def update(self, cause: Literal["order", "vehicle", "time-out"]) -> None:
        """Close or open the contactor as vehicle and pilot require."""
        closed = self.letter == "C"
        if closed is not self.contactor_closed:
            self.contactor_closed = closed
            self.contactor_changed.publish(ContactorChange(closed, cause))

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _answer(self, function: int, pdu: bytes) -> bytes:
        address, count = struct.unpack(">HH", pdu[1:5])
        if function in {3, 4}:
            words = [self._word(function, at) for at in range(address, address + count)]
            known = [word for word in words if word is not None]
            if len(known) != count:
                return bytes((function | 0x80, _ILLEGAL_ADDRESS))
            return struct.pack(f">BB{count}H", function, 2 * count, *known)
        if function == 6:
            values = (count,)
        elif function == 16:
            values = struct.unpack(f">{count}H", pdu[6 : 6 + 2 * count])
        else:
            return bytes((function | 0x80, _ILLEGAL_FUNCTION))
        for at, value in enumerate(values, start=address):
            accepted = None if at in self.missing_words else self.write_word(at, value)
            if not accepted:
                return bytes((function | 0x80, _ILLEGAL_ADDRESS if accepted is None else _ILLEGAL_VALUE))
            self.writes.append((at, value))
            self.written.publish((at, value))
        return pdu[:5]

    def _word(self, function: int, address: int) -> int | None:
        if address in self.missing_words:
            return None
        return self.fixed_words.get(address, self.read_word(function, address))

    def _restart_timeout(self) -> None:
        self.stop()
        self.end_timeout()
        if self.timeout_s is not None:
            self._timer = self.clock.call_later(self.timeout_s, self._elapse)

    def _elapse(self) -> None:
        self._timer = None
        self.timeouts += 1
        self.apply_timeout()
        self.update("time-out")
