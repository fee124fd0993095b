"""A simulated firmware updater: two slots on disk, a trial boot, and a rollback if it fails.

An image of the simulated station begins with one line, `borne-firmware {"version": …, "sha256": …}`, where `sha256`
covers everything after the line; `"boots": false` makes an image that can be installed but does not boot.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.json_values import object_of
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.storage import private_files
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_MAGIC = b"borne-firmware "
_MAX_HEADER_BYTES = 1024
_MAX_VERSION_CHARACTERS = 50
"""limit of firmwareVersion in ChargingStationType"""
_PIECE_BYTES = 1 << 20
_INSTALL_S = 1.0
"""simulated duration of an installation"""


class FirmwareHeader(Frozen):
    """The first line of a firmware image for the simulated station."""

    version: str
    """firmware version that the station reports once this image runs"""
    sha256: str
    """hexadecimal digest of everything after the line"""
    boots: bool = True
    """False: the image can be installed, but its trial boot is rolled back"""


class _BootSlots(Frozen):
    """Stored state of the boot loader. Slots are 0 and 1; None is the factory firmware."""

    active: int | None = None
    version: str | None = None
    """version of the firmware in the active slot"""
    installed: int | None = None
    """the slot last installed into, until it is activated"""
    trial: int | None = None
    """the slot to be tried at the next boot"""
    outcome: str | None = None
    """result of the last trial: running or rolled-back"""


_FORMAT: Final = FlatFormat(_BootSlots, names("active", "version", "installed", "trial", "outcome"))


class SimulatedUpdater:
    """The simulated `Updater` of a station: installs images into the inactive one of two files, its slots.

    An instance is made for each boot: its constructor simulates the boot loader, which tries the slot that `activate`
    set. `folder` holds the slots and their state; `install_s` is the least duration of an installation.
    """

    may_interrupt = True
    """`install` may be cancelled"""
    reboots_by_itself = False
    """after `activate` the caller has to reboot the station"""
    has_trials = False
    """the boot loader decides the trial boot"""

    def __init__(self, folder: Path, clock: Clock, *, install_s: float = _INSTALL_S) -> None:
        self._folder = folder
        self._clock = clock
        self._install_s = install_s
        self._boot_slots = self._read_slots()
        if self._boot_slots.trial is not None:
            self._save_slots(
                _after_trial_boot(self._boot_slots, self._boot_slots.trial, self._slot_file(self._boot_slots.trial))
            )

    @property
    def version(self) -> str | None:
        """The version of the firmware in the active slot; None for the factory firmware."""
        return self._boot_slots.version if self._boot_slots.active is not None else None

    async def install(self, image: Path) -> None:
        """Verify the checksum of an image and copy it into the inactive slot; takes `install_s` or more.

        Raises:
            ImageError: the file is no image, or its checksum is wrong.
            InstallError: the image cannot be read, or the slot cannot be written.
        """
        target = 1 - (self._boot_slots.active or 0)
        await self._clock.sleep(self._install_s)
        try:
            self._save_slots(replace(self._boot_slots, installed=None, outcome=None))
            with image.open("rb") as source, self._slot_file(target).open("wb") as slot, self._clock.outside_wait():
                header, line = _read_header(source)
                await asyncio.to_thread(slot.write, line)
                digest = hashlib.sha256()
                while piece := await asyncio.to_thread(source.read, _PIECE_BYTES):
                    digest.update(piece)
                    await asyncio.to_thread(slot.write, piece)
                slot.flush()
                await asyncio.to_thread(os.fsync, slot.fileno())
            if digest.hexdigest() != header.sha256:
                raise ImageError("the checksum of the firmware image is wrong")
            self._save_slots(replace(self._boot_slots, installed=target))
        except OSError as error:
            raise InstallError(f"the slot cannot be written: {error.strerror}") from error

    async def activate(self) -> None:
        """Mark the slot installed into for a trial at the next boot; reboots nothing.

        Raises:
            InstallError: nothing is installed, or the state cannot be stored.
        """
        if self._boot_slots.installed is None:
            raise InstallError("no firmware is installed in the other slot")
        try:
            self._save_slots(replace(self._boot_slots, installed=None, trial=self._boot_slots.installed))
        except OSError as error:
            raise InstallError(f"the boot slot cannot be stored: {error.strerror}") from error

    async def activation(self) -> ActivationResult:
        """The result of the trial boot of the firmware installed last: not tried yet, running, or rolled back."""
        match self._boot_slots.outcome:
            case "running":
                return ActivationResult.RUNNING
            case "rolled-back":
                return ActivationResult.ROLLED_BACK
            case _:
                return ActivationResult.NOT_YET

    async def take_back(self) -> None:
        """Do nothing: a simulated machine reboots whenever it shall."""

    async def keep(self) -> None:
        """Do nothing: the simulated boot loader has kept what it has started."""

    async def give_up(self) -> None:
        """Do nothing: the simulated boot loader has rolled back what it could not start."""

    def _slot_file(self, number: int) -> Path:
        return self._folder / f"slot-{'ab'[number]}.bin"

    def _read_slots(self) -> _BootSlots:
        text = private_files.read(self._folder / "slots.json")
        return _FORMAT.from_dict(json.loads(text)) if text is not None else _BootSlots()

    def _save_slots(self, slots: _BootSlots) -> None:
        private_files.write(self._folder / "slots.json", json.dumps(_FORMAT.to_dict(slots)))
        self._boot_slots = slots


def _after_trial_boot(slots: _BootSlots, trial: int, image: Path) -> _BootSlots:
    """The state after a boot that tries a slot: activated, or rolled back."""
    try:
        with image.open("rb") as file:
            header, _ = _read_header(file)
            boots = header.boots and hashlib.file_digest(file, "sha256").hexdigest() == header.sha256
    except (OSError, ImageError):
        boots, header = False, None
    if not boots or header is None:
        _log.warning("the new firmware does not start; the station rolls back to the previous firmware")
        return replace(slots, trial=None, outcome="rolled-back")
    return replace(slots, trial=None, outcome="running", active=trial, version=header.version)


def _read_header(image: BinaryIO) -> tuple[FirmwareHeader, bytes]:
    """Read the first line of an image; returns it parsed, and as bytes.

    Raises:
        ImageError: the file is not an image of this station.
    """
    line = image.readline(_MAX_HEADER_BYTES)
    if not line.startswith(_MAGIC) or not line.endswith(b"\n"):
        raise ImageError("the image is not a firmware of this station")
    try:
        header: object = json.loads(line[len(_MAGIC) :])
    except (ValueError, RecursionError) as error:
        raise ImageError("the first line of the firmware image is not valid JSON") from error
    match header:
        case {"version": str(version), "sha256": str(sha256)} if 0 < len(version) <= _MAX_VERSION_CHARACTERS:
            boots = object_of(header).get("boots", True)
            return FirmwareHeader(version, sha256, boots is not False), line
        case _:
            raise ImageError("the first line of the firmware image lacks the version or the checksum")
