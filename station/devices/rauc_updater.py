"""Firmware updates by RAUC (rauc.io): signed bundles, two slots, and a boot loader that returns to the previous one.

A slot is started on trial after an update. It is kept once the station says so (`keep`); else the boot loader starts
the previous slot after some attempts, or at once (`give_up`). deploy/image/ has the boot loader's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.core.version import package_version
from station.devices.machine_command import CommandResult, run_command

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_INSTALL_TIMEOUT_S: Final = 3600.0
_BUSY: Final = "lready processing"
"""in RAUC's reason for refusing a second order"""
_BUSY_PAUSE_S: Final = 10.0
_TIMEOUT_S: Final = 120.0
"""timeout of what only reads a bundle or the state of the boot loader, or writes that"""
_RESULTS: Final = {
    "trial": ActivationResult.ON_TRIAL,
    "kept": ActivationResult.RUNNING,
    "fell-back": ActivationResult.ROLLED_BACK,
}
"""the words that the boot loader's handler writes into its state file"""


class RaucUpdater:
    """The `Updater` that uses the RAUC service of the machine; the program needs its D-Bus interface.

    `state_file` has one line, a word and the name of a slot: `chosen B` once slot B shall start, `trial B` while it is
    on trial, `kept B` once it is kept, `fell-back B` after the boot loader has returned from it; RAUC's handler removes
    the file when an installation begins.
    """

    may_interrupt = False
    reboots_by_itself = True
    has_trials = True
    version = package_version()
    """the program is a part of the image"""

    def __init__(self, state_file: Path, reboot_file: Path, clock: Clock) -> None:
        """`reboot_file`: the machine reboots once this file is there (borne-reboot.path of the station image)."""
        self._state_file = state_file
        self._reboot_file = reboot_file
        self._clock = clock

    async def install(self, image: Path) -> None:
        """Check the signature of a bundle, and write it to the slot that does not run; activates nothing.

        Raises:
            ImageError: the file is no bundle, or not signed by a trusted certificate.
            InstallError: RAUC refuses it, such as one for other hardware or of an older version, or cannot write it.
        """
        await self._leave_readable(image)
        checked = await self._rauc("info", image)
        if checked.status != 0:
            raise ImageError(f"RAUC does not accept the bundle: {checked.reason}")
        deadline_s = self._clock.monotonic() + _INSTALL_TIMEOUT_S
        while True:
            installed = await run_command(["rauc", "install", image], _INSTALL_TIMEOUT_S, self._clock)
            if _BUSY not in installed.reason or self._clock.monotonic() >= deadline_s:
                break
            # An installation goes on that an earlier run of this program has asked for.
            await self._clock.sleep(_BUSY_PAUSE_S)
        if installed.status != 0:
            raise InstallError(f"RAUC cannot install the bundle: {installed.reason}")

    async def activate(self) -> None:
        """Let the boot loader start the other slot, on trial, and ask for a reboot; returns before it.

        Raises:
            InstallError: RAUC or the boot loader's handler fails, or the machine cannot be asked to reboot.
        """
        await self._mark("mark-active", "other")
        try:
            await self._ask_for_reboot()
        except InstallError:
            await self.take_back()
            raise

    async def take_back(self) -> None:
        """Let the boot loader start the running slot again: else the next boot, whenever that is, would be a trial.

        Raises:
            InstallError: RAUC or the boot loader's handler fails.
        """
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._reboot_file.unlink)
        await self._mark("mark-active", "booted")

    async def activation(self) -> ActivationResult:
        """Read from the state file how the trial of the slot installed last went; NOT_YET if there was none.

        ON_TRIAL if the disk cannot be read: firmware that may be on trial is kept only after its self-test.
        """
        with self._clock.outside_wait():
            try:
                text = await asyncio.to_thread(self._state_file.read_text, encoding="utf-8", errors="replace")
            except FileNotFoundError:
                return ActivationResult.NOT_YET
            except OSError as error:
                _log.error("%s: %s; the firmware counts as on trial", self._state_file, error.strerror)
                return ActivationResult.ON_TRIAL
        return _RESULTS.get(text.split(" ")[0], ActivationResult.NOT_YET)

    async def keep(self) -> None:
        """Mark the running slot as good.

        Raises:
            InstallError: RAUC or the boot loader's handler fails; the boot loader counts a failed attempt.
        """
        await self._mark("mark-good", "booted")

    async def give_up(self) -> None:
        """Mark the running slot as bad, and ask for a reboot; returns before it.

        Raises:
            InstallError: RAUC or the boot loader's handler fails, or the machine cannot be asked to reboot.
        """
        await self._mark("mark-bad", "booted")
        await self._ask_for_reboot()

    async def _leave_readable(self, image: Path) -> None:
        """Let the group read a bundle: RAUC takes its ownership, and this program reads it again after a power cut."""
        try:
            await asyncio.to_thread(image.chmod, 0o640)
        except OSError as error:
            _log.debug("%s: %s", image, error.strerror)  # RAUC owns it already

    async def _ask_for_reboot(self) -> None:
        try:
            await asyncio.to_thread(self._reboot_file.touch)
        except OSError as error:
            raise InstallError(f"the machine cannot be asked to reboot: {error.strerror}") from error

    async def _mark(self, mark: str, slot: str) -> None:
        result = await self._rauc("status", mark, slot)
        if result.status != 0:
            raise InstallError(f"rauc status {mark} {slot} failed: {result.reason}")

    async def _rauc(self, *arguments: str | Path) -> CommandResult:
        return await run_command(["rauc", *arguments], _TIMEOUT_S, self._clock)
