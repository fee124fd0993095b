"""Charging profiles and a moment → the limit that they set. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from energy.charging_profile import ChargingProfile, Kind, Period, Purpose, RateUnit, Recurrency

LINE_VOLTAGE_V = 230.0
"""the set voltage of the area, not a measured one (K01.FR.50)"""

_RECURRENCE = {Recurrency.DAILY: timedelta(days=1), Recurrency.WEEKLY: timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Charge:
    """What a profile may be matched with: an EVSE, and the transaction that runs on it."""

    evse_id: int
    transaction_id: str | None = None
    started_at: datetime | None = None
    """when the vehicle could first have energy: Relative schedules count from here (K01.FR.42)"""


def limit_a(profiles: Iterable[ChargingProfile], charge: Charge, now: datetime) -> float | None:
    """The amperes per phase that the profiles of a charge allow now; None when none of them speaks.

    TxProfile goes before TxDefaultProfile, the higher stack level before the lower (K01.FR.17); one whose
    schedule is over or has not begun leaves the word to the next (K01.FR.13, K01.FR.30).
    """
    candidates = [profile for profile in profiles if _applies(profile, charge, now)]
    for purpose in (Purpose.TX, Purpose.TX_DEFAULT):
        ranked = sorted(
            (profile for profile in candidates if profile.purpose is purpose),
            key=lambda profile: profile.stack_level,
            reverse=True,
        )
        for profile in ranked:
            period = active_period(profile, charge, now)
            if period is not None:
                return amperes(period, profile.schedule.unit)
    return None


def amperes(period: Period, unit: RateUnit) -> float:
    """The limit of a period in amperes per phase (K01.FR.50, K01.FR.51)."""
    if unit is RateUnit.A:
        return period.limit
    return period.limit / (LINE_VOLTAGE_V * period.phases)


def active_period(profile: ChargingProfile, charge: Charge, now: datetime) -> Period | None:
    """The period of a profile's schedule that holds now; None before its start and after its end."""
    start = _start(profile, charge, now)
    if start is None or now < start:
        return None
    elapsed_s = (now - start).total_seconds()
    schedule = profile.schedule
    if schedule.duration_s is not None and elapsed_s >= schedule.duration_s:  # K01.FR.11
        return None
    begun = [period for period in schedule.periods if period.start_s <= elapsed_s]
    return begun[-1] if begun else None


def _applies(profile: ChargingProfile, charge: Charge, now: datetime) -> bool:
    if profile.evse_id not in {0, charge.evse_id}:
        return False
    if profile.valid_from is not None and now < profile.valid_from:  # K01.FR.36
        return False
    if profile.valid_to is not None and now >= profile.valid_to:  # K01.FR.37
        return False
    return profile.purpose is not Purpose.TX or profile.transaction_id == charge.transaction_id


def _start(profile: ChargingProfile, charge: Charge, now: datetime) -> datetime | None:
    """The moment that the schedule counts from; None when there is none yet."""
    if profile.kind is Kind.RELATIVE:
        return charge.started_at
    first = profile.schedule.starts_at
    if first is None or profile.kind is Kind.ABSOLUTE or profile.recurrency is None or now < first:
        return first
    every = _RECURRENCE[profile.recurrency]
    return first + every * ((now - first) // every)
