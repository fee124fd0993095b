"""Periodic sampling of one EVSE: at intervals within a transaction, and clock-aligned."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.supervision import run_together
from station.charging.sampling_settings import SamplingSettings
from station.core.model import TriggerReason
from station.core.sampling import Measurand, MeterValue, ReadingContext, Series, next_aligned, sample_reading
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.reading import Phases, Reading
    from station.charging.meter_polling import MeterPoller
    from station.charging.recording import RunningTransactions
    from station.charging.signing.meter_value_signing import MeterValueSigning
    from station.storage.transaction_end_data import TransactionEndData

_log = logging.getLogger(__name__)


_INTERVALS: Final = (
    SamplingSettings.sampled_tx_updated_interval_s,
    SamplingSettings.sampled_tx_ended_interval_s,
    SamplingSettings.aligned_interval_s,
    SamplingSettings.aligned_tx_ended_interval_s,
)
_ENABLED_SWITCHES: Final = (SamplingSettings.sampled_data_enabled, SamplingSettings.aligned_data_enabled)
_MAX_DELAY_S = 2.0
"""if the clock is set past an aligned moment by more than this, the sample is skipped"""


class SampledEvse(Protocol):
    """The members of `Evse` that `Sampler` needs."""

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        ...

    @property
    def transaction_id(self) -> str | None:
        """The id of the open transaction; None: there is none, or it is ending."""
        ...

    @property
    def offered(self) -> Phases[float]:
        """The current that the pilot offers now on each phase, in A."""
        ...

    @property
    def soc(self) -> float | None:
        """State of charge of the vehicle, 0 to 1; None: not known."""
        ...

    def record_sample(self, trigger: TriggerReason, value: MeterValue | None) -> None:
        """Queue an Updated event with a sample; None: without meter values."""
        ...


class Sampler:
    """Samples the meter of one EVSE at the configured intervals: the four series of block J.

    Sampled and clock-aligned data, each for Updated and for Ended events. Samples for the Ended event are stored
    on disk at once.
    """

    def __init__(
        self,
        evse: SampledEvse,
        meter: MeterPoller,
        end_data: TransactionEndData,
        transactions: RunningTransactions,
        signing: MeterValueSigning | None,
        settings: SamplingSettings,
        clock: Clock,
    ) -> None:
        """`end_data` stores samples for the Ended event; `transactions`: of all EVSEs; `signing` None: signs none."""
        self._evse = evse
        self._meter = meter
        self._end_data = end_data
        self._transactions = transactions
        self._signing = signing
        self._settings = settings
        self._clock = clock
        self._rescheduled = ChangeSignal()
        self.idle_sample: Event[MeterValue] = Event()
        """published with each clock-aligned sample without a transaction (for MeterValuesRequest, J01.FR.14)"""
        transactions.changed.subscribe(self._note_transaction)
        for interval in _INTERVALS:
            settings.changed(interval).subscribe(lambda _: self.reschedule())
        for switch in _ENABLED_SWITCHES:
            settings.changed(switch).subscribe(lambda _: self.reschedule())

    def reschedule(self) -> None:
        """Make `run` recompute when samples are due: a transaction began or ended, a setting or the clock changed.

        Takes no sample.
        """
        self._rescheduled.notify()

    def _note_transaction(self, evse_id: int) -> None:
        if evse_id == self._evse.id:
            self.reschedule()

    async def run(self) -> None:
        """Task until cancelled: take the samples of all four series when they are due."""
        settings = self._settings
        run_in_transaction, run_aligned = self._run_in_transaction, self._run_aligned
        await run_together(
            {
                "updated": run_in_transaction(
                    lambda: self._interval_if_enabled(settings.sampled_tx_updated_interval_s), self._sample_updated
                ),
                "ended": run_in_transaction(
                    lambda: self._interval_if_enabled(settings.sampled_tx_ended_interval_s), self._sample_ended
                ),
                "aligned": run_aligned(lambda: settings.aligned_interval_s, self._sample_aligned),
                "aligned-ended": run_aligned(lambda: settings.aligned_tx_ended_interval_s, self._sample_aligned_ended),
            }
        )

    def _interval_if_enabled(self, interval_s: int) -> int:
        """The interval, or 0 if SampledDataCtrlr.Enabled is false."""
        return interval_s if self._settings.sampled_data_enabled else 0

    async def _run_in_transaction(self, interval: Callable[[], int], sample: Callable[[str], Awaitable[None]]) -> None:
        """Take a sample at every interval after the start of each transaction (J02.FR.11)."""
        while True:
            count_before, transaction_id, interval_s = self._rescheduled.count, self._evse.transaction_id, interval()
            if transaction_id is None or interval_s == 0:
                await self._rescheduled.wait(count_before)
                continue
            due_s = self._clock.monotonic() + interval_s
            while transaction_id == self._evse.transaction_id and interval_s == interval():
                if await self._rescheduled.wait_for(count_before, self._clock, due_s - self._clock.monotonic()):
                    count_before = self._rescheduled.count
                else:
                    due_s += interval_s
                    await sample(transaction_id)

    async def _run_aligned(self, interval: Callable[[], int], sample: Callable[[], Awaitable[None]]) -> None:
        """Take a sample at whole intervals after midnight (AlignedDataInterval)."""
        while True:
            count_before, interval_s = self._rescheduled.count, interval()
            if interval_s == 0 or not self._settings.aligned_data_enabled:
                await self._rescheduled.wait(count_before)
                continue
            due = next_aligned(self._clock.now(), interval_s)
            while (wait_s := (due - self._clock.now()).total_seconds()) > 0 and interval_s == interval():
                await self._rescheduled.wait_for(count_before, self._clock, wait_s)
                count_before = self._rescheduled.count
                due = min(due, next_aligned(self._clock.now(), interval_s))  # the clock may have been set back
            if interval_s == interval() and self._settings.aligned_data_enabled and wait_s > -_MAX_DELAY_S:
                await sample()

    async def sample_now(self) -> None:
        """Sample SampledDataTxUpdatedMeasurands now, and queue an Updated event with the values (F06.FR.07).

        For TriggerMessage; without a transaction no event is queued.
        """
        settings = self._settings
        measurands = settings.sampled_tx_updated_measurands
        value = await self._sample(measurands, ReadingContext.TRIGGER, Series.SAMPLED, sign=self._signs_sampled)
        self._evse.record_sample(TriggerReason.TRIGGER, value)

    @property
    def _signs_sampled(self) -> bool:
        return self._settings.sampled_sign_readings and self._settings.sampled_sign_updated_readings

    async def take_aligned_sample(self) -> MeterValue | None:
        """Sample AlignedDataMeasurands and return the values, for TriggerMessage (F06.FR.06); None if there are none.

        Records and sends nothing.
        """
        measurands = self._settings.aligned_measurands
        return await self._sample(measurands, ReadingContext.TRIGGER, Series.ALIGNED, sign=self._signs_aligned)

    @property
    def _signs_aligned(self) -> bool:
        """Whether aligned samples are signed (J01.FR.21); in a transaction also by SignUpdatedReadings (OCA note)."""
        idle = self._evse.transaction_id is None
        return self._settings.aligned_sign_readings and (idle or self._settings.aligned_sign_updated_readings)

    async def _sample_updated(self, transaction_id: str) -> None:
        measurands = self._settings.sampled_tx_updated_measurands
        value = await self._sample(measurands, ReadingContext.SAMPLE_PERIODIC, Series.SAMPLED, sign=self._signs_sampled)
        if value is not None and self._evse.transaction_id == transaction_id:
            self._evse.record_sample(TriggerReason.METER_VALUE_PERIODIC, value)

    async def _sample_ended(self, transaction_id: str) -> None:
        measurands, sign = self._settings.sampled_tx_ended_measurands, self._settings.sampled_sign_readings
        value = await self._sample(measurands, ReadingContext.SAMPLE_PERIODIC, Series.SAMPLED_FOR_END, sign=sign)
        await self._store_for_end(transaction_id, value)

    async def _sample_aligned_ended(self) -> None:
        transaction_id = self._evse.transaction_id
        if transaction_id is not None and not self._settings.aligned_send_during_idle:  # J01.FR.20
            measurands, sign = self._settings.aligned_tx_ended_measurands, self._settings.aligned_sign_readings
            value = await self._sample(measurands, ReadingContext.SAMPLE_CLOCK, Series.ALIGNED_FOR_END, sign=sign)
            await self._store_for_end(transaction_id, value)

    async def _sample_aligned(self) -> None:
        if self._settings.aligned_send_during_idle and self._transactions.any:
            return  # J01.FR.19, J01.FR.20: the setting is the station's, not an EVSE's
        measurands = self._settings.aligned_measurands
        value = await self._sample(measurands, ReadingContext.SAMPLE_CLOCK, Series.ALIGNED, sign=self._signs_aligned)
        if value is None:
            return
        if self._evse.transaction_id is not None:
            self._evse.record_sample(TriggerReason.METER_VALUE_CLOCK, value)
        else:
            self.idle_sample.publish(value)

    async def _sample(
        self, measurands: tuple[str, ...], context: ReadingContext, series: Series, *, sign: bool
    ) -> MeterValue | None:
        if not measurands:
            return None
        reading, since = await self._meter.read_now(), self._meter.starts.since(series)
        if (
            reading is not None and context is not ReadingContext.TRIGGER
        ):  # a triggered sample does not belong to the series
            self._meter.starts.start_next(series, reading)
        evse = self._evse
        value = configured_sample(
            reading, measurands, context, self._settings, offered=evse.offered, soc=evse.soc, since=since
        )
        if value is None or reading is None or not sign or self._signing is None:
            return value
        if Measurand.ENERGY_IMPORT_REGISTER not in measurands:  # nothing else is signed
            return value
        return await self._signing.sign_sample(value, reading, self._evse.transaction_id)

    async def _store_for_end(self, transaction_id: str, value: MeterValue | None) -> None:
        if value is None:
            return
        try:
            await self._end_data.store_sample(transaction_id, value)
        except StorageError as error:
            _log.error("transaction %s: a sample cannot be stored for the Ended event: %s", transaction_id, error)


def configured_sample(
    reading: Reading | None,
    measurands: tuple[str, ...],
    context: ReadingContext,
    settings: SamplingSettings,
    *,
    offered: Phases[float] | None = None,
    soc: float | None = None,
    since: Reading | None = None,
) -> MeterValue | None:
    """Convert a meter reading to a meter value with these measurands, as configured; None if it has no values.

    `offered`: by the pilot on each phase, in A; `soc`: of the vehicle, 0 to 1; `since`: the reading at the start of the
    interval, for its energy.
    """
    if reading is None:
        return None
    selected = [Measurand(name) for name in measurands]
    by_phase = not settings.register_values_without_phases
    return sample_reading(
        reading, selected, context, offered=offered, soc=soc, registers_by_phase=by_phase, since=since
    )
