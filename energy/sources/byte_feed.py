"""Bytes of a simulated meter that reach their reader without a device, while virtual time outruns the real line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal

if TYPE_CHECKING:
    from serialx import AsyncSerial


class ByteFeed:
    """A line in memory from one simulated meter to one reader, beside the device that both use in real time."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._arrived = ChangeSignal()
        self._reader: FedPort | None = None
        self.connections = 0
        """number of times that a reader has connected"""

    def send(self, data: bytes) -> None:
        """Send bytes to the reader; they are lost if none is connected, as on a line."""
        if self._reader is not None:
            self._data += data
            self._arrived.notify()

    def connect(self, port: AsyncSerial) -> FedPort:
        """Connect a reader, which also receives what `port` does; replaces the one before."""
        self._data.clear()
        self.connections += 1
        self._reader = FedPort(self, port, self._arrived)
        return self._reader

    def disconnect(self, reader: FedPort) -> None:
        """Disconnect a reader; nothing if another one has replaced it."""
        if self._reader is reader:
            self._reader = None

    def take(self) -> bytes:
        """Remove and return what has been sent and not yet read."""
        data = bytes(self._data)
        self._data.clear()
        return data


class FedPort:
    """An open serial port whose reader also receives what is sent on a `ByteFeed`."""

    def __init__(self, feed: ByteFeed, port: AsyncSerial, arrived: ChangeSignal) -> None:
        self._feed = feed
        self._port = port
        self._arrived = arrived
        self._read_task: asyncio.Task[bytes] | None = None

    async def read(self, size: int) -> bytes:
        """Wait for bytes of the feed or the port, and return them; at most `size` of the port.

        Raises:
            OSError, SerialException: as the port.
        """
        while True:
            count_before = self._arrived.count
            if data := self._feed.take():
                return data
            if self._read_task is None:
                self._read_task = asyncio.get_running_loop().create_task(self._port.read(size))
                self._read_task.add_done_callback(lambda _: self._arrived.notify())
            elif self._read_task.done():
                reading, self._read_task = self._read_task, None
                return reading.result()
            await self._arrived.wait(count_before)

    async def close(self) -> None:
        """Disconnect from the feed, and close the port."""
        self._feed.disconnect(self)
        if self._read_task is not None:
            self._read_task.cancel()
            await asyncio.wait([self._read_task])
        await self._port.close()
