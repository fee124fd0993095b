"""Charging profiles in the station's own form (OCPP 2.0.1 K01; ChargingProfileType)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec.structs import replace

from foundation.frozen import Frozen


class Purpose(StrEnum):
    """ChargingProfilePurposeEnumType: what a profile limits."""

    EXTERNAL_CONSTRAINTS = "ChargingStationExternalConstraints"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    """ChargingProfileKindEnumType: the moment from which the schedule's times count."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    """RecurrencyKindEnumType: how often the schedule of a Recurring profile starts again."""

    DAILY = "Daily"
    WEEKLY = "Weekly"


class RateUnit(StrEnum):
    """ChargingRateUnitEnumType: amperes per phase, or watts over all phases."""

    A = "A"
    W = "W"


class ChargingLimitSource(StrEnum):
    """ChargingLimitSourceEnumType: who set a limit."""

    EMS = "EMS"
    """an energy management system"""
    OTHER = "Other"
    SYSTEM_OPERATOR = "SO"
    """of the distribution or transmission grid"""
    CSO = "CSO"
    """the charging station operator, through the CSMS"""


class SchedulePeriod(Frozen):
    """A schedule period: at most `limit`, in the schedule's unit, from `start_s` seconds after the schedule's start."""

    start_s: int
    """seconds from the begin of the schedule until this period begins"""
    limit: float
    """amperes per phase, or watts over all phases, as the schedule's `unit` says"""
    phases: int | None = None
    """number of phases that may be used (numberPhases); None: not given"""
    phase_to_use: int | None = None
    """phaseToUse, 1 to 3, if only one phase may be used; None: not given"""
    custom_data: str | None = None
    """customData of the sender, as JSON: stored and reported, without effect"""

    @property
    def phase_count(self) -> int:
        """numberPhases: the phases that the limit applies to; 3 if not given (K01.FR.49)."""
        return self.phases if self.phases is not None else 3


class Schedule(Frozen):
    """Limits over time. Periods are in order, the first starts at 0 (K01.FR.31, K01.FR.35)."""

    id: int
    """the number that the sender gave this schedule"""
    unit: RateUnit
    """the unit of all its limits: A per phase, or W over all phases"""
    periods: tuple[SchedulePeriod, ...]
    """in the order of their begin; each holds until the next one begins, or the schedule ends"""
    starts_at: datetime | None = None
    """when it begins (startSchedule); None for a Relative profile, which starts with the transaction's energy"""
    duration_s: int | None = None
    """seconds from its begin to its end; None: without end"""
    minimum_rate: float | None = None
    """minChargingRate: stored and reported, without effect"""
    custom_data: str | None = None
    """customData of the sender, as JSON: stored and reported, without effect"""
    sales_tariff: str | None = None
    """salesTariff for an ISO 15118 vehicle, as JSON: stored and reported unchanged, without effect on limits"""


class ChargingProfile(Frozen):
    """A charging profile: a schedule of limits, what it limits, its rank, and its EVSE (0: all EVSEs)."""

    id: int
    """the number that the CSMS gave this profile; unique at the station"""
    evse_id: int
    """the EVSE that it limits; 0: the whole station, or for a TxDefaultProfile every EVSE"""
    stack_level: int
    """rank among the profiles of the same purpose and EVSE: the highest that is valid applies"""
    purpose: Purpose
    """what it limits: the station, any transaction, or one transaction"""
    kind: Kind
    """the moment from which the schedule's times count"""
    schedule: Schedule
    """the limits over time, and when they begin"""
    recurrency: Recurrency | None = None
    """how often a Recurring profile starts again; None for other kinds"""
    valid_from: datetime | None = None
    """the profile has no effect before this time; None: valid at once"""
    valid_to: datetime | None = None
    """the profile has no effect from this time on; None: without end"""
    transaction_id: str | None = None
    """the transaction that a TxProfile limits; None for other purposes"""
    source: ChargingLimitSource = ChargingLimitSource.CSO
    """who set the profile (ChargingLimitSourceEnumType)"""
    with_start: bool = False
    """received in a RequestStartTransaction, which cannot name the transaction"""
    max_offline_s: int | None = None
    """the profile is suspended when the CSMS has been out of reach for so many seconds (maxOfflineDuration); None:
    never"""
    invalid_after_offline: bool = False
    """once suspended, the profile never applies again (invalidAfterOfflineDuration)"""
    grid_critical: bool | None = None
    """for an external constraint: isGridCritical"""
    custom_data: str | None = None
    """customData of the sender, as JSON: stored and reported, without effect"""

    alternatives: tuple[Schedule, ...] = ()
    """the schedules that a vehicle may choose from, in the order given, if there are several (ISO 15118, K15.FR.07)

    `schedule` is one of them, at first the first one; empty: it is the only one.
    """
    from_arrival: bool = False
    """the schedule starts when the profile arrived; that stays in the past even if the clock is set back"""

    def overlaps(self, other: ChargingProfile) -> bool:
        """Return whether both are valid at some moment, by validFrom and validTo only (K01.FR.06)."""
        return _is_before(self.valid_from, other.valid_to) and _is_before(other.valid_from, self.valid_to)

    def as_absolute(self, now: datetime) -> ChargingProfile:
        """Return a copy with kind Absolute and a schedule that starts at `now`, the moment when the profile arrives."""
        schedule = replace(self.schedule, starts_at=now)
        alternatives = tuple(replace(alternative, starts_at=now) for alternative in self.alternatives)
        return replace(self, kind=Kind.ABSOLUTE, schedule=schedule, alternatives=alternatives, from_arrival=True)

    def with_alternative(self, position: int) -> ChargingProfile:
        """Return a copy in which one of the alternatives is in force; itself if it has none at this position."""
        if not 0 <= position < len(self.alternatives):
            return self
        return replace(self, schedule=self.alternatives[position])

    def is_over(self, now: datetime) -> bool:
        """Return whether the profile has expired and will never limit again."""
        if self.valid_to is not None and self.valid_to <= now:
            return True
        starts_at, duration_s = self.schedule.starts_at, self.schedule.duration_s
        if self.kind is not Kind.ABSOLUTE or starts_at is None or duration_s is None:
            return False
        return (now - starts_at).total_seconds() >= duration_s


def _is_before(begin: datetime | None, end: datetime | None) -> bool:
    return begin is None or end is None or begin < end
