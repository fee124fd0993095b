"""Drives a character display with an HD44780 controller behind an I²C port expander, by RPLCD.

RPLCD sends only the characters that have changed. Its calls block and wait for the controller, so they run in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final, Protocol, cast

from RPLCD.i2c import CharLCD
from smbus2 import SMBus

from station.core.screen import DisplayError, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from station.core.screen import TextSize

_ENABLE: Final = 0x04
"""the pin of a PCF8574 that leads to E of the controller; low between two commands"""
_CLOSE_WAIT_S: Final = 1.0
"""seconds to wait at the end for a screen that is being written"""


class _Bus(Protocol):
    def read_byte(self, i2c_addr: int) -> int: ...

    def close(self) -> None: ...


class _Lcd(Protocol):
    """The part of RPLCD's CharLCD that is used here; it has no type annotations."""

    bus: _Bus
    cursor_pos: tuple[int, int]
    backlight_enabled: bool

    def write_string(self, value: str) -> None: ...

    def clear(self) -> None: ...


class CharacterLcd:
    """The `DisplayOutput` of one character display; opened at the first screen, and again after a failure."""

    def __init__(self, device: Path, address: int, expander: str, size: TextSize) -> None:
        """`device`: the I²C bus; `address` and `expander`: of the port expander, a PCF8574 or MCP23008."""
        self._device = device
        self._address = address
        self._expander = expander
        self._size = size
        self._lcd: _Lcd | None = None
        self._lcd_lock = threading.Lock()
        """held by the thread that uses the display: the one of a cancelled call runs on"""

    def __str__(self) -> str:
        return f"character display {self._address:#04x} on {self._device}"

    async def show(self, screen: Screen) -> None:
        """Write the lines of a screen, which must fit the display, in place of the last ones.

        Raises:
            DisplayError: the display does not answer, or there is no such bus.
        """
        try:
            await asyncio.to_thread(self._write, screen)
        except OSError as error:
            raise DisplayError(f"{error}") from error

    async def close(self) -> None:
        """Clear the display, switch its backlight off, and release the bus."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._clear)

    def _write(self, screen: Screen) -> None:
        columns, rows = self._size.columns, self._size.rows
        texts = [line.text[:columns] for line in screen.lines[:rows]]
        with self._lcd_lock:
            try:
                if self._lcd is not None and self._lost_supply(self._lcd):
                    self._release()
                lcd = self._lcd = self._lcd or self._open()
                for row, text in enumerate([*texts, *[""] * (rows - len(texts))]):
                    lcd.cursor_pos = (row, 0)
                    lcd.write_string(text.ljust(columns))
            except OSError:
                self._release()
                raise

    def _clear(self) -> None:
        if not self._lcd_lock.acquire(timeout=_CLOSE_WAIT_S):
            return  # a bus that hangs must not delay the end of the program
        try:
            if self._lcd is not None:
                self._lcd.clear()
                self._lcd.backlight_enabled = False
        finally:
            self._release()
            self._lcd_lock.release()

    def _lost_supply(self, lcd: _Lcd) -> bool:
        """Whether a PCF8574 has been without supply since it was written: all its pins are then high (its data sheet).

        The controller has then forgotten its setup and its texts; with another expander this cannot be seen.
        """
        return self._expander == "PCF8574" and bool(lcd.bus.read_byte(self._address) & _ENABLE)

    def _open(self) -> _Lcd:
        with SMBus(str(self._device)) as bus:
            bus.read_byte(self._address)  # fails without a display: RPLCD would leave the bus open
        lcd = CharLCD(
            self._expander,
            self._address,
            port=cast("int", str(self._device)),  # RPLCD hands it to smbus2, which also takes a path
            cols=self._size.columns,
            rows=self._size.rows,
            charmap=self._size.characters.value,
        )
        return cast("_Lcd", lcd)

    def _release(self) -> None:
        lcd, self._lcd = self._lcd, None
        if lcd is not None:
            lcd.bus.close()
