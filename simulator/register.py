"""A simulated energy register that keeps its value when the process ends, as a real one does without power."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
from pathlib import Path

from foundation.expected_error import ExpectedError
from metering.reading import Phases
from station.storage.private_files import sync_folder

NOTHING_WH = Phases(0.0, 0.0, 0.0)
"""what a new meter shows"""
_STORED_VALUES = struct.Struct("<5d")
"""total, the three phases, and the total when the file was created; older versions began at 0 and left the last out"""
_MIN_START_WH, _MAX_START_WH = 500_000, 4_000_000
"""what a meter of some months to some years shows; below 4096 kWh, F32 numbers still distinguish steps of 0.25 Wh"""


def used_meter_wh(seed: str, *, phases: int) -> Phases[float]:
    """Return what a meter that has been in use shows on L1, L2 and L3, in whole Wh; the same for the same seed."""
    draw = random.Random(seed)
    total_wh = draw.randint(_MIN_START_WH, _MAX_START_WH)
    if phases == 1:
        return Phases(float(total_wh), 0.0, 0.0)
    l2_wh, l3_wh = (round(total_wh * draw.uniform(0.2, 0.4)) for _ in range(2))
    return Phases(float(total_wh - l2_wh - l3_wh), float(l2_wh), float(l3_wh))


class RegisterError(ExpectedError):
    """The register file of a simulated meter cannot be opened or locked; the message names the file and says why."""


class EnergyRegister:
    """The energy register of a simulated meter, in Wh: total and per phase, in a file.

    Each change is in the file when `add` returns, so a killed process loses nothing; that of a `durable` register is on
    the disk, so a power cut of the machine loses nothing either. Only one register may use the file at a time: it is
    locked, or its folder is, by the station that uses it.
    """

    def __init__(
        self,
        path: Path,
        begins_at_wh: Phases[float] = NOTHING_WH,
        *,
        folder_locked: bool = False,
        durable: bool = False,
    ) -> None:
        """Read the file; creates it if it is missing, with these energies of the phases.

        `folder_locked`: the caller holds the lock on the folder (`StorageLock`), so that the register needs no
        descriptor of its own between two changes. Otherwise it locks the file until `close` or the end of the process.

        Raises:
            RegisterError: another simulated meter uses the file, or it cannot be opened.
        """
        self._path = path
        self._durable = durable
        self._locked_descriptor: int | None = None
        try:
            file = _locked_file(path, begins_at_wh, durable=durable)
            try:
                values = _STORED_VALUES.unpack(os.pread(file, _STORED_VALUES.size, 0).ljust(_STORED_VALUES.size, b"\0"))
                if not folder_locked:
                    _check_folder(path.parent)
                    self._locked_descriptor = os.dup(file)  # shares the lock
            finally:
                os.close(file)
        except BlockingIOError as error:
            raise RegisterError(f"{path} is in use by another simulated meter") from error
        except OSError as error:
            raise RegisterError(f"{path}: {error.strerror}") from error
        total_wh, *phases, begins_wh = (float(value) for value in values)
        self._energy_wh = total_wh
        self._energies_wh = Phases(*phases)
        self._begins_wh = begins_wh

    @property
    def energy_wh(self) -> float:
        """The register of all phases together, in Wh."""
        return self._energy_wh

    @property
    def counted_wh(self) -> float:
        """The energy counted since the file was created, in Wh."""
        return self._energy_wh - self._begins_wh

    @property
    def energies_wh(self) -> Phases[float]:
        """The registers of L1, L2 and L3, in Wh."""
        return self._energies_wh

    def add(self, energies_wh: Phases[float]) -> None:
        """Count energy in Wh on each phase, and the sum of the phases in the total; writes the file if it is not 0."""
        if not any(energies_wh):
            return
        self._energies_wh = Phases(*(now + more for now, more in zip(self._energies_wh, energies_wh, strict=True)))
        self._energy_wh += sum(energies_wh)
        with contextlib.suppress(OSError), self._path.open("r+b", buffering=0) as file:  # the next change writes all
            file.write(_STORED_VALUES.pack(self._energy_wh, *self._energies_wh, self._begins_wh))
            if self._durable:
                os.fsync(file)

    def close(self) -> None:
        """Unlock the file; the register must not be changed any more."""
        if self._locked_descriptor is not None:
            os.close(self._locked_descriptor)
            self._locked_descriptor = None


def _locked_file(path: Path, begins_at_wh: Phases[float], *, durable: bool) -> int:
    """Open and lock the file, with its first values if it is empty; returns its descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_size == 0:
            total_wh = sum(begins_at_wh)
            os.pwrite(file, _STORED_VALUES.pack(total_wh, *begins_at_wh, total_wh), 0)  # takes its disk space now
            if durable:
                os.fsync(file)
                sync_folder(path.parent)
    except BaseException:
        os.close(file)
        raise
    return file


def _check_folder(folder: Path) -> None:
    """Check that no station uses the folder, and so perhaps the file.

    Raises:
        BlockingIOError: one does.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
