"""Firmware updates by commands of the machine: install, activate, and confirm that the new firmware runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.devices.machine_command import CommandResult, run_command
from station.storage import private_files

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_EXIT_BAD_IMAGE = 65
"""exit status of the install command for a bad image (EX_DATAERR of sysexits.h)"""


class UpdaterCommands(Frozen):
    """The commands that `CommandUpdater` runs, from [firmware]: each a program with its arguments; empty: none."""

    install: Sequence[str]
    """gets the path of the image as its last argument"""
    activate: Sequence[str] = ()
    """also reboots the machine; empty: a restart of this program activates the firmware"""
    confirm: Sequence[str] = ()
    """exit status 0: the new firmware runs; empty: it runs once activated"""
    timeout_s: float = 1800.0
    """timeout of each command"""


class CommandUpdater:
    """The `Updater` that installs firmware by commands; a marker file records that activation was requested."""

    may_interrupt = False
    has_trials = False
    version = None

    def __init__(self, commands: UpdaterCommands, folder: Path, clock: Clock) -> None:
        self._commands = commands
        self._marker = folder / "activated"
        self._clock = clock

    @property
    def reboots_by_itself(self) -> bool:
        """Whether an activate command is configured, which reboots; else the caller must restart the program."""
        return bool(self._commands.activate)

    async def install(self, image: Path) -> None:
        """Remove the marker file, and run the install command with the path of the image; returns once it has ended.

        Nothing is activated. When cancelled, the command is killed.

        Raises:
            ImageError: the command ends with status 65.
            InstallError: the command ends with another status than 0, times out or cannot be started.
        """
        try:
            await asyncio.to_thread(private_files.remove, self._marker)
        except OSError as error:
            raise InstallError(f"the activation marker cannot be removed: {error.strerror}") from error
        result = await self._run([*self._commands.install, str(image)])
        if result.status == _EXIT_BAD_IMAGE:
            raise ImageError(result.reason or "install_command rejected the image")
        if result.status != 0:
            raise InstallError(f"install_command failed with exit status {result.status}: {result.reason}")

    async def activate(self) -> None:
        """Write the marker file, and run the activate command, which reboots the machine; without one, do no more.

        Raises:
            InstallError: the file cannot be written, or the command fails.
        """
        try:
            await asyncio.to_thread(private_files.write, self._marker, "")
        except OSError as error:
            raise InstallError(f"the activation marker cannot be written: {error.strerror}") from error
        if self._commands.activate:
            result = await self._run(self._commands.activate)
            if result.status != 0:
                raise InstallError(f"activate_command failed with exit status {result.status}: {result.reason}")

    async def activation(self) -> ActivationResult:
        """Find out whether the last installed firmware runs; changes nothing.

        NOT_YET without the marker file; else by the confirm command: RUNNING if it succeeds or there is none,
        ROLLED_BACK if it fails, times out or cannot be started.
        """
        if not self._marker.exists():
            return ActivationResult.NOT_YET
        if not self._commands.confirm:
            return ActivationResult.RUNNING
        try:
            result = await self._run(self._commands.confirm)
        except InstallError as error:
            _log.warning("%s", error)
            return ActivationResult.ROLLED_BACK
        return ActivationResult.RUNNING if result.status == 0 else ActivationResult.ROLLED_BACK

    async def take_back(self) -> None:
        """Do nothing: no command is configured for this."""

    async def keep(self) -> None:
        """Do nothing: the confirm command has said whether the new firmware runs."""

    async def give_up(self) -> None:
        """Do nothing: no result of this updater is a trial."""

    async def _run(self, command: Sequence[str]) -> CommandResult:
        return await run_command(command, self._commands.timeout_s, self._clock)
