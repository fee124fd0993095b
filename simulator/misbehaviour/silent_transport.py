"""The transport of a TCP connection that sends nothing more, but is not closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class SilentTransport(asyncio.Transport):
    """Takes the place of the transport of an open connection: what is written is lost, what is received still comes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nothing."""

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send nothing."""

    def write_eof(self) -> None:
        """Send nothing, not even the end."""

    def can_write_eof(self) -> bool:
        """Return that an end can be written, which is lost too."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits to be sent."""
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what the connection says about itself."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Receive nothing for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._transport.resume_reading()

    def close(self) -> None:
        """End the connection."""
        self._transport.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()
