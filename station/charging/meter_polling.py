"""Reads the meter of one EVSE every second, and on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from metering.meter import DetailedMeter, ImplausibleReadingError, Meter, MeterError
from station.core.sampling import METER_MEASURANDS, IntervalStarts, Measurand, supported_measurands

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.reading import Reading
    from metering.uncounted_energy import UncountedEnergy

_log = logging.getLogger(__name__)

READ_EVERY_S = 1.0
SILENT_AFTER_S = 10.0
"""a meter without plausible reading for this long has failed, and no energy is delivered"""


class CheckedMeter(Meter, Protocol):
    """A billing meter that checks its readings, as `PlausibleMeter` does."""

    @property
    def serial_number(self) -> str | None:
        """The serial number of the accepted meter; None if it reports none, or was not read yet."""
        ...

    @property
    def uncounted_energy(self) -> UncountedEnergy:
        """The estimated energy that has flowed since the import register last moved."""
        ...

    @property
    def rolled_over(self) -> bool:
        """Whether the register has restarted at zero, which is accepted once nobody charges."""
        ...

    def accept_roll_over(self) -> None:
        """Accept a roll-over; does nothing unless `rolled_over`."""
        ...

    def accept_exchange(self) -> None:
        """Accept whatever meter answers next."""
        ...

    def example_reading(self) -> Reading | None:
        """Make a reading with invented values for the quantities that the meter can report; None if not known which."""
        ...


class MeterPoller:
    """Reads the billing meter of one EVSE every second and on demand, and publishes readings and failures.

    `name` is for logs. Nothing is stored on disk.
    """

    def __init__(self, name: str, meter: CheckedMeter, clock: Clock) -> None:
        self._name = name
        self._meter = meter
        self._clock = clock
        self._read_lock = asyncio.Lock()
        self._read_requested = ChangeSignal()
        self._attempted = ChangeSignal()
        """fires after each attempt to read"""
        self._last_read_s = clock.monotonic()
        self.latest: Reading | None = None
        """the last plausible reading; None: none since the start or the exchange of the meter"""
        self.starts = IntervalStarts()
        """the readings at the start of the current intervals (Energy.*.Interval)"""
        self.error: str | None = None
        """why the last attempt to read failed; None: it succeeded"""
        self.foreign: str | None = None
        """why the meter seems to have been replaced; None: it does not"""
        self._has_failed = False
        """whether `failed` has published True last"""
        self.register_stuck = False
        """whether the import register does not count while energy flows, so that charging cannot be billed"""
        self._implausible = False
        self.reading_refused: Event[str] = Event()
        """the first of consecutive implausible readings; carries the reason"""
        self.reading_taken: Event[Reading] = Event()
        """each plausible reading"""
        self.failed: Event[bool] = Event()
        """True: the meter has failed; False: it has recovered"""
        self.values_changed: Event[None] = Event()
        """the values of `valid_reading` have changed, other than its time"""

    @property
    def valid_reading(self) -> Reading | None:
        """The latest plausible reading; None while the meter has failed, and before the first reading."""
        return None if self._has_failed else self.latest

    @property
    def read_at_s(self) -> float:
        """When `latest` was read (Clock.monotonic); before the first reading, when polling was set up."""
        return self._last_read_s

    @property
    def serial_number(self) -> str | None:
        """The serial number of the accepted meter, even if another one answers; None if unknown."""
        return self._meter.serial_number

    @property
    def standstill(self) -> UncountedEnergy | None:
        """The stuck import register and the energy that flowed uncounted; None: it counts, as far as known."""
        return self._meter.uncounted_energy if self.register_stuck else None

    async def accept_roll_over(self) -> bool:
        """Accept a register that restarted at zero; returns whether it did. Call only without a transaction."""
        async with self._read_lock:
            if not self._meter.rolled_over:
                return False
            self._meter.accept_roll_over()
            self.starts.clear()
            return True

    async def accept_exchange(self) -> None:
        """Accept whatever meter answers next as the billing meter, and forget the latest reading; stores nothing."""
        async with self._read_lock:
            self._meter.accept_exchange()
            self.latest = None
            self.starts.clear()
            self.values_changed.publish(None)

    def measurands(self) -> tuple[Measurand, ...]:
        """Return the measurands that the meter supports; all if its driver does not list them. Reads nothing."""
        example = self._meter.example_reading()
        return supported_measurands(example) if example is not None else METER_MEASURANDS

    async def run(self) -> None:
        """Task until cancelled: read every second; log a failure once, and when it ends. Then close the meter."""
        try:
            while True:
                count_before = self._read_requested.count
                await self._read(self._meter.read)
                await self._read_requested.wait_for(count_before, self._clock, READ_EVERY_S)
        finally:
            await self._meter.close()

    async def refresh(self, within_s: float) -> None:
        """Make `run` read at once and wait for this attempt, at most `within_s` seconds; a longer read continues."""
        count_before = self._attempted.count
        self._read_requested.notify()
        await self._attempted.wait_for(count_before, self._clock, within_s)

    async def read_now(self) -> Reading | None:
        """Read all values of the meter now, besides the polling; None if there is no plausible reading.

        Updates `latest`; waits for a read in progress.
        """
        return await self._read(self._meter.read_all if isinstance(self._meter, DetailedMeter) else self._meter.read)

    async def _read(self, read_meter: Callable[[], Awaitable[Reading]]) -> Reading | None:
        async with self._read_lock:
            try:
                reading = await read_meter()
            except MeterError as error:
                self._note_failure(error)
                return None
            finally:
                self._attempted.notify()
            self._note_success(reading)
            return reading

    def _note_success(self, reading: Reading) -> None:
        before = self.valid_reading
        self.latest, self.foreign, self.register_stuck, self._implausible = reading, None, False, False
        self._has_failed = False
        self._last_read_s = self._clock.monotonic()
        if self.error is not None:
            _log.info("%s: reading succeeds again", self._name)
            self.error = None
            self.failed.publish(False)
        self.reading_taken.publish(reading)
        if before is None or not reading.repeats(before):
            self.values_changed.publish(None)

    def _note_failure(self, error: MeterError) -> None:
        _log.log(logging.WARNING if self.error is None else logging.DEBUG, "%s: %s", self._name, error)
        if isinstance(error, ImplausibleReadingError):
            if not self._implausible:
                self.reading_refused.publish(str(error))
            self._implausible = True
            if error.foreign:
                self.foreign = str(error)
            self.register_stuck = error.register_stuck
        self.error = str(error)
        failed = not error.transient or self._clock.monotonic() - self._last_read_s >= SILENT_AFTER_S
        if failed:
            newly_failed, self._has_failed = not self._has_failed, True
            self.failed.publish(True)
            if newly_failed:
                self.values_changed.publish(None)
