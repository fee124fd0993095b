"""An analogue-to-digital converter of Linux' industrial I/O that is not there: its sysfs tree, and what it counts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from energy.sources.ct import ClampConfig, CtConfig

HZ = 3000


@functools.cache
def wave(amperes: float, *, cycles: int = 10, noise: float = 0.5, bias: float = 2048.0, seed: int = 1) -> Sequence[int]:
    """The counts of a 12-bit converter for a sine of so many amperes (RMS); reproducible by `seed`."""
    random_source = random.Random(seed)
    peak = amperes * 0.333 / 100 * math.sqrt(2) / (3.3 / 4096)
    count = HZ // 50 * cycles
    exact = (bias + peak * math.sin(2 * math.pi * 50 * at / HZ) + random_source.gauss(0, noise) for at in range(count))
    return tuple(min(4095, max(0, round(value))) for value in exact)


class FakeConverter:
    """An IIO device of three channels: its sysfs tree, and a FIFO that gives the samples."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "iio:device0"
        self.node = folder / "node"
        self.pace_s = 0.0
        """real seconds from window to window"""
        self.silent = False
        scan = self.path / "scan_elements"
        scan.mkdir(parents=True)
        (self.path / "buffer").mkdir()
        for name, text in (("buffer/enable", "0"), ("buffer/length", "0"), ("sampling_frequency", "1000")):
            (self.path / name).write_text(text)
        (self.path / "in_voltage_scale").write_text(str(3300 / 4096))
        for number in range(4):
            (scan / f"in_voltage{number}_en").write_text("1")
            (scan / f"in_voltage{number}_index").write_text(str(3 - number))
            (scan / f"in_voltage{number}_type").write_text("le:u12/16>>0")
        os.mkfifo(self.node)
        self._end = os.open(self.node, os.O_RDWR | os.O_NONBLOCK)
        self.channels: Callable[[], Sequence[Sequence[int]]] = lambda: [wave(3.0), wave(16.0), wave(0.0)]

    async def run(self) -> None:
        """Give a window as often as it is taken. Scans go from the highest number to the lowest: see `_index`."""
        while True:
            await asyncio.sleep(self.pace_s)
            if self.silent:
                continue
            first, second, third = self.channels()
            scans = zip(third, second, first, strict=True)
            data = b"".join(count.to_bytes(2, "little") for scan in scans for count in scan)
            while data:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._end, data) :]
                await asyncio.sleep(0.001)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def config(self, clamps: int = 3) -> CtConfig:
        rows = tuple(ClampConfig(channel=number) for number in range(clamps))
        return CtConfig(clamps=rows, path=self.path, node=self.node, sampling_hz=HZ)

    def close(self) -> None:
        os.close(self._end)
