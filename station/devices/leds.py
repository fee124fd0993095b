"""Drivers of the status light: multicolour LEDs of the kernel."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Protocol, TypeAlias

from msgspec import Meta

from foundation.expected_error import ExpectedError
from foundation.table import Table
from foundation.table_definition import STRICT
from station.core.light_patterns import Colour, Light, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_log = logging.getLogger(__name__)

_BLINK_MS: Final = 500
"""on time and off time of a blinking light"""
_UDEV_ATTEMPTS: Final = 40
_UDEV_RETRY_S: Final = 0.01
"""number of attempts, and seconds between them, until udev has set the permissions of a sysfs file"""
_RGB: Final = {
    Colour.LIGHT_BLUE: (0, 160, 255),
    Colour.BLUE: (0, 0, 255),
    Colour.GREEN: (0, 255, 0),
    Colour.ORANGE: (255, 70, 0),
    Colour.RED: (255, 0, 0),
    Colour.YELLOW: (255, 170, 0),
    Colour.WHITE: (255, 255, 255),
    Colour.VIOLET: (160, 0, 255),
}
"""red, green and blue, 0 to 255, tuned for an LED (a screen mixes them differently)"""


class LightError(ExpectedError):
    """An LED of the status light could not be set. A later attempt may succeed."""


class LightOutput(Protocol):
    """One output of the status light, such as an LED or the page."""

    async def show(self, light: Light) -> None:
        """Set colour and pattern; they stay until the next call. Returns once they are set.

        Raises:
            LightError: the light cannot be set.
        """
        ...


class _LightTable(Table):
    """Base class of the [light] tables. Each states what differs from these defaults."""

    @property
    def led_count(self) -> int | None:
        """The number of LEDs that are configured, one for the station or one for each EVSE; None: there are none."""
        return None

    def open(self) -> Sequence[SysfsLed]:
        """Create the LEDs, in the order of the EVSEs; writes nothing."""
        return ()


class PageLightConfig(_LightTable, tag_field="type", tag="simulated"):
    """[light] of type "simulated": no LED; the status light is shown on the page and in the API only."""

    type: ClassVar[Literal["simulated"]] = "simulated"


class SysfsLightConfig(_LightTable, tag_field="type", tag="sysfs"):
    """[light] of type "sysfs": also shown on multicolour LEDs of the Linux kernel."""

    type: ClassVar[Literal["sysfs"]] = "sysfs"
    paths: Annotated[tuple[Path, ...], Meta(min_length=1, examples=[["/sys/class/leds/rgb:status"]])]
    """directories of LEDs, such as /sys/class/leds/rgb:status: one for the station, or one for each EVSE in order"""
    brightness: Annotated[float, Meta(extra=STRICT, gt=0, le=1)] = 1.0
    """share of the maximum brightness"""

    @property
    def led_count(self) -> int:
        """The number of directories."""
        return len(self.paths)

    def open(self) -> Sequence[SysfsLed]:
        """Create the LEDs of these directories; writes nothing."""
        return [SysfsLed(path, self.brightness) for path in self.paths]


LightConfig: TypeAlias = PageLightConfig | SysfsLightConfig
"""the output for the status light besides the page; `type` selects the driver"""


class SysfsLed:
    """A multicolour LED below /sys/class/leds (Documentation/leds/leds-class-multicolor.rst of the kernel).

    The kernel makes it blink, with the trigger `pattern`, or `timer` if there is none, so that it blinks on while this
    program is busy.
    """

    def __init__(self, path: Path, brightness: float = 1.0) -> None:
        self._path = path
        self._brightness = brightness

    async def show(self, light: Light) -> None:
        """Write colour and pattern to the LED as `show_blocking` does, in a thread: an LED may be on a slow bus."""
        await asyncio.to_thread(self.show_blocking, light)

    def show_blocking(self, light: Light) -> None:
        """Write colour and pattern to the LED; they stay until the next call. Blocks, up to a second.

        Raises:
            LightError: there is no such LED, or the kernel refuses.
        """
        try:
            maximum = int(self._read("max_brightness"))
            brightness = max(1, round(maximum * self._brightness))
            order = self._read("multi_index").split()
            triggers = self._read("trigger").replace("[", " ").replace("]", " ").split()
            self._write("trigger", "none")
            self._write(
                "multi_intensity",
                " ".join(str(intensity * maximum // 255) for intensity in _intensities(light.colour, order)),
            )
            if light.pattern is Pattern.BLINKING:
                self._blink(brightness, triggers)
            else:
                self._write("brightness", str(brightness))
        except (OSError, ValueError) as error:
            raise LightError(f"{self._path}: {error}") from error

    def _blink(self, brightness: int, triggers: list[str]) -> None:
        if "pattern" in triggers:
            self._write("trigger", "pattern")
            # Each level twice, the second one with 0 ms: otherwise the kernel fades between levels.
            self._write_new("pattern", f"{brightness} {_BLINK_MS} {brightness} 0 0 {_BLINK_MS} 0 0")
        elif "timer" in triggers:
            self._write("brightness", str(brightness))
            self._write("trigger", "timer")
            self._write_new("delay_on", str(_BLINK_MS))
            self._write_new("delay_off", str(_BLINK_MS))
        else:
            self._write("brightness", str(brightness))
            raise OSError(
                errno.EOPNOTSUPP, "the LED supports neither the trigger pattern nor timer: the light does not blink"
            )

    def _write_new(self, name: str, text: str) -> None:
        """Write a file that a trigger has just created; waits until udev has set its permissions."""
        for _ in range(_UDEV_ATTEMPTS):
            try:
                self._write(name, text)
            except (FileNotFoundError, PermissionError):
                time.sleep(_UDEV_RETRY_S)
            else:
                return
        self._write(name, text)

    def _read(self, name: str) -> str:
        return (self._path / name).read_text(encoding="ascii").strip()

    def _write(self, name: str, text: str) -> None:
        """Write a sysfs file; never creates it."""
        handle = os.open(self._path / name, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(handle, text.encode("ascii"))
        finally:
            os.close(handle)


def _intensities(colour: Colour, order: Iterable[str]) -> list[int]:
    """The intensity of each LED, 0 to 255, in the order given; 0 if it is neither red, green nor blue."""
    intensities: dict[str, int] = dict(zip(("red", "green", "blue"), _RGB[colour], strict=True))
    return [intensities.get(name, 0) for name in order]


def show_on_all_leds(config: LightConfig, light: Light) -> None:
    """Write this light to every configured LED at the start, before the light task runs; only logs failures. Blocks."""
    for led in config.open():
        try:
            led.show_blocking(light)
        except LightError as error:
            _log.warning("light: %s", error)
