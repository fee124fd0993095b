"""Keeps the station of a data folder from running while its devices are opened by another command."""

from __future__ import annotations

import contextlib
from pathlib import Path

from station.storage.storage_lock import StorageLock, StorageLockError


def lock_out_station(folder: Path, held: contextlib.ExitStack) -> str | None:
    """Lock a data folder until `held` is closed, so that no station starts; does not create it.

    Returns the process of the station that runs, such as "process 812"; None: none does.

    Raises:
        StorageLockError: it cannot be known, since the folder cannot be opened.
    """
    try:
        if not folder.is_dir():
            return None  # no station has run here
        held.enter_context(StorageLock(folder))
    except OSError as error:
        raise StorageLockError(f"{folder}: {error.strerror}") from error
    except StorageLockError as error:
        _, in_use, holder = str(error).rpartition(" is in use by ")
        if not in_use:
            raise
        return holder
    return None
