"""Current transformers on an analogue-to-digital converter of this machine: RMS currents, without a direction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from energy.grid import GridSample, SourceError
from energy.sources.iio import ConverterChannel, IioCapture
from energy.sources.rms import ChannelCalibration, ClampFault, RmsWindow, rms_current
from foundation.frozen import Frozen
from metering.reading import Phases

if TYPE_CHECKING:
    from foundation.clock import Clock

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WINDOW_S: Final = 0.2
"""ten cycles of 50 Hz, twelve of 60 Hz"""
_WINDOWS_PER_SAMPLE: Final = 5
"""windows per sample: the highest of a second counts, so that no peak is averaged away"""
_READ_TIMEOUT_S: Final = 4.0


class Clamp(Protocol):
    """Settings of one current transformer: `ClampConfig` of energy/sources/ct.py, which describes the fields."""

    @property
    def channel(self) -> int:
        """Number of the converter's input: N of in_voltageN."""
        ...

    @property
    def primary_a(self) -> float:
        """Rated current of the transformer, in the conductor, amperes."""
        ...

    @property
    def secondary_v(self) -> float:
        """RMS voltage at the converter at `primary_a`, volts."""
        ...

    @property
    def gain(self) -> float:
        """Calibration factor of the current."""
        ...

    @property
    def noise_a(self) -> float:
        """Current shown when none flows, amperes."""
        ...

    @property
    def bias_v(self) -> float | None:
        """DC offset of the signal, volts; None: the middle of the converter's range."""
        ...


class CtSettings(Protocol):
    """Settings of the source: `CtConfig` of energy/sources/ct.py, which describes the fields."""

    @property
    def clamps(self) -> Sequence[Clamp]:
        """The current transformers, in the order L1, L2, L3."""
        ...

    @property
    def path(self) -> Path:
        """The converter's directory in sysfs."""
        ...

    @property
    def node(self) -> Path | None:
        """The device file of its samples; None: /dev/ and the name of the directory."""
        ...

    @property
    def sampling_hz(self) -> int:
        """Requested sampling rate of each channel, Hz."""
        ...


class _SecondOfWindows(Frozen):
    """The windows of one second, per clamp."""

    windows: tuple[tuple[RmsWindow, ...], ...]

    @property
    def currents_a(self) -> list[float | None]:
        """The highest current of each clamp; None if its last window is faulty."""
        return [
            max((window.current_a for window in windows if window.current_a is not None), default=None)
            if windows[-1].fault is None
            else None
            for windows in self.windows
        ]

    @property
    def faults(self) -> tuple[ClampFault | None, ...]:
        """The fault of the last window of each clamp."""
        return tuple(windows[-1].fault for windows in self.windows)

    @property
    def clipped(self) -> bool:
        """Whether a true current may be higher than shown."""
        return any(window.clipped for windows in self.windows for window in windows)


class CtSource:
    """Grid source: current transformers, sampled every second. A phase whose clamp is missing is unknown, not zero."""

    def __init__(self, config: CtSettings, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._logged_faults: tuple[ClampFault | None, ...] = ()

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Start the converter and yield a sample every second; stop it at the end.

        Raises:
            SourceError: the converter is missing, busy, or delivers no samples.
        """
        config = self._config
        node = config.node if config.node is not None else Path("/dev") / config.path.name
        capture = IioCapture(config.path, node, tuple(clamp.channel for clamp in config.clamps), config.sampling_hz)
        try:
            with self._clock.outside_wait(_READ_TIMEOUT_S):
                await _run_to_end(capture.__enter__)
            while True:
                with self._clock.outside_wait(_READ_TIMEOUT_S):
                    second = await _run_to_end(lambda: self._measure_second(capture))
                self._log_faults(second.faults)
                yield self._to_sample(second)
        except (OSError, ValueError) as error:
            raise SourceError(f"ct: {config.path.name}: {error}") from error
        finally:
            capture.__exit__()

    def _measure_second(self, capture: IioCapture) -> _SecondOfWindows:
        scans = max(2, round(capture.sampling_hz * _WINDOW_S))
        converters = [_calibration(*pair) for pair in zip(capture.channels, self._config.clamps, strict=True)]
        read = [capture.read(scans) for _ in range(_WINDOWS_PER_SAMPLE)]
        return _SecondOfWindows(
            tuple(
                tuple(rms_current(window[at], converter) for window in read) for at, converter in enumerate(converters)
            )
        )

    def _to_sample(self, second: _SecondOfWindows) -> GridSample:
        row = [*second.currents_a, None, None]
        return GridSample(
            taken_at=self._clock.now(),
            currents_a=Phases(row[0], row[1], row[2]),
            clipped=second.clipped,
            signed=False,
            period_s=_WINDOW_S * _WINDOWS_PER_SAMPLE,
        )

    def _log_faults(self, faults: Sequence[ClampFault | None]) -> None:
        """Log a fault of a clamp once, and its end."""
        for number, fault in enumerate(faults, start=1):
            before = self._logged_faults[number - 1] if self._logged_faults else None
            if fault is not None and fault is not before:
                _log.warning("current transformer %d: %s", number, fault)
            elif fault is None and before is not None:
                _log.info("current transformer %d: measures again", number)
        self._logged_faults = tuple(faults)


async def _run_to_end(work: Callable[[], T]) -> T:
    """Run blocking work in a thread and return its result. A thread cannot be stopped: a cancelled caller waits for it,
    so that it neither reads a closed file nor opens one that nobody closes (a converter has one reader at a time)."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


def _calibration(channel: ConverterChannel, clamp: Clamp) -> ChannelCalibration:
    lowest, highest = channel.layout.ends
    middle = (lowest + highest + 1) / 2
    return ChannelCalibration(
        lowest=lowest,
        highest=highest,
        volts_per_count=channel.volts_per_count,
        bias_count=middle if clamp.bias_v is None else clamp.bias_v / channel.volts_per_count,
        amperes_per_volt=clamp.primary_a / clamp.secondary_v * clamp.gain,
        noise_a=clamp.noise_a,
    )
