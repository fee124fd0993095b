"""A fake I²C bus of the kernel with a character display on it: a PCF8574 expander and an HD44780 controller.

It takes the place of the ioctl of smbus2, so that every byte on the wire is decoded as the chips would.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from pathlib import Path
from typing import Any, Final

import pytest

_I2C_SLAVE: Final = 0x0703
_I2C_FUNCS: Final = 0x0705
_I2C_SMBUS: Final = 0x0720
_WRITE: Final = 0
_BYTE: Final = 1
_RS, _ENABLE, _BACKLIGHT = 0x01, 0x04, 0x08
_LETTERS: Final = {0xE1: "ä", 0xEF: "ö", 0xF5: "ü", 0xDF: "°"}
"""of the ROM A00 (HD44780 data sheet, table 4)"""


class Hd44780:
    """The controller of a character display, in 4-bit mode behind a PCF8574 (D7…D4, backlight, E, RW, RS)."""

    def __init__(self, columns: int = 20, rows: int = 4) -> None:
        self.columns, self.rows = columns, rows
        self.memory = bytearray(b" " * 0x80)
        """the display data RAM"""
        self.address = 0
        self.on = False
        self.lit = False
        self.four_bits = False
        self.received = 0
        """bytes written to the expander"""
        self.port = 0xFF
        """the pins of the expander; all are high when its supply comes"""
        self._high: int | None = None
        self._enabled = False

    def write(self, port: int) -> None:
        """Receive a byte that the expander puts on its pins; the controller reads them when E falls."""
        self.received += 1
        self.port = port
        self.lit = bool(port & _BACKLIGHT)
        falls, self._enabled = self._enabled and not port & _ENABLE, bool(port & _ENABLE)
        if falls:
            self._take(port >> 4, data=bool(port & _RS))

    def text(self) -> list[str]:
        """The displayed lines; empty while the display is off."""
        starts = (0x00, 0x40, self.columns, 0x40 + self.columns)[: self.rows]
        return ["".join(self._char(at) for at in range(start, start + self.columns)).rstrip() for start in starts]

    def _char(self, at: int) -> str:
        code = self.memory[at]
        return " " if not self.on else chr(code) if 0x20 <= code < 0x7E else _LETTERS[code]

    def _take(self, nibble: int, *, data: bool) -> None:
        if not self.four_bits:
            self.four_bits = nibble == 0x2 and not data  # function set: from now on, two nibbles make a byte
            return
        if self._high is None:
            self._high = nibble
            return
        byte, self._high = self._high << 4 | nibble, None
        if data:
            self.memory[self.address] = byte
            self.address = (self.address + 1) % 0x80
        elif byte & 0x80:
            self.address = byte & 0x7F
        elif byte == 0x01:
            self.memory[:] = b" " * 0x80
            self.address = 0
        elif byte & 0xF8 == 0x08:
            self.on = bool(byte & 0x04)


class I2cBus:
    """The bus, with the devices on it by address; without one, the kernel reports that nobody acknowledges."""

    def __init__(self) -> None:
        self.devices: dict[int, Hd44780] = {}
        self.runs = threading.Event()
        """cleared: every transfer waits, as on a bus whose clock line is held low"""
        self.runs.set()
        self._address = 0

    def ioctl(self, fd: int, request: int, argument: Any) -> int:
        """Fake of fcntl.ioctl on an I²C device (Documentation/i2c/dev-interface.rst of the kernel)."""
        assert fd >= 0
        if request == _I2C_FUNCS:
            argument.value = 0xFFFFFFF
        elif request == _I2C_SLAVE:
            self._address = argument
        else:
            assert request == _I2C_SMBUS, hex(request)
            self._transfer(argument)
        return 0

    def _transfer(self, message: Any) -> None:
        self.runs.wait()
        device = self.devices.get(self._address)
        if device is None:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        assert message.size == _BYTE, "a PCF8574 has no registers"
        if message.read_write == _WRITE:
            command = message.command
            device.write(command.value if isinstance(command, ctypes.c_uint8) else command)
        else:
            message.data.contents.byte = device.port


def wire_bus(monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[I2cBus, Path]:
    """Put a fake bus in place of the kernel's; returns it, and the path of its device."""
    bus, device = I2cBus(), folder / "i2c-1"
    device.touch()
    monkeypatch.setattr("smbus2.smbus2.ioctl", bus.ioctl)
    return bus, device
