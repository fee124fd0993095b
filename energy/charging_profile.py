"""Charging profiles as the station keeps them (OCPP 2.0.1 K01; ChargingProfileType)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Purpose(StrEnum):
    """ChargingProfilePurposeEnumType: what a profile limits."""

    EXTERNAL_CONSTRAINTS = "ChargingStationExternalConstraints"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    """ChargingProfileKindEnumType: what its schedule is counted from."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    """RecurrencyKindEnumType."""

    DAILY = "Daily"
    WEEKLY = "Weekly"


class RateUnit(StrEnum):
    """ChargingRateUnitEnumType: amperes per phase, or watts over all phases."""

    A = "A"
    W = "W"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_s` after the start of the schedule at most `limit`, in the schedule's unit."""

    start_s: int
    limit: float
    phases: int = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """Limits over time. Periods are in order, the first starts at 0 (K01.FR.31, K01.FR.35)."""

    id: int
    unit: RateUnit
    periods: tuple[Period, ...]
    starts_at: datetime | None = None
    duration_s: int | None = None
    minimum_rate: float | None = None


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """A profile, and the EVSE that it was sent for (0: all of them)."""

    id: int
    evse_id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedule: Schedule
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: str | None = None
