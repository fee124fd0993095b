"""`ReaderTable`: the base class of the [[reader]] tables."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from foundation.device_table import DeviceTable


class ReaderTable(DeviceTable):
    """Base class of the [[reader]] tables: the keys that all readers have."""

    evse: Annotated[int, Meta(ge=1, le=1000, examples=[1])] | None = None
    """the EVSE that the reader serves; absent: all EVSEs"""
    reversed_bytes: bool = False
    """whether the reader sends the last byte of a UID first"""
