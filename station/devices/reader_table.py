"""`ReaderTable`: the base class of the [[reader]] tables."""

from __future__ import annotations

from foundation.device_table import DeviceTable
from station.core.installation_file.table import EvseNumber


class ReaderTable(DeviceTable):
    """Base class of the [[reader]] tables: the keys that all readers have."""

    evse: EvseNumber | None = None
    """the EVSE that the reader serves; absent: all EVSEs"""
    reversed_bytes: bool = False
    """whether the reader sends the last byte of a UID first"""
