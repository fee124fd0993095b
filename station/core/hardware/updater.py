"""What puts firmware into a station: a contract for boot loaders with two slots, package managers and the like."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Protocol


class InstallError(Exception):
    """The firmware is not installed; what ran before goes on running."""


class ImageError(InstallError):
    """The image itself is not what it should be: its own checks fail (L01.FR.29)."""


class ActivationResult(Enum):
    """What became of the firmware that was installed last."""

    NOT_YET = auto()
    """it has not been activated"""
    RUNNING = auto()
    """this boot runs it"""
    ROLLED_BACK = auto()
    """it was activated and did not come up; what ran before runs again"""


class Updater(Protocol):
    """Puts an image beside the running firmware, and makes it the one that boots."""

    @property
    def version(self) -> str | None:
        """The version of the firmware that runs; None when the updater does not know it."""
        ...

    @property
    def may_interrupt(self) -> bool:
        """Whether `install` may be cancelled half-way without harm (L01.FR.24)."""
        ...

    @property
    def reboots_by_itself(self) -> bool:
        """Whether `activate` reboots the machine; otherwise the program begins a new life."""
        ...

    async def install(self, image: Path) -> None:
        """Check an image and put it beside the running firmware; doing it again does no harm.

        Raises:
            ImageError: the image fails its own checks.
            InstallError: it cannot be installed.
        """
        ...

    async def activate(self) -> None:
        """Let what was installed last run from the next boot on.

        Raises:
            InstallError: it cannot be activated.
        """
        ...

    async def activation(self) -> ActivationResult:
        """What became of the firmware that was installed last."""
        ...
