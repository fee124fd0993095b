"""The images that wait in their folder for an installation."""

from __future__ import annotations

import logging
from pathlib import Path

from station.maintenance.firmware.state import FirmwareStatus

_log = logging.getLogger(__name__)


def take(brought: Path, image: Path) -> FirmwareStatus:
    """The image that was brought; after a power cut it may have been taken already."""
    try:
        if brought.exists():
            brought.replace(image)
        return FirmwareStatus.DOWNLOADED if image.exists() else FirmwareStatus.DOWNLOAD_FAILED
    except OSError as error:
        _log.error("the image cannot be taken: %s", error.strerror)
        return FirmwareStatus.DOWNLOAD_FAILED


def clear(folder: Path, keep: Path | None) -> None:
    """Make a folder for images, with none in it but `keep`.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for image in folder.glob("image-*"):
        if image != keep:
            image.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Drop every image, as far as the disk allows: the next update tries again."""
    try:
        clear(folder, None)
    except OSError as error:
        _log.error("the image cannot be removed: %s", error.strerror)
