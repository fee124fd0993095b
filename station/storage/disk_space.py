"""Free space on a disk. `shutil` would load the compression libraries at each start."""

from __future__ import annotations

import os
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """Return the free disk space, in bytes, of the file system that contains a folder.

    Raises:
        OSError: the folder does not exist.
    """
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
