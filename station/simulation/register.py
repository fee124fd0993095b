"""A simulated energy register that, like a real one, keeps its value when the power fails."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_VALUE = struct.Struct("<d")


class EnergyRegister:
    """A number of watt-hours in a memory-mapped file: even a killed process has written it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if os.fstat(file).st_size < _VALUE.size:
                os.ftruncate(file, _VALUE.size)
            self._memory = mmap.mmap(file, _VALUE.size)
        finally:
            os.close(file)

    @property
    def energy_wh(self) -> float:
        """What the register shows."""
        (value,) = _VALUE.unpack_from(self._memory)
        return float(value)

    def add(self, energy_wh: float) -> None:
        """Count this much more."""
        _VALUE.pack_into(self._memory, 0, self.energy_wh + energy_wh)

    def set(self, energy_wh: float) -> None:
        """Show something else, as a manipulated or exchanged meter would."""
        _VALUE.pack_into(self._memory, 0, energy_wh)

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
