"""Grid source for a P1 port (DSMR and its relatives) on a serial device or over TCP."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from energy.sources import p1_reading
from energy.sources.byte_stream import LineSettings
from energy.sources.line_search import LineCandidate, LineSearchSource
from energy.sources.p1_cipher import AUTHENTICATION_KEY, Decryptor
from energy.sources.p1_interpreter import P1Interpreter
from energy.sources.p1_telegram import Telegram, TelegramParser
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.grid import GridSample
    from energy.sources.source_context import SourceContext
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_MAX_REFUSED_IN_A_ROW: Final = 3
"""consecutive telegrams that cannot be decrypted before a wrong key is logged"""


class _P1LineSettings:
    """Line settings of P1 versions, each with the time to try it, in s: more than one period of its telegrams."""

    MODERN = (LineSettings(115_200, seven_bits=False), 12.0)
    """version 4 and later, every second or every ten"""
    OLD = (LineSettings(9600, seven_bits=True), 25.0)
    """versions 2.2 and 3, every ten seconds; a telegram itself takes one"""


_SETTING_TIMEOUT_S: Final = 30.0
"""longest silence, three slow periods, before other settings are tried: the meter may have been exchanged"""


_LINE_SETTINGS: Final = {
    "auto": (_P1LineSettings.MODERN, _P1LineSettings.OLD),
    "modern": (_P1LineSettings.MODERN,),
    "old": (_P1LineSettings.OLD,),
}


class P1Keys(Frozen):
    """The configured keys of encrypted telegrams, which the grid operator gives to the house."""

    key: bytes | None
    """None: telegrams are not encrypted"""
    authentication_key: bytes | None
    """None: that of Luxembourg"""

    def decryptor(self) -> Decryptor | None:
        """Make the decryptor of the telegrams; None if no key is configured."""
        return None if self.key is None else Decryptor(self.key, self.authentication_key or AUTHENTICATION_KEY)


def p1_source(
    device: str, version: Literal["auto", "old", "modern"], keys: P1Keys, clock: Clock, context: SourceContext
) -> LineSearchSource:
    """Make the source: a sample for each valid telegram that is not a repetition."""
    interpreter = P1Interpreter(context)

    def candidate(settings: LineSettings, patience_s: float) -> LineCandidate:
        return LineCandidate(
            settings,
            lambda searching: _P1Receiver(keys.decryptor(), interpreter, clock, patience_s if searching else None),
            f"no readable telegram at {settings}",
        )

    return LineSearchSource("p1", device, [candidate(*speed) for speed in _LINE_SETTINGS[version]], clock, context)


class _P1Receiver:
    """Decodes the bytes received with one setting of the line, and decides how long to try it."""

    def __init__(
        self, decryptor: Decryptor | None, interpreter: P1Interpreter, clock: Clock, patience_s: float | None
    ) -> None:
        self._telegram_receiver = _TelegramReceiver(decryptor)
        self._interpreter = interpreter
        self._clock = clock
        self.until_s = clock.monotonic() + patience_s if patience_s is not None else None

    def take(self, data: bytes) -> Iterator[GridSample]:
        """Yield the samples completed by these bytes."""
        for telegram in self._telegram_receiver.take(data):
            if not p1_reading.believable(telegram):
                _log.debug("P1: telegram ignored: incomplete, or wrong checksum")
                continue
            if self.until_s is not None:
                self.until_s = self._clock.monotonic() + _SETTING_TIMEOUT_S
            sample = self._interpreter.process(telegram, self._clock.now())
            if sample is not None:
                yield sample


class _TelegramReceiver:
    """Converts bytes to telegrams, decrypting them if needed."""

    def __init__(self, decryptor: Decryptor | None) -> None:
        self._decryptor = decryptor
        self._parser = TelegramParser()
        self._warned = False

    def take(self, data: bytes) -> Iterator[Telegram]:
        """Yield the telegrams completed by these bytes."""
        if self._decryptor is None:
            yield from self._parser.feed(data)
            return
        for plain in self._decryptor.feed(data):
            yield from TelegramParser().feed(plain)
        # The operator may have disabled encryption; without a checksum noise could pass for a telegram.
        yield from (telegram for telegram in self._parser.feed(data) if telegram.crc_ok)
        if self._decryptor.refused >= _MAX_REFUSED_IN_A_ROW and not self._warned:
            self._warned = True
            _log.warning("P1: telegrams cannot be decrypted with the configured key")
