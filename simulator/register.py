"""A simulated energy register that keeps its value when the process ends, as a real one does without power."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path

from metering.reading import Phases

_VALUES = struct.Struct("<4d")
"""total, and the three phases"""


class RegisterError(Exception):
    """The register file of a simulated meter cannot be opened or locked; the message names the file and says why."""


class EnergyRegister:
    """The energy register of a simulated meter, in Wh: total and per phase, in a memory-mapped file.

    Each change is in the file at once, so a killed process loses nothing. The file is locked until `close` or the end
    of the process: only one register may use it at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open and lock the file; creates it if it is missing.

        Raises:
            RegisterError: another simulated meter uses the file, or it cannot be opened.
        """
        try:
            self._memory = _locked_memory(path)
        except BlockingIOError as error:
            raise RegisterError(f"{path} is in use by another simulated meter") from error
        except OSError as error:
            raise RegisterError(f"{path}: {error.strerror}") from error

    @property
    def energy_wh(self) -> float:
        """The counted energy of all phases together, in Wh."""
        return float(_VALUES.unpack_from(self._memory)[0])

    @property
    def energies_wh(self) -> Phases[float]:
        """The counted energy of L1, L2 and L3, in Wh."""
        _, *phases = _VALUES.unpack_from(self._memory)
        return Phases(*(float(value) for value in phases))

    def add(self, energies_wh: Phases[float]) -> None:
        """Count energy in Wh on each phase, and the sum of the phases in the total."""
        counted = (before + more for before, more in zip(self.energies_wh, energies_wh, strict=True))
        _VALUES.pack_into(self._memory, 0, self.energy_wh + sum(energies_wh), *counted)

    def close(self) -> None:
        """Close and unlock the file; the register cannot be read or changed any more."""
        self._memory.close()


def _locked_memory(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_size < _VALUES.size:
            os.ftruncate(file, _VALUES.size)
        return mmap.mmap(file, _VALUES.size)  # keeps a duplicate of the descriptor, and so the lock
    finally:
        os.close(file)
