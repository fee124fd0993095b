"""Reads samples of an analogue-to-digital converter through Linux industrial I/O: sysfs and a device file.

Source: the kernel's documentation of sysfs-bus-iio. All functions block: call them from a thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
from pathlib import Path
from typing import Final, Self

from foundation.frozen import Frozen

_CHANNEL_TYPE: Final = re.compile(r"(be|le):([su])(\d+)/(\d+)(?:>>(\d+))?\Z")
_READ_TIMEOUT_S: Final = 2.0
"""real seconds without a single sample after which the converter counts as gone"""
_CHUNK_BYTES: Final = 16_384


class SampleLayout(Frozen):
    """Binary layout of a sample in the device file, such as `le:u12/16>>4`."""

    byte_order: str
    signed: bool
    bits: int
    storage: int
    """bytes"""
    shift: int

    @classmethod
    def parse(cls, text: str) -> SampleLayout:
        """Parse the text of a `_type` file of the converter in sysfs.

        Raises:
            OSError: the text is not a layout.
        """
        found = _CHANNEL_TYPE.match(text.strip())
        if found is None:
            raise OSError(f"{text.strip()!r} is not a sample layout")
        order, sign, bits, storage, shift = found.groups()
        return cls("big" if order == "be" else "little", sign == "s", int(bits), int(storage) // 8, int(shift or 0))

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest value of a sample."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    def read(self, data: bytes) -> int:
        """Decode the bytes of one sample to its raw count."""
        count = int.from_bytes(data, "big" if self.byte_order == "big" else "little") >> self.shift
        count &= (1 << self.bits) - 1
        return count - (1 << self.bits) if self.signed and count >> (self.bits - 1) else count


class ConverterChannel(Frozen):
    """One input of an analogue-to-digital converter, as its kernel driver describes it."""

    layout: SampleLayout
    at: int
    """offset of its sample in a scan (one sample of each channel), in bytes"""
    volts_per_count: float


class IioCapture:
    """Continuous sampling of several channels of a converter: entering the context starts it, leaving it stops it."""

    def __init__(self, path: Path, node: Path, numbers: tuple[int, ...], sampling_hz: int) -> None:
        self._path = path
        self._node = node
        self._numbers = numbers
        self._sampling_hz = sampling_hz
        self._file: int | None = None
        self._scan_bytes = 0
        self.channels: tuple[ConverterChannel, ...] = ()
        """in the requested order"""
        self.sampling_hz = float(sampling_hz)
        """actual rate, as set by the converter"""

    def __enter__(self) -> Self:
        """Configure the converter, start the capture and open its device file.

        Raises:
            OSError: the converter is missing, busy, or has no such channel.
        """
        self._write_attribute("buffer/enable", "0")
        for file in (self._path / "scan_elements").glob("*_en"):
            file.write_text("0")
        for number in self._numbers:
            self._write_attribute(f"scan_elements/in_voltage{number}_en", "1")
        self._set_rate()
        self._compute_offsets()
        self._write_attribute("buffer/length", str(max(256, int(self.sampling_hz))))
        self._write_attribute("buffer/enable", "1")
        try:
            self._file = os.open(self._node, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            self._write_attribute("buffer/enable", "0")
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with contextlib.suppress(OSError):  # a lost converter need not be switched off
                self._write_attribute("buffer/enable", "0")

    def read(self, scans: int) -> list[list[int]]:
        """Read the next `scans` samples of each channel; returns a list of raw counts for each channel. Blocks.

        Raises:
            OSError: no sample came for two seconds, or the converter is lost.
        """
        if self._file is None:
            raise OSError("the capture was not started")
        length = scans * self._scan_bytes
        data = bytearray()
        while len(data) < length:
            ready, _, _ = select.select([self._file], [], [], _READ_TIMEOUT_S)
            piece = os.read(self._file, min(_CHUNK_BYTES, length - len(data))) if ready else b""
            if not piece:
                raise OSError("the converter delivers no samples")
            data += piece
        starts = range(0, length, self._scan_bytes)
        return [
            [
                channel.layout.read(bytes(data[at + channel.at : at + channel.at + channel.layout.storage]))
                for at in starts
            ]
            for channel in self.channels
        ]

    def _compute_offsets(self) -> None:
        """Compute the offset of each channel in a scan: in order of its index, aligned to its own size."""
        found: dict[int, ConverterChannel] = {}
        at = 0
        indexes = {
            number: int(self._read_attribute(f"scan_elements/in_voltage{number}_index")) for number in self._numbers
        }
        largest = 1
        for number in sorted(self._numbers, key=indexes.__getitem__):
            layout = SampleLayout.parse(self._read_attribute(f"scan_elements/in_voltage{number}_type"))
            at = -(-at // layout.storage) * layout.storage
            scale_mv = float(self._first_buffer(f"in_voltage{number}_scale", "in_voltage_scale"))
            found[number] = ConverterChannel(layout, at, scale_mv / 1000.0)
            at += layout.storage
            largest = max(largest, layout.storage)
        self._scan_bytes = -(-at // largest) * largest
        self.channels = tuple(found[number] for number in self._numbers)

    def _set_rate(self) -> None:
        for name in ("sampling_frequency", "in_voltage_sampling_frequency"):
            if (self._path / name).exists():
                self._write_attribute(name, str(self._sampling_hz))
                self.sampling_hz = float(self._read_attribute(name))
                return

    def _first_buffer(self, *names: str) -> str:
        for name in names:
            if (self._path / name).exists():
                return self._read_attribute(name)
        raise OSError(f"{self._path}: contains none of {', '.join(names)}")

    def _read_attribute(self, name: str) -> str:
        return (self._path / name).read_text().strip()

    def _write_attribute(self, name: str, value: str) -> None:
        (self._path / name).write_text(value)
