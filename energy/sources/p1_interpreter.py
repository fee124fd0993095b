"""Converts P1 telegrams to samples of the house connection. No I/O."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from energy.grid import GridSample, MeterTariff
from energy.sources import p1_reading
from energy.sources.p1_reading import P1Reading
from energy.sources.p1_telegram import Telegram
from energy.sources.source_context import SourceContext
from foundation.constants import NOMINAL_VOLTAGE_V
from metering.reading import UNKNOWN_PHASES, Phases

_log = logging.getLogger(__name__)

_MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=1)
_FAST_PERIOD_S, _SLOW_PERIOD_S = 1.0, 10.0
_BREAKER_CLOSED: Final = 1


class P1Interpreter:
    """Converts the telegrams of one P1 meter to grid samples, and recognises repetitions."""

    def __init__(self, context: SourceContext) -> None:
        self._source_context = context
        self._last_telegram: Telegram | None = None
        self._meter_stated_at: datetime | None = None
        self._warned = False

    def process(self, telegram: Telegram, received_at: datetime) -> GridSample | None:
        """Convert a telegram to a sample; None for a repetition, or if the power is missing.

        A repetition has a time stamp and is identical to the last telegram: some meters and relays send such, and must
        not count as alive. Without a time stamp it cannot be distinguished from a steady house.
        """
        reading = p1_reading.read_telegram(telegram)
        repeated = telegram == self._last_telegram and reading.taken_at is not None
        # A clock that stands still while values change is ignored: the time of reception is used.
        stuck = reading.taken_at == self._meter_stated_at
        self._last_telegram, self._meter_stated_at = telegram, reading.taken_at
        if repeated or reading.net_w is None:
            return None
        currents = _currents(reading, self._source_context)
        if currents.l1 is None and not self._warned:
            self._warned = True
            _log.warning(
                "P1: this meter reports no values per phase, so none of the %d phases can be limited",
                self._source_context.phases,
            )
        return GridSample(
            taken_at=(None if stuck else _meter_time(reading, received_at)) or received_at,
            currents_a=currents,
            voltages_v=_three_phases(reading.voltages_v),
            powers_w=_three_phases(reading.net_per_phase_w),
            power_w=reading.net_w,
            fuse_a=_fuse_a(reading),
            limiter_w=_limiter_w(reading),
            breaker_open=None if reading.breaker is None else reading.breaker != _BREAKER_CLOSED,
            signed=True,
            period_s=_FAST_PERIOD_S if (reading.version or "").startswith("5") else _SLOW_PERIOD_S,
            tariff_period=None if reading.tariff is None else str(reading.tariff),
            tariff=_tariff(reading),
            demand_w=reading.demand_w,
            month_peak_w=reading.month_peak.peak_w if reading.month_peak is not None else None,
        )


def _currents(reading: P1Reading, house: SourceContext) -> Phases[float | None]:
    """The current per phase, with the sign of the phase's power.

    The larger of the stated current, a whole number in most meters, and power over voltage, which leaves out reactive
    load. Without a voltage the nominal one is used: the result is a bound, not a measurement, and the stated current
    covers a sag.
    """
    powers = reading.net_per_phase_w
    if not powers and house.phases == 1 and reading.net_w is not None:
        powers = (reading.net_w,)  # some single-phase meters report the total only
    count = max(len(powers), len(reading.currents_a))
    row = [
        _signed_current_a(
            _value_of_phase(powers, phase),
            _value_of_phase(reading.currents_a, phase),
            _value_of_phase(reading.voltages_v, phase),
        )
        for phase in range(count)
    ]
    if house.phases == 1:
        row = row[:1]
    return _three_phases(tuple(row))


def _value_of_phase(values: tuple[float | None, ...], phase: int) -> float | None:
    return values[phase] if phase < len(values) else None


def _signed_current_a(power_w: float | None, stated_a: float | None, voltage_v: float | None) -> float | None:
    if power_w is None:
        return stated_a  # without a sign: counts as import, to be safe
    magnitude = max(stated_a or 0.0, abs(power_w) / (voltage_v or NOMINAL_VOLTAGE_V))
    return -magnitude if power_w < 0 else magnitude


def _three_phases(values: tuple[float | None, ...]) -> Phases[float | None]:
    if not values:
        return UNKNOWN_PHASES
    filled = (*values, None, None)
    return Phases(filled[0], filled[1], filled[2])


def _fuse_a(reading: P1Reading) -> float | None:
    """The lowest threshold in amperes: object 31.4.0, in version 3 also 17.0.0."""
    limits = [
        threshold
        for threshold in (reading.fuse, reading.threshold)
        if threshold is not None and threshold.is_set and threshold.unit == "A"
    ]
    return min((threshold.value for threshold in limits), default=None)


def _limiter_w(reading: P1Reading) -> float | None:
    """Object 17.0.0 in W or VA; without a unit it is in kVA (Luxembourg)."""
    threshold = reading.threshold
    if threshold is None or not threshold.is_set or threshold.unit == "A":
        return None
    return threshold.value if threshold.unit in {"W", "VA"} else threshold.value * 1000.0


def _tariff(reading: P1Reading) -> MeterTariff | None:
    """The tariff: the low one is 1 in the Netherlands, 2 in Belgium (night)."""
    if reading.tariff is None:
        return None
    low, high = (2, 1) if reading.belgian else (1, 2)
    return MeterTariff(
        str(reading.tariff),
        index=reading.tariff,
        off_peak=reading.tariff == low,
        flat=_is_single_price(high, reading.import_registers_wh) and reading.tariff == high,
    )


def _is_single_price(tariff: int, registers_wh: tuple[float, ...]) -> bool:
    """Return whether the other of two registers has never counted: the contract has a single price."""
    return len(registers_wh) == 2 and registers_wh[tariff - 1] > 0.0 and sum(registers_wh) == registers_wh[tariff - 1]


def _meter_time(reading: P1Reading, received_at: datetime) -> datetime | None:
    """The meter's own time (UTC); None if missing or implausible."""
    measured_at = reading.taken_at
    if measured_at is None or measured_at.tzinfo is None:
        return None
    return measured_at.astimezone(UTC) if abs(measured_at - received_at) <= _MAX_CLOCK_DIFFERENCE else None
