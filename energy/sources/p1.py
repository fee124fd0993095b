"""Grid source for a P1 port (DSMR and its relatives) on a serial device or over TCP."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from energy.grid import GridSample, GridSource, SourceError
from energy.sources.byte_stream import LineSettings, StreamError, is_socket, open_stream
from energy.sources.source_context import THREE_PHASES, SourceContext

if TYPE_CHECKING:  # loaded only by stations that have a P1 port
    from energy.sources.p1_cipher import Decryptor
    from energy.sources.p1_telegram import Telegram
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_KEY_BYTES: Final = 16
_REFUSED_IN_A_ROW: Final = 3
"""consecutive telegrams that cannot be decrypted before a wrong key is logged"""


class _P1LineSettings:
    """Line settings of P1 versions, each with the time to try it, in s: more than one period of its telegrams."""

    MODERN = (LineSettings(115_200, seven_bits=False), 12.0)
    """version 4 and later, every second or every ten"""
    OLD = (LineSettings(9600, seven_bits=True), 25.0)
    """versions 2.2 and 3, every ten seconds; a telegram itself takes one"""


_STAY_S: Final = 30.0
"""longest silence, three slow periods, before other settings are tried: the meter may have been exchanged"""


class P1Config(BaseModel):
    """A meter whose P1 port reaches a serial device of this machine, or a serial server."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    type: Literal["p1"]
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device, or `socket://host:port` of a serial server or dongle"""
    version: Literal["auto", "old", "modern"] = "auto"
    """old: 2.2 and 3 (9600 7E1); modern: 4 and later (115200 8N1); auto tries both"""
    key: SecretStr | None = None
    """decryption key from the grid operator, 32 hex digits, if telegrams are encrypted (Luxembourg)"""
    authentication_key: SecretStr | None = None
    """32 hex digits; that of Luxembourg when absent"""

    @field_validator("key", "authentication_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and _bytes(key) is None:
            raise ValueError(f"must be {2 * _KEY_BYTES} hexadecimal digits")
        return key

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        return P1Source(self, clock, context)

    def decryptor(self) -> Decryptor | None:
        """Make the decryptor of the telegrams; None if no key is configured."""
        from energy.sources.p1_cipher import AUTHENTICATION_KEY, Decryptor

        key = _bytes(self.key)
        return Decryptor(key, _bytes(self.authentication_key) or AUTHENTICATION_KEY) if key is not None else None


def _bytes(key: SecretStr | None) -> bytes | None:
    try:
        found = bytes.fromhex(key.get_secret_value()) if key is not None else b""
    except ValueError:
        return None
    return found if len(found) == _KEY_BYTES else None


_SPEEDS: Final = {
    "auto": (_P1LineSettings.MODERN, _P1LineSettings.OLD),
    "modern": (_P1LineSettings.MODERN,),
    "old": (_P1LineSettings.OLD,),
}


class P1Source:
    """Samples of a P1 port. Silence is no error: the caller tracks the age of its values."""

    def __init__(self, config: P1Config, clock: Clock, context: SourceContext) -> None:
        from energy.sources.p1_interpreter import P1Interpreter

        self._config = config
        speeds = _SPEEDS[config.version]
        self._speeds = deque(speeds[:1] if is_socket(config.device) else speeds)  # a serial server has its own
        self._clock = clock
        self._tap = context.tap
        self._interpreter = P1Interpreter(context)

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Yield a sample for each valid telegram that is not a repetition.

        Raises:
            SourceError: the device is missing, busy, or lost.
        """
        try:
            async with contextlib.aclosing(self._listen()) as samples:
                async for sample in samples:
                    yield sample
        except StreamError as error:
            raise SourceError(f"p1: {error}") from error

    async def _listen(self) -> AsyncGenerator[GridSample]:
        from energy.sources import p1_reading

        while True:
            settings, patience_s = self._speeds[0]
            searching = len(self._speeds) > 1
            async with open_stream(self._config.device, settings, self._clock, self._tap) as stream:
                receiver = _P1Receiver(self._config.decryptor())
                until_s = self._clock.monotonic() + patience_s if searching else None
                while (data := await stream.read(until_s)) is not None:
                    for telegram in receiver.take(data):
                        if not p1_reading.believable(telegram):
                            _log.debug("P1: telegram ignored: incomplete, or wrong checksum")
                            continue
                        if searching:
                            until_s = self._clock.monotonic() + _STAY_S
                        sample = self._interpreter.process(telegram, self._clock.now())
                        if sample is not None:
                            yield sample
            _log.debug("%s: no readable telegram at %s", self._config.device, settings)
            self._speeds.rotate(-1)


class _P1Receiver:
    """Converts bytes to telegrams, decrypting them if needed."""

    def __init__(self, decryptor: Decryptor | None) -> None:
        from energy.sources.p1_telegram import TelegramParser

        self._decryptor = decryptor
        self._new_parser = TelegramParser
        self._parser = TelegramParser()
        self._warned = False

    def take(self, data: bytes) -> Iterator[Telegram]:
        """Yield the telegrams completed by these bytes."""
        if self._decryptor is None:
            yield from self._parser.feed(data)
            return
        for plain in self._decryptor.feed(data):
            yield from self._new_parser().feed(plain)
        # The operator may have disabled encryption; without a checksum noise could pass for a telegram.
        yield from (telegram for telegram in self._parser.feed(data) if telegram.crc_ok)
        if self._decryptor.refused >= _REFUSED_IN_A_ROW and not self._warned:
            self._warned = True
            _log.warning("P1: telegrams cannot be decrypted with the configured key")
