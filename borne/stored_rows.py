"""Finds the unreadable rows of a storage, for `borne check --storage`."""

from __future__ import annotations

from pathlib import Path

from borne.station_settings import StationSettings
from station.maintenance.storage_check import StorageUnreadableError, unreadable_rows

__all__ = ["StorageUnreadableError", "describe_unreadable_rows"]


def describe_unreadable_rows(storage: Path, *, only_new: bool = False) -> list[str]:
    """Return a sentence for each row in the database of a storage folder that this version cannot read.

    `only_new`: without those that the station has found unreadable itself.

    Raises:
        StorageUnreadableError: there is no storage, it is of a newer version, or it is not a database.
    """
    return unreadable_rows(storage, StationSettings().groups, only_new=only_new)
