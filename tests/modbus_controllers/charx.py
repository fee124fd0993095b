"""A simulated group of CHARX SEC controllers: unit 1 on Modbus TCP, 1000 registers for each charging point."""

from __future__ import annotations

import struct
from typing import Final

from foundation.clock import Clock
from tests.modbus_controllers.controller import SimulatedController

_OFF: Final = 65535
_FACTORY: Final = {120: 5, 300: 0, 301: 32, 306: 6, 307: _OFF}
_WRITABLE: Final = frozenset({300, 301, 306, 307})


class SimulatedCharx(SimulatedController):
    """One charging point, with its registers from 0 on.

    `withdraws_release`: what its time-out does. True: it withdraws the release, which opens the contactor; False: the
    permitted current falls to that of register 306. The sources differ.
    """

    def __init__(self, clock: Clock, *, withdraws_release: bool = True) -> None:
        super().__init__(clock)
        self.withdraws_release = withdraws_release
        self.words = dict(_FACTORY)
        self.cable_a = 32
        self.error_bits = 0

    @property
    def offered_a(self) -> float:
        """The permitted current, if it is released by Modbus and between 6 and 80 A."""
        current_a = self.words[306 if self._fallen_back else 301]
        released = self.words[120] == 5 and self.words[300] == 1
        return float(min(current_a, self.cable_a)) if released and 6 <= current_a <= 80 else 0.0

    @property
    def timeout_s(self) -> float | None:
        """Register 307, in seconds."""
        return None if self.words[307] == _OFF else float(self.words[307])

    def apply_timeout(self) -> None:
        """Withdraw the release, which has to be written again, or permit the current of register 306."""
        if self.withdraws_release:
            self.words[300] = 0
        else:
            super().apply_timeout()

    def restarts_timeout(self, function: int) -> bool:
        """Writes only, after which the time-out is restarted anyway."""
        del function
        return False

    def read_word(self, function: int, address: int) -> int | None:
        """Functions 3 and 4 read the same."""
        del function
        signals = "2" if self.offered_a else "1"
        measured = {
            293: self.error_bits >> 16,
            294: self.error_bits & 0xFFFF,
            295: 0,
            296: round(self.offered_a / 0.6),
            297: int(self.offered_a),
            298: self.cable_a,
            299: int.from_bytes(f"{self.letter}{signals}".encode(), "big"),
        }
        return measured.get(address, self.words.get(address))

    def write_word(self, address: int, value: int) -> bool | None:
        """A current after the time-out has to be between 6 and 80 A."""
        if address not in _WRITABLE:
            return None
        if address == 306 and not 6 <= value <= 80:
            return False
        self.words[address] = value
        return True

    def lose_power(self) -> None:
        """Lose all that was written."""
        self.stop()
        self.words = dict(_FACTORY)
        self._fallen_back = False
        self.update("order")


class SimulatedCharxGroup:
    """The device that a Modbus server serves as unit 1: the registers of all its charging points."""

    def __init__(self, *points: SimulatedCharx) -> None:
        self.points = points

    def answer(self, pdu: bytes) -> bytes:
        """The response to a request, by the charging point whose number the thousands of the address are."""
        number, address = divmod(int.from_bytes(pdu[1:3], "big"), 1000)
        if not 1 <= number <= len(self.points):
            return bytes((pdu[0] | 0x80, 2))
        answer = self.points[number - 1].answer(pdu[:1] + struct.pack(">H", address) + pdu[3:])
        writes_succeeded = pdu[0] in {6, 16} and answer[0] == pdu[0]
        return pdu[:5] if writes_succeeded else answer
