"""The directory of images to be installed."""

from __future__ import annotations

import logging
from pathlib import Path

from station.maintenance.firmware.state import FirmwareStatus

_log = logging.getLogger(__name__)


def move_uploaded(uploaded: Path, image: Path) -> FirmwareStatus:
    """Move an uploaded image to the place of a download, and return DOWNLOADED or DOWNLOAD_FAILED; blocks on the disk.

    After a power cut it may have been moved already, which counts as DOWNLOADED.
    """
    try:
        if uploaded.exists():
            uploaded.replace(image)
        return FirmwareStatus.DOWNLOADED if image.exists() else FirmwareStatus.DOWNLOAD_FAILED
    except OSError as error:
        _log.error("the uploaded firmware image cannot be moved: %s", error.strerror)
        return FirmwareStatus.DOWNLOAD_FAILED


def discard_uploaded(uploaded: Path) -> None:
    """Delete an uploaded image and the parts of one, since another image takes their space. Blocks on the disk.

    Raises:
        OSError: the disk refuses.
    """
    for file in (uploaded, *uploaded.parent.glob(f"{uploaded.name}*.part")):
        file.unlink(missing_ok=True)


def clear(folder: Path, keep: Path | None) -> None:
    """Create the folder of images, and delete all images in it but `keep`. Blocks on the disk.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for image in folder.glob("image-*"):
        if image != keep:
            image.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Delete every image in the folder, blocking; errors are logged, the next update tries again."""
    try:
        clear(folder, None)
    except OSError as error:
        _log.error("a firmware image cannot be removed: %s", error.strerror)
