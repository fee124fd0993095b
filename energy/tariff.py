"""Limits charging to off-peak hours by the meter's own tariff information, without internet. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from msgspec.structs import replace

from energy.grid import MeterTariff, TariffColour
from foundation.frozen import Frozen

_BEGIN_RESERVE = timedelta(minutes=15)
"""a charge with a departure starts this much earlier than computed"""
_LAST_DAY = timedelta(hours=25)
"""one day, with margin for a late meter clock or the end of summer time"""


class TariffMode(StrEnum):
    """The owner's choice of hours in which vehicles charge."""

    NONE = "none"
    """always"""
    OFF_PEAK = "off-peak"
    """in the cheap hours of each day"""
    AVOID_PEAKS = "avoid-peaks"
    """outside peak hours: of a red day (Tempo), EJP, mobile peaks"""


class PriceSignal(StrEnum):
    """Whether the price information is enough for a tariff mode to wait for cheap hours, or why it is not."""

    KNOWN = "known"
    """enough: the mode can wait"""
    NO_GRID_METER = "no-grid-meter"
    """no grid meter is installed that could report prices"""
    METER_SILENT = "meter-silent"
    """the grid meter has sent nothing for a while, or nothing yet"""
    NOT_REPORTED = "not-told"
    """the grid meter does not report when energy is cheap, or most expensive"""
    FLAT = "flat"
    """the contract has one price all day"""


class ChargePlan(Frozen):
    """The owner's settings for charging by tariff at any EVSE: which hours to wait for, how much energy by when."""

    mode: TariffMode = TariffMode.NONE
    departure: time | None = None
    """local time of day by which the charge must be done"""
    energy_wh: float = 0.0
    """energy to charge by then; 0: the departure is ignored"""


class OffPeakHours(Frozen):
    """The starts of the cheap hours that were observed: the meter does not announce those of the running day.

    Immutable: `observe` returns a new object.
    """

    off_peak: bool | None = None
    began_at: datetime | None = None
    """when cheap hours last began, in local time"""
    recent_begins: tuple[datetime, ...] = ()
    """all starts of the last day: some tariffs have cheap hours at noon and at night"""
    ever_off_peak: bool = False
    """whether cheap hours were ever observed"""

    def observe(self, off_peak: bool | None, local: datetime) -> OffPeakHours:
        """Return the state after the meter's present tariff; None: not known, and so not when it changed."""
        if self.off_peak is not False or off_peak is not True:
            return replace(self, off_peak=off_peak, ever_off_peak=self.ever_off_peak or off_peak is True)
        began = local.replace(second=0, microsecond=0)
        return OffPeakHours(off_peak, began, (*_within_last_day(self.recent_begins, local), began), ever_off_peak=True)

    def next_begin(self, local: datetime) -> datetime | None:
        """The next start of cheap hours, in UTC, by the time of day of past ones; None if none was observed."""
        past_begins = {self.began_at, *_within_last_day(self.recent_begins, local)}
        # A moment observed before the time zone was changed has another time of day in the present zone.
        times = {began.astimezone(local.tzinfo).time() for began in past_begins if began is not None}
        return min((_next_at(at, local) for at in times), default=None)


class TariffDecision(Frozen):
    """Whether the tariff allows charging now, and until when that holds."""

    allowed: bool
    next_change: datetime | None = None
    """when `allowed` changes next, in UTC, if known"""


def is_charging_time(mode: TariffMode, tariff: MeterTariff | None) -> bool | None:
    """Return whether a mode allows charging by the meter's tariff; None if the meter does not report enough."""
    if tariff is None or mode is TariffMode.NONE:
        return None
    contact = None if tariff.flat else tariff.contact_closed
    off_peak = tariff.off_peak if tariff.off_peak is not None else contact
    if mode is TariffMode.OFF_PEAK:
        return None if off_peak is None and not tariff.peak_now else bool(off_peak) and not tariff.peak_now
    return not tariff.peak_now and (tariff.today is not TariffColour.RED or off_peak is True)


def price_signal(mode: TariffMode, tariff: MeterTariff | None, hours: OffPeakHours) -> PriceSignal:
    """Return whether the report of a grid meter that is not silent is enough for a mode to wait for cheap hours.

    Avoiding peaks needs a contract that has peaks, or an announced one. An open dry contact means expensive hours only
    if the contact is known to close: it was closed before, or will be by the announced profile.
    """
    if tariff is None:
        return PriceSignal.NOT_REPORTED
    if tariff.peak_now:
        return PriceSignal.KNOWN
    if mode is TariffMode.AVOID_PEAKS and _has_peaks(tariff):
        return PriceSignal.KNOWN
    if tariff.flat:
        return PriceSignal.FLAT
    if mode is TariffMode.AVOID_PEAKS:
        return PriceSignal.NOT_REPORTED
    closes = tariff.contact_closed is not None and (
        tariff.contact_closed or hours.ever_off_peak or hours.began_at is not None or _closes_at(tariff) is not None
    )
    return PriceSignal.KNOWN if tariff.off_peak is not None or closes else PriceSignal.NOT_REPORTED


def _has_peaks(tariff: MeterTariff) -> bool:
    coloured = tariff.today is not None or tariff.tomorrow is not None
    return coloured or tariff.has_peaks or tariff.peak_announced or bool(tariff.next_peak_day)


def decide_by_tariff(
    plan: ChargePlan,
    tariff: MeterTariff | None,
    local: datetime,
    hours: OffPeakHours,
    *,
    charged_wh: float,
    power_w: float,
) -> TariffDecision:
    """Decide whether a vehicle may charge by the tariff; always if cheap hours are not known.

    Args:
        plan: the owner's settings.
        tariff: the meter's tariff information; None if it is silent.
        local: the local time.
        hours: observed starts of the cheap hours.
        charged_wh: energy that the vehicle has charged already.
        power_w: charging power observed so far; 0: not known, so the departure is ignored.
    """
    cheap = is_charging_time(plan.mode, tariff)
    if cheap is not False or price_signal(plan.mode, tariff, hours) is not PriceSignal.KNOWN:
        return TariffDecision(True)
    begins = (hours.next_begin(local) or _announced_begin(tariff, local)) if plan.mode is TariffMode.OFF_PEAK else None
    if plan.departure is None or plan.energy_wh <= charged_wh or power_w <= 0.0:
        return TariffDecision(False, begins)
    needs_h = (plan.energy_wh - charged_wh) / power_w
    if needs_h >= 24.0:
        return TariffDecision(True)
    latest = _next_at(plan.departure, local) - timedelta(hours=needs_h) - _BEGIN_RESERVE
    if local.astimezone(UTC) >= latest:
        return TariffDecision(True)
    return TariffDecision(False, min(latest, begins) if begins is not None else latest)


def _within_last_day(moments: tuple[datetime, ...], local: datetime) -> tuple[datetime, ...]:
    """The moments within the last day."""
    return tuple(moment for moment in moments if local - moment < _LAST_DAY)


def _announced_begin(tariff: MeterTariff | None, local: datetime) -> datetime | None:
    """When the meter's contact closes tomorrow, by the announced profile of that day; None if there is none."""
    at = _closes_at(tariff) if tariff is not None else None
    if at is None:
        return None
    return _first_moment(at, local + timedelta(days=1))


def _closes_at(tariff: MeterTariff) -> time | None:
    """The time of day at which the meter's contact first closes tomorrow, by the announced profile; else None."""
    return next((step.at for step in tariff.next_day if step.contact_closed), None)


def _next_at(at: time, local: datetime) -> datetime:
    """The next moment, in UTC, at which local time reaches this time of day."""
    today = _first_moment(at, local)
    return today if today > local.astimezone(UTC) else _first_moment(at, local + timedelta(days=1))


def _first_moment(at: time, day: datetime) -> datetime:
    """The first moment of a local day, in UTC, at which local time is at or after this time of day.

    A time that occurs twice, as summer time ends, means its first occurrence; one that is skipped, as summer time
    begins, means the moment of the jump.
    """
    required = day.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    moment = min(required.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    while moment.astimezone(day.tzinfo).replace(tzinfo=None) < required.replace(tzinfo=None):
        moment += timedelta(minutes=1)
    return moment
