"""The charging profiles that are installed: checked when they come, looked up when they count (K01, K10)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from itertools import pairwise

from energy.charging_profile import ChargingProfile, Kind, Purpose

MOST_PROFILES = 100
MOST_PERIODS = 1024
HIGHEST_STACK_LEVEL = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a profile is not installed: an OCPP reason code and a sentence."""

    reason_code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which profiles to clear; what is None does not matter (K10.FR.04)."""

    profile_id: int | None = None
    evse_id: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None

    def match(self, profile: ChargingProfile) -> bool:
        """Whether a profile is meant; external constraints never are (K10.FR.04)."""
        if profile.purpose is Purpose.EXTERNAL_CONSTRAINTS:
            return False
        if self.profile_id is not None:
            return profile.id == self.profile_id
        return (
            self.evse_id in {None, profile.evse_id}
            and self.purpose in {None, profile.purpose}
            and self.stack_level in {None, profile.stack_level}
        )


class ProfileStore:
    """Installed profiles by id."""

    def __init__(self, evse_ids: Container[int]) -> None:
        self._evse_ids = evse_ids
        self._profiles: dict[int, ChargingProfile] = {}

    def all(self) -> tuple[ChargingProfile, ...]:
        """Every installed profile."""
        return tuple(self._profiles.values())

    def refusal(self, profile: ChargingProfile, transaction_id: str | None) -> Refusal | None:
        """Why a profile cannot be installed; None when it can.

        `transaction_id` is the one that runs on the profile's EVSE.
        """
        if profile.evse_id != 0 and profile.evse_id not in self._evse_ids:  # K01.FR.28
            return Refusal("InvalidValue", f"evseId {profile.evse_id} does not exist")
        return (
            _refusal_of_purpose(profile, transaction_id)
            or _refusal_of_schedule(profile)
            or self._refusal_of_stack(profile)
        )

    def install(self, profile: ChargingProfile) -> None:
        """Install a profile in place of the one with its id (K01.FR.05) or of its place in the stack."""
        for other in self.all():
            if other.id != profile.id and _same_place(other, profile):
                del self._profiles[other.id]
        self._profiles[profile.id] = profile

    def clear(self, criteria: Criteria) -> list[ChargingProfile]:
        """Take away what matches; returns it."""
        cleared = [profile for profile in self.all() if criteria.match(profile)]
        for profile in cleared:
            del self._profiles[profile.id]
        return cleared

    def end_transaction(self, transaction_id: str) -> list[ChargingProfile]:
        """A TxProfile ends with its transaction; returns what was taken away."""
        ended = [p for p in self.all() if p.purpose is Purpose.TX and p.transaction_id == transaction_id]
        for profile in ended:
            del self._profiles[profile.id]
        return ended

    def _refusal_of_stack(self, profile: ChargingProfile) -> Refusal | None:
        if not 0 <= profile.stack_level <= HIGHEST_STACK_LEVEL:
            return Refusal("InvalidStackLevel", f"stackLevel {profile.stack_level} is above {HIGHEST_STACK_LEVEL}")
        if profile.id not in self._profiles and len(self._profiles) >= MOST_PROFILES:
            return Refusal("TooManyElements", f"{MOST_PROFILES} profiles are installed already")
        if profile.purpose is Purpose.TX_DEFAULT:
            for other in self.all():
                if (
                    other.purpose is Purpose.TX_DEFAULT
                    and other.id != profile.id
                    and other.stack_level == profile.stack_level
                    and (other.evse_id == 0) is not (profile.evse_id == 0)
                ):  # K01.FR.52, K01.FR.53
                    return Refusal(
                        "DuplicateProfile", f"profile {other.id} has this stackLevel for evseId {other.evse_id}"
                    )
        return None


def _refusal_of_purpose(profile: ChargingProfile, transaction_id: str | None) -> Refusal | None:
    if profile.purpose is Purpose.EXTERNAL_CONSTRAINTS:  # K01.FR.22: those do not come from the CSMS
        return Refusal("InvalidProfile", "chargingProfilePurpose cannot be set by the CSMS")
    if profile.purpose is Purpose.STATION_MAX:
        if profile.kind is Kind.RELATIVE:  # K01.FR.38
            return Refusal("InvalidProfile", "a ChargingStationMaxProfile cannot be Relative")
        return Refusal("UnsupportedPurpose", "ChargingStationMaxProfile is not supported yet")
    if profile.purpose is Purpose.TX:
        if profile.evse_id == 0:
            return Refusal("InvalidProfile", "a TxProfile needs an evseId")
        if profile.transaction_id is None:
            return Refusal("MissingParam", "a TxProfile needs a transactionId")
        if transaction_id is None or transaction_id != profile.transaction_id:  # K01.FR.09, K01.FR.33
            return Refusal("TxNotFound", f"transaction {profile.transaction_id} is not running on the EVSE")
    elif profile.transaction_id is not None:
        return Refusal("InvalidProfile", "only a TxProfile has a transactionId")
    return None


def _refusal_of_schedule(profile: ChargingProfile) -> Refusal | None:
    schedule = profile.schedule
    if not schedule.periods or schedule.periods[0].start_s != 0:  # K01.FR.31
        return Refusal("InvalidSchedule", "the first startPeriod must be 0")
    if len(schedule.periods) > MOST_PERIODS:
        return Refusal("TooManyElements", f"at most {MOST_PERIODS} periods")
    starts = [period.start_s for period in schedule.periods]
    if any(later <= earlier for earlier, later in pairwise(starts)):  # K01.FR.35
        return Refusal("InvalidSchedule", "startPeriod must increase")
    if any(period.limit < 0 or period.phases not in {1, 2, 3} for period in schedule.periods):
        return Refusal("InvalidSchedule", "limit must not be negative, numberPhases must be 1 to 3")
    if profile.kind is Kind.RELATIVE and schedule.starts_at is not None:  # K01.FR.41
        return Refusal("InvalidSchedule", "a Relative profile has no startSchedule")
    if profile.kind is not Kind.RELATIVE and schedule.starts_at is None:  # K01.FR.40
        return Refusal("InvalidSchedule", f"an {profile.kind} profile needs a startSchedule")
    if profile.kind is Kind.RECURRING and profile.recurrency is None:
        return Refusal("MissingParam", "a Recurring profile needs a recurrencyKind")
    if profile.valid_from and profile.valid_to and profile.valid_to <= profile.valid_from:
        return Refusal("InvalidProfile", "validTo must be after validFrom")
    return None


def _same_place(one: ChargingProfile, other: ChargingProfile) -> bool:
    """Two profiles that would stand at the same place of the same stack."""
    return (one.purpose, one.evse_id, one.stack_level, one.transaction_id) == (
        other.purpose,
        other.evse_id,
        other.stack_level,
        other.transaction_id,
    )
