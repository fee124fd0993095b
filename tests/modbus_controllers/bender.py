"""A simulated Bender CC612: unit 255 on Modbus TCP, holding registers only."""

from __future__ import annotations

from typing import Final

from foundation.clock import Clock
from tests.modbus_controllers.controller import SimulatedController

_FACTORY: Final = {131: 6, 132: 60, 1000: 32}
_VEHICLE_STATES: Final = {"A": 1, "B": 2, "C": 3}


class SimulatedBender(SimulatedController):
    """The controller with its Modbus server for energy management."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.words = dict(_FACTORY)

    @property
    def offered_a(self) -> float:
        """Register 1000 or, after the time-out, 131; 0: paused."""
        current_a = self.words[131 if self._fallen_back else 1000]
        return float(current_a) if 6 <= current_a <= 32 else 0.0

    @property
    def timeout_s(self) -> float:
        """Register 132, in seconds."""
        return float(self.words[132])

    def read_word(self, function: int, address: int) -> int | None:
        """Only function 3 is known."""
        if function != 3:
            return None
        if address == 122:
            return _VEHICLE_STATES[self.letter]
        return int(self.offered_a) if address == 706 else self.words.get(address)

    def write_word(self, address: int, value: int) -> bool | None:
        """The ranges of the settings are those of the documentation."""
        if address not in self.words:
            return None
        accepted = {131: range(33), 132: range(1, 301), 1000: range(33)}[address]
        if value not in accepted:
            return False
        self.words[address] = value
        return True

    def lose_power(self) -> None:
        """Lose all that was written."""
        self.stop()
        self.words = dict(_FACTORY)
        self._fallen_back = False
        self.update("order")
