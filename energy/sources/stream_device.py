"""The name of a device that only sends: a path, or `socket://host:port`. Light, since each configuration checks it."""

from __future__ import annotations

from typing import Final

_SOCKET_SCHEME: Final = "socket://"


def is_socket(device: str) -> bool:
    """Return whether a device is reached through TCP, by its name; connects nothing."""
    return device.startswith(_SOCKET_SCHEME)
