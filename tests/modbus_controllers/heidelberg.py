"""A simulated Heidelberg Energy Control, of register layout 1.0.8."""

from __future__ import annotations

from typing import Final

from foundation.clock import Clock
from tests.modbus_controllers.controller import SimulatedController

_STORED: Final = frozenset({257, 258, 259, 262})
"""registers that keep their values without power"""
_FACTORY: Final = {257: 15000, 258: 0, 259: 1, 261: 160, 262: 60}
_STATES: Final = {"A": 2, "B": 4, "C": 6}
"""without a signalled current; one more with it"""


class SimulatedHeidelberg(SimulatedController):
    """The box as a follower on its RS-485 bus."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.words = dict(_FACTORY)
        self.key_locked = False

    @property
    def offered_a(self) -> float:
        """Register 261 or, after the time-out, 262, in 0.1 A; 0: none."""
        counts = self.words[262 if self._fallen_back else 261]
        return counts / 10 if 60 <= counts <= 160 and not self._locked else 0.0

    @property
    def _locked(self) -> bool:
        return self.key_locked or self.words[259] == 0

    @property
    def timeout_s(self) -> float | None:
        """Register 257, in milliseconds; 0: off."""
        return self.words[257] / 1000 if self.words[257] else None

    def read_word(self, function: int, address: int) -> int | None:
        """Settings are holding registers, measured values input registers."""
        if function == 3:
            return self.words.get(address)
        if address == 4:
            return 0x108
        if address == 5:
            return 10 if self._locked else _STATES[self.letter] + bool(self.offered_a)
        return round(self.draws_a * 10) if address in {6, 7, 8} else None

    def write_word(self, address: int, value: int) -> bool | None:
        """Currents are 0 or 6 to 16 A."""
        if address not in self.words:
            return None
        if address in {261, 262} and value != 0 and not 60 <= value <= 160:
            return False
        self.words[address] = value
        return True

    def lose_power(self) -> None:
        """Lose register 261; the others are stored."""
        self.stop()
        self.words = {address: self.words[address] if address in _STORED else _FACTORY[address] for address in _FACTORY}
        self._fallen_back = False
        self.update("order")
