"""Receives from a meter that only sends: on a serial device, or the same bytes over TCP (`socket://host:port`)."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

import serialx
from serialx import AsyncSerial, SerialException

from energy.sources.stream_device import is_socket
from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.sources.byte_feed import FedPort
    from energy.sources.source_context import SourceContext
    from foundation.byte_tap import ByteTap
    from foundation.clock import Clock

_CHUNK_BYTES: Final = 4096
_CONNECT_TIMEOUT_S: Final = 5.0
_SILENCE_TIMEOUT_S: Final = 60.0
"""a TCP connection without data for this long has lost its peer unnoticed"""


class LineSettings(Frozen):
    """Settings of a serial device; a serial server has its own."""

    baud: int
    seven_bits: bool
    """7E1, as the meter sends; else 8N1"""

    def __str__(self) -> str:
        return f"{self.baud} baud, {'7E1' if self.seven_bits else '8N1'}"


class StreamError(ExpectedError):
    """The device cannot be opened, or the connection is lost; the message names it."""


class ByteStream:
    """An open serial device or TCP connection of a meter, made by `open_stream`: it only receives."""

    def __init__(self, device: str, port: AsyncSerial | FedPort, clock: Clock, tap: ByteTap | None) -> None:
        self._device = device
        self._tap = tap
        self._port = port
        self._clock = clock

    async def read(self, until_s: float | None) -> bytes | None:
        """Read the next bytes; None if there are none before `until_s` (of Clock.monotonic).

        Raises:
            StreamError: the connection is lost.
        """
        now_s = self._clock.monotonic()
        silent_s = now_s + _SILENCE_TIMEOUT_S if is_socket(self._device) else None
        ends_s = min((moment for moment in (until_s, silent_s) if moment is not None), default=None)
        try:
            if ends_s is None:
                data = await self._port.read(_CHUNK_BYTES)
            elif ends_s <= now_s:
                return None
            else:
                async with self._clock.timeout(ends_s - now_s):
                    data = await self._port.read(_CHUNK_BYTES)
        except TimeoutError:
            if ends_s == until_s:
                return None
            raise StreamError(f"{self._device}: no data received for {_SILENCE_TIMEOUT_S:g} s") from None
        except (OSError, SerialException) as error:
            raise StreamError(f"{self._device}: {error}") from error
        if not data:
            raise StreamError(f"{self._device}: connection closed by the other side")
        if self._tap is not None:
            self._tap.record(self._device, self._clock.now(), data)
        return data


@contextlib.asynccontextmanager
async def open_stream(
    device: str, settings: LineSettings, clock: Clock, context: SourceContext | None = None
) -> AsyncGenerator[ByteStream]:
    """Open a device for the duration of the block; received bytes are recorded in the tap of `context`.

    The feed of `context` is read too.

    Raises:
        StreamError: the device is missing, busy, or refuses.
    """
    try:
        with clock.outside_wait():
            async with clock.timeout(_CONNECT_TIMEOUT_S):
                port = await _open(device, settings)
    except TimeoutError:
        raise StreamError(f"{device}: no connection within {_CONNECT_TIMEOUT_S:g} s") from None
    except (OSError, ValueError, SerialException) as error:
        raise StreamError(f"{device}: {error}") from error
    read_from = context.feed.connect(port) if context is not None and context.feed is not None else port
    try:
        yield ByteStream(device, read_from, clock, context.tap if context is not None else None)
    finally:
        # A lost device need not be closed.
        with contextlib.suppress(OSError, SerialException), clock.outside_wait():
            await read_from.close()


async def _open(device: str, settings: LineSettings) -> AsyncSerial:
    """Open the device with the meter's settings or, if it does not support 7E1, with 8N1 and the parity in bit 7."""
    if settings.seven_bits and not is_socket(device):
        try:
            port = serialx.async_serial_for_url(device, baudrate=settings.baud, byte_size=7, parity=serialx.Parity.EVEN)
            await port.open()
        except (OSError, serialx.UnsupportedSetting) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
        else:
            return port
    port = serialx.async_serial_for_url(device, baudrate=settings.baud)
    await port.open()
    return port
