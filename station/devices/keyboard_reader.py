"""Token reader that acts as a keyboard; its input device is opened for exclusive use.

Sources: linux/input.h and input-event-codes.h (struct input_event, EVIOCGRAB, key codes), and the kernel's
Documentation/input/event-codes.rst: SYN_DROPPED is sent if events were lost because they were not read in time.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta

from foundation.device_table import Resource, serial_resource
from station.core.hardware.token_reader import ReaderError
from station.devices.reader_table import ReaderTable

if TYPE_CHECKING:
    from foundation.clock import Clock

_EVENT: Final = struct.Struct("llHHi")
"""time as two longs, type, code, value"""
_EV_SYN: Final = 0
_SYN_DROPPED: Final = 3
_EV_KEY: Final = 1
_PRESSED: Final = 1
_EVIOCGRAB: Final = 0x40044590
_ENTER: Final = frozenset({28, 96})
_KEYS: Final = {
    **{2 + index: digit for index, digit in enumerate("1234567890")},
    **dict(zip((79, 80, 81, 75, 76, 77, 71, 72, 73, 82), "1234567890", strict=True)),  # numeric keypad
    **dict(zip((30, 48, 46, 32, 18, 33), "ABCDEF", strict=True)),
}
_NO_CHARACTER: Final = frozenset({42, 54, 58, 69})
"""shift, caps lock and num lock produce no character"""
_MAX_DIGITS: Final = 40


class KeyboardReaderConfig(ReaderTable, kw_only=True, tag_field="type", tag="keyboard"):
    """[[reader]] of type "keyboard": an RFID reader that types the UID of a card as key presses, then Enter."""

    type: ClassVar[Literal["keyboard"]] = "keyboard"
    device: Annotated[str, Meta(min_length=1, examples=["/dev/input/by-id/usb-reader-event-kbd"])]
    """/dev/input/by-id/…-event-kbd"""
    digits: Literal["hexadecimal", "decimal"] = "hexadecimal"
    """how the reader types the UID; decimal: its four bytes as one number, as many readers do"""
    exclusive: bool = True
    """whether no other program receives what the reader types; without it a login prompt would"""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The device."""
        return (serial_resource(self.device),)

    def open(self, _: Clock) -> KeyboardReader:
        """Create the reader of this table; opens nothing: `reads` opens the device."""
        return KeyboardReader(self)


class KeyboardReader:
    """The `TokenReader` for a reader that acts as a keyboard: reads the UIDs of cards from its Linux input device."""

    def __init__(self, config: KeyboardReaderConfig) -> None:
        self._config = config

    def __str__(self) -> str:
        return f"token reader {self._config.device}"

    async def reads(self) -> AsyncGenerator[str | None]:
        """Open the device; yield None once it is open, then the UID digits of each card, until closed or failing.

        Raises:
            ReaderError: the device is missing, disconnected, or used by another program.
        """
        device = self._open()
        decoder = KeyEventDecoder(decimal=self._config.digits == "decimal")
        try:
            yield None
            while True:
                await self._readable(device)
                for digits in decoder.feed(self._read(device)):
                    yield digits
        finally:
            os.close(device)

    def _open(self) -> int:
        try:
            device = os.open(self._config.device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ReaderError(f"{self._config.device}: {error.strerror}") from error
        if self._config.exclusive:
            try:
                fcntl.ioctl(device, _EVIOCGRAB, 1)
            except OSError as error:
                os.close(device)
                raise ReaderError(
                    f"{self._config.device}: cannot be opened for exclusive use: {error.strerror}"
                ) from error
        return device

    async def _readable(self, device: int) -> None:
        """Wait until the device has events to read."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(device, lambda: ready.done() or ready.set_result(None))
        except OSError as error:  # epoll refuses regular files
            raise ReaderError(f"{self._config.device}: is not an input device: {error.strerror}") from error
        try:
            await ready
        finally:
            loop.remove_reader(device)

    def _read(self, device: int) -> bytes:
        try:
            data = os.read(device, 64 * _EVENT.size)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise ReaderError(f"{self._config.device}: {error.strerror}") from error
        if not data:
            raise ReaderError(f"{self._config.device}: the device was disconnected")
        return data


class KeyEventDecoder:
    """Decodes key events to UID digits, without I/O; Enter ends a UID. A line with any other key is discarded.

    So is a line in which the kernel has lost events: the rest of a decimal number would be another card's.
    """

    def __init__(self, *, decimal: bool) -> None:
        self._decimal = decimal
        self._undecoded = b""
        self._typed = ""
        self._invalid = False

    def feed(self, data: bytes) -> list[str]:
        """Decode bytes of `struct input_event`, in pieces of any length; returns the UIDs, in digits, that they end."""
        self._undecoded += data
        uids: list[str] = []
        while len(self._undecoded) >= _EVENT.size:
            _, _, kind, code, value = _EVENT.unpack_from(self._undecoded)
            self._undecoded = self._undecoded[_EVENT.size :]
            if kind == _EV_KEY and value == _PRESSED and code not in _NO_CHARACTER:
                uids += self._process_key(code)
            elif (kind, code) == (_EV_SYN, _SYN_DROPPED):
                self._invalid = True
        return uids

    def _process_key(self, code: int) -> list[str]:
        if code in _ENTER:
            digits, invalid = self._typed, self._invalid or not self._typed
            self._typed, self._invalid = "", False
            return [] if invalid or (uid := self._uid(digits)) is None else [uid]
        self._typed += _KEYS.get(code, "")
        self._invalid = self._invalid or code not in _KEYS or len(self._typed) > _MAX_DIGITS
        return []

    def _uid(self, digits: str) -> str | None:
        if not self._decimal:
            return digits
        if not digits.isdecimal() or int(digits) >= 1 << 32:
            return None
        return f"{int(digits):08X}"
