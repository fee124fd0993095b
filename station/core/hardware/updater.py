"""The interface of a firmware updater, such as a boot loader with two slots or a package manager."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from foundation.expected_error import ExpectedError


class InstallError(ExpectedError):
    """The firmware is not installed; the previous firmware stays active."""


class ImageError(InstallError):
    """The firmware image is invalid: its own checks fail (L01.FR.29)."""


class ActivationResult(Enum):
    """Whether the firmware that was installed last runs, after a boot."""

    NOT_YET = auto()
    """it has not been activated"""
    ON_TRIAL = auto()
    """it is running for the first time: the boot loader returns to the previous firmware unless `keep` is called"""
    RUNNING = auto()
    """it is running, for all further boots"""
    ROLLED_BACK = auto()
    """it was activated but failed to start; the previous firmware is running again"""


class Updater(Protocol):
    """Installs a firmware image beside the running firmware, and activates it for the next boot."""

    @property
    def version(self) -> str | None:
        """The version of the running firmware; None if unknown."""
        ...

    @property
    def may_interrupt(self) -> bool:
        """Whether `install` may be cancelled safely (L01.FR.24)."""
        ...

    @property
    def reboots_by_itself(self) -> bool:
        """Whether `activate` reboots the machine; otherwise the caller must restart the program."""
        ...

    @property
    def has_trials(self) -> bool:
        """Whether new firmware runs on trial at first, which is then asked at each start (`activation`)."""
        ...

    async def install(self, image: Path) -> None:
        """Validate an image and install it beside the running firmware; idempotent.

        Raises:
            ImageError: the image fails its own checks.
            InstallError: it cannot be installed.
        """
        ...

    async def activate(self) -> None:
        """Make the firmware that was installed last run from the next boot on.

        Raises:
            InstallError: it cannot be activated.
        """
        ...

    async def take_back(self) -> None:
        """Let the running firmware run from the next boot on too, because the machine did not reboot after `activate`.

        Raises:
            InstallError: the boot loader's state cannot be written.
        """
        ...

    async def activation(self) -> ActivationResult:
        """Read whether the firmware that was installed last runs, was rolled back, or is not activated yet."""
        ...

    async def keep(self) -> None:
        """Keep the running firmware for all further boots; called once after each start, or after a passed trial.

        Raises:
            InstallError: the boot loader's state cannot be written; it may return to the previous firmware.
        """
        ...

    async def give_up(self) -> None:
        """Make the previous firmware run from the next boot on, because the one on trial has failed.

        Reboots as `activate` does.

        Raises:
            InstallError: the boot loader's state cannot be written.
        """
        ...
