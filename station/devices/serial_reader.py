"""A token reader on a serial line that sends the UID of a card in hexadecimal digits, framed in one of two ways."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta

from energy.sources.stream_device import is_socket
from foundation.device_table import Resource, serial_resource
from station.core.hardware.token_reader import ReaderError
from station.devices.reader_table import ReaderTable

if TYPE_CHECKING:
    from foundation.clock import Clock

_STX: Final = 0x02
_ETX: Final = 0x03
_LINE_END: Final = frozenset(b"\r\n\0")
_MAX_FRAME_BYTES: Final = 64
_RECONNECT_AFTER_S: Final = 30.0
"""a TCP connection without data is closed and opened again after this time, to detect that the reader is gone"""


class SerialReaderConfig(ReaderTable, kw_only=True, tag_field="type", tag="serial"):
    """[[reader]] of type "serial": an RFID reader that sends UIDs on a serial line or a TCP connection."""

    type: ClassVar[Literal["serial"]] = "serial"
    device: Annotated[str, Meta(min_length=1, examples=["/dev/ttyUSB1"])]
    """path of the serial device, or socket://host:port"""
    baud: Annotated[int, Meta(ge=300, le=1_000_000)] = 9600
    """bits per second of the serial line"""
    framing: Literal["line", "stx-etx"] = "line"
    """line: digits and a line end; stx-etx: digits between the bytes 0x02 and 0x03"""
    checksum: Literal["none", "xor"] = "none"
    """xor: the last two digits are the exclusive or of the bytes before"""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The device."""
        return (serial_resource(self.device),)

    def open(self, clock: Clock) -> SerialReader:
        """Create the reader of this table; opens nothing: `reads` opens the line."""
        return SerialReader(self, clock)


class SerialReader:
    """The `TokenReader` for a reader on a serial line or a TCP connection."""

    def __init__(self, config: SerialReaderConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def __str__(self) -> str:
        return f"token reader on {self._config.device}"

    async def reads(self) -> AsyncGenerator[str | None]:
        """Yield None whenever the line has been opened (TCP: again after a silence), and the UID digits of each card.

        Raises:
            ReaderError: the line fails.
        """
        # late: serialx
        from energy.sources.byte_stream import LineSettings, StreamError, open_stream

        frames = UidFrameParser(self._config.framing, self._config.checksum)
        settings = LineSettings(self._config.baud, seven_bits=False)
        max_silence_s = _RECONNECT_AFTER_S if is_socket(self._config.device) else None
        try:
            while True:
                async with open_stream(self._config.device, settings, self._clock) as stream:
                    yield None
                    while (data := await stream.read(self._deadline_s(max_silence_s))) is not None:
                        for digits in frames.feed(data):
                            yield digits
        except StreamError as error:
            raise ReaderError(f"{error}") from error

    def _deadline_s(self, max_silence_s: float | None) -> float | None:
        return None if max_silence_s is None else self._clock.monotonic() + max_silence_s


class UidFrameParser:
    """Splits the bytes of a reader into UIDs, without I/O; damaged and too long frames are discarded."""

    def __init__(self, framing: Literal["line", "stx-etx"], checksum: Literal["none", "xor"]) -> None:
        self._start_byte = _STX if framing == "stx-etx" else None
        self._checksum = checksum
        self._in_frame = self._start_byte is None
        self._content = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """Parse received bytes, in pieces of any length; returns the UIDs, in digits, that they complete."""
        uids: list[str] = []
        for byte in data:
            if byte == self._start_byte:
                self._start_frame()
            elif self._in_frame and self._is_frame_end(byte):
                if (digits := self._digits_if_valid()) is not None:
                    uids.append(digits)
                self._start_frame(in_frame=self._start_byte is None)
            elif self._in_frame:
                self._content.append(byte)
                if len(self._content) > _MAX_FRAME_BYTES:
                    self._start_frame(in_frame=False)
            elif self._start_byte is None and self._is_frame_end(byte):
                self._start_frame()  # end of a discarded line
        return uids

    def _start_frame(self, *, in_frame: bool = True) -> None:
        self._content.clear()
        self._in_frame = in_frame

    def _is_frame_end(self, byte: int) -> bool:
        return byte == _ETX if self._start_byte is not None else byte in _LINE_END

    def _digits_if_valid(self) -> str | None:
        digits = self._content.decode("ascii", "replace").strip()
        if not digits:
            return None
        if self._checksum == "none":
            return digits
        try:
            *uid, check = bytes.fromhex(digits)
        except ValueError:
            return None
        return bytes(uid).hex() if uid and checksum(bytes(uid)) == check else None


def checksum(uid: bytes) -> int:
    """The checksum byte of a UID: the exclusive or of all its bytes."""
    total = 0
    for byte in uid:
        total ^= byte
    return total
