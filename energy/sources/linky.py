"""A Linky meter on a serial device: opens it, finds its speed, yields what it tells of the connection."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from energy.grid import GridSample, GridSource, SourceError
from energy.sources.linky_frame import LinkyInterpreter
from energy.sources.tic import Group, LinkyParser, TicMode

if TYPE_CHECKING:
    from serialx import AsyncSerial

    from metering.clock import Clock

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 5.0
"""how long one speed is tried: more than two of the longest frames, 2.3 s each"""
_CONVINCING_GROUPS: Final = 3
"""checked groups that show the right speed: the check has six bits, so noise may pass it once"""
_CHUNK: Final = 4096

_MODES: Final = {
    "auto": (TicMode.HISTORIQUE, TicMode.STANDARD),
    "historique": (TicMode.HISTORIQUE,),
    "standard": (TicMode.STANDARD,),
}


class LinkyConfig(BaseModel):
    """A Linky whose customer output (I1, I2) reaches a serial device of this machine through a receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Literal["linky"]
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device"""
    mode: Literal["auto", "historique", "standard"] = "auto"
    """what the meter speaks; the grid operator sets it, meters leave the factory in historique"""

    def open(self, clock: Clock) -> GridSource:
        """The source; the device itself is opened when samples are asked for."""
        return LinkySource(self, clock)


class LinkySource:
    """The samples of a Linky. Silence on the wire is no error: the caller judges the age of what it has."""

    def __init__(self, config: LinkyConfig, clock: Clock) -> None:
        self._device = config.device
        self._modes = deque(_MODES[config.mode])
        self._clock = clock

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Yield a sample with each frame that has a current of every phase.

        Raises:
            SourceError: the device is missing, busy, or gone.
        """
        from serialx import SerialException

        try:
            async with contextlib.aclosing(self._listen()) as samples:
                async for sample in samples:
                    yield sample
        except (OSError, SerialException) as error:
            raise SourceError(f"linky: {self._device}: {error}") from error

    async def _listen(self) -> AsyncGenerator[GridSample]:
        while True:
            mode = self._modes[0]
            async with self._port(mode) as port:
                hearing = _Hearing(self._clock, searching=len(self._modes) > 1)
                while (data := await self._read(port, hearing.until_s)) is not None:
                    for sample in hearing.take(data):
                        yield sample
            _log.debug("%s: nothing to understand at %d baud", self._device, mode.value)
            self._modes.rotate(-1)

    @contextlib.asynccontextmanager
    async def _port(self, mode: TicMode) -> AsyncGenerator[AsyncSerial]:
        with self._clock.wire():
            port = await _opened(self._device, mode)
        try:
            yield port
        finally:
            await port.close()

    async def _read(self, port: AsyncSerial, until_s: float | None) -> bytes | None:
        """The next bytes; None when it is `until_s` (of Clock.monotonic) before there are any."""
        if until_s is None:
            data = await port.read(_CHUNK)
        else:
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0:
                return None
            try:
                async with self._clock.timeout(left_s):
                    data = await port.read(_CHUNK)
            except TimeoutError:
                return None
        if not data:
            raise OSError(errno.EIO, "the device is gone")
        return data


class _Hearing:
    """What is understood of one speed, and how long it is worth listening to."""

    def __init__(self, clock: Clock, *, searching: bool) -> None:
        self._clock = clock
        self._parser = LinkyParser()
        self._interpreter = LinkyInterpreter()
        self._groups = 0
        self.until_s = clock.monotonic() + _PATIENCE_S if searching else None

    def take(self, data: bytes) -> Iterator[GridSample]:
        """The samples that these bytes complete."""
        for event in self._parser.feed(data):
            if isinstance(event, Group):
                self._note(event)
            sample = self._interpreter.take(event, self._clock.now())
            if sample is not None:
                yield sample

    def _note(self, group: Group) -> None:
        self._groups += 1
        if self._groups == _CONVINCING_GROUPS:
            _log.info("Linky heard: %s mode", group.mode.name.lower())
        if self._groups >= _CONVINCING_GROUPS and self.until_s is not None:
            self.until_s = self._clock.monotonic() + _PATIENCE_S


async def _opened(device: str, mode: TicMode) -> AsyncSerial:
    """The open device: 7E1 as the meter sends or, where that cannot be set, 8N1 with the parity as bit 7."""
    import serialx

    try:
        port = serialx.async_serial_for_url(device, baudrate=mode.value, byte_size=7, parity=serialx.Parity.EVEN)
        await port.open()
    except (OSError, serialx.UnsupportedSetting) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        port = serialx.async_serial_for_url(device, baudrate=mode.value)
        await port.open()
    return port
