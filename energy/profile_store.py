"""Stores installed charging profiles: validates, installs, finds and clears them (K01, K09, K10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Mapping
from datetime import datetime
from itertools import chain, count, pairwise

from energy.charging_profile import ChargingLimitSource, ChargingProfile, Kind, Purpose, Schedule
from energy.profile_bounds import within_bounds
from foundation.events import Event
from foundation.frozen import Frozen

MAX_PROFILES = 100
"""limit for the CSMS's profiles; external constraints are not counted"""
MAX_PERIODS = 1024
HIGHEST_STACK_LEVEL = 100
MAX_EXTERNAL_CONSTRAINTS = 6
"""profiles of external constraints: one in amperes and one in watts for each of three sources"""
_ONLY_PHASE_1 = frozenset({1})
"""the phases of a single-phase EVSE: always its terminal L1"""


class ProfileRefusal(Frozen):
    """The reason for rejecting a profile: an OCPP reason code and a sentence."""

    reason_code: str
    sentence: str


class ProfileCriteria(Frozen):
    """A filter for profiles: criteria that are None are ignored, all others must match (K09.FR.04, K10.FR.04)."""

    evse_id: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None
    profile_ids: Container[int] | None = None
    sources: Container[ChargingLimitSource] | None = None

    def matches(self, profile: ChargingProfile) -> bool:
        """Return whether a profile matches all criteria."""
        return (
            self.evse_id in {None, profile.evse_id}
            and self.purpose in {None, profile.purpose}
            and self.stack_level in {None, profile.stack_level}
            and (self.profile_ids is None or profile.id in self.profile_ids)
            and (self.sources is None or profile.source in self.sources)
        )


def no_selectable_phases(_: int) -> frozenset[int]:
    """`selectable_phases` of a `ProfileStore` if no board can switch phases: always empty."""
    return frozenset()


class ProfileStore:
    """The installed charging profiles, of the CSMS and of external constraints; in memory: saves nothing to disk."""

    def __init__(self, phases: Mapping[int, int], selectable_phases: Callable[[int], frozenset[int]]) -> None:
        """`phases`: number of phases of each EVSE; `selectable_phases`: those its board can use alone."""
        self._phases = phases
        self._selectable_phases = selectable_phases
        self._profiles: dict[int, ChargingProfile] = {}
        """as they were given: reported and stored"""
        self._profiles_within_bounds: dict[int, ChargingProfile] = {}
        """the same with values within the bounds: evaluated"""
        self.changed: Event[None] = Event()
        """published after profiles were installed or removed, or became applicable or not (`enabled`, `suspended`)"""
        self.enabled = True
        """whether the CSMS's profiles apply (SmartChargingCtrlr.Enabled)"""
        self.expected: dict[int, ChargingProfile] = {}
        """per EVSE, the profile of a start whose transaction has not begun: it applies but is not installed yet"""
        self._suspended: frozenset[int] = frozenset()

    @property
    def suspended(self) -> frozenset[int]:
        """The ids of profiles that do not apply at present, since the CSMS is out of reach (maxOfflineDuration)."""
        return self._suspended

    @suspended.setter
    def suspended(self, ids: frozenset[int]) -> None:
        if ids != self._suspended:
            self._suspended = ids
            self.changed.publish(None)

    def suspended_profiles(self) -> list[ChargingProfile]:
        """The installed profiles that are suspended."""
        return [profile for identity, profile in self._profiles.items() if identity in self._suspended]

    def all(self) -> tuple[ChargingProfile, ...]:
        """Every installed profile, without those expected with a start."""
        return tuple(self._profiles.values())

    def get(self, profile_id: int) -> ChargingProfile | None:
        """The profile with this id; None when there is none."""
        return self._profiles.get(profile_id)

    def applicable(self) -> tuple[ChargingProfile, ...]:
        """The profiles to evaluate: external constraints always; those of the CSMS, installed or expected, if enabled.

        Those that are suspended do not apply. Their limits are within `foundation.bounds`. Whether their schedules
        limit anything now is not checked.
        """
        if not self.enabled:
            return tuple(
                profile
                for profile in self._profiles_within_bounds.values()
                if profile.purpose is Purpose.EXTERNAL_CONSTRAINTS
            )
        if not self.expected and not self._suspended:
            return tuple(self._profiles_within_bounds.values())
        installed = (
            profile for identity, profile in self._profiles_within_bounds.items() if identity not in self._suspended
        )
        return (*installed, *map(within_bounds, self.expected.values()))

    def matching(self, criteria: ProfileCriteria) -> list[ChargingProfile]:
        """The installed profiles that match the criteria (K09)."""
        return [profile for profile in self.all() if criteria.matches(profile)]

    def free_external_id(self, usual: int) -> int:
        """The id for a new external constraint: `usual`, or a lower id if the CSMS already uses that one.

        Negative ids are recommended for external constraints and not forbidden to the CSMS (K11.FR.06).
        """
        used = self._profiles.keys() | {profile.id for profile in self.expected.values()}
        lower = count(-MAX_EXTERNAL_CONSTRAINTS - 1, -1)
        return next(identity for identity in chain((usual,), lower) if identity not in used)

    def refusal(
        self, profile: ChargingProfile, transaction_id: str | None, replaced_ids: Collection[int] = ()
    ) -> ProfileRefusal | None:
        """The reason for rejecting a profile of the CSMS; None if it can be installed.

        Args:
            profile: the profile to be installed.
            transaction_id: the transaction that runs on the profile's EVSE; None: none does.
            replaced_ids: ids of installed profiles that it replaces besides the one with its own id.
        """
        if profile.evse_id != 0 and profile.evse_id not in self._phases:  # K01.FR.28
            return ProfileRefusal("UnknownEvse", f"evseId {profile.evse_id} does not exist")
        return (
            _purpose_refusal(profile, transaction_id)
            or _schedules_refusal(profile)
            or self._phase_refusal(profile)
            or self._stack_refusal(profile, replaced_ids)
        )

    def replaceable_ids(self, profile: ChargingProfile, now: datetime) -> frozenset[int]:
        """The ids of expired profiles that a new profile replaces when it is installed.

        These are the one with the same purpose, EVSE and stack level and, if MAX_PROFILES are installed, the one whose
        validTo passed first: one without validTo stays until replaced (K01.FR.10). A default for all EVSEs
        and one for a single EVSE never replace each other (K01.FR.52, K01.FR.53).
        """
        other_profiles = [other for other in self._csms_profiles() if other.id != profile.id]
        over = [other for other in other_profiles if other.is_over(now)]
        replaced = {other.id for other in over if other.evse_id == profile.evse_id and _have_same_rank(profile, other)}
        if len(other_profiles) - len(replaced) >= MAX_PROFILES:
            ended = [
                (other.valid_to, other.id)
                for other in other_profiles
                if other.valid_to is not None and other.valid_to <= now
            ]
            replaced |= {identity for _, identity in sorted(ended)[:1]}
        return frozenset(replaced)

    def install(self, profile: ChargingProfile) -> None:
        """Install a profile without validating it (see `refusal`), replacing the one with its id (K01.FR.05).

        A profile that came with a start may conflict with another one, since its transaction was not known when it
        was validated: it replaces that one.
        """
        for other in self.all():
            if other.id != profile.id and _have_same_rank(profile, other):
                self._delete(other.id)
        self._profiles[profile.id] = profile
        self._profiles_within_bounds[profile.id] = within_bounds(profile)
        self.changed.publish(None)

    def remove(self, profile_id: int) -> ChargingProfile | None:
        """Remove the profile with this id, whoever has set it; returns it, or None if there is none."""
        removed = self._profiles.get(profile_id)
        if removed is not None:
            self._delete(profile_id)
            self.changed.publish(None)
        return removed

    def clear(self, criteria: ProfileCriteria) -> list[ChargingProfile]:
        """Remove profiles as the CSMS requests: those that match, except external constraints; returns them.

        K10.FR.04, K10.FR.08, K10.FR.09
        """
        cleared = [
            profile for profile in self.matching(criteria) if profile.purpose is not Purpose.EXTERNAL_CONSTRAINTS
        ]
        for profile in cleared:
            self._delete(profile.id)
        if cleared:
            self.changed.publish(None)
        return cleared

    def remove_transaction_profiles(self, transaction_id: str) -> list[ChargingProfile]:
        """Remove the TxProfiles of a transaction that has ended; returns them. It does not end the transaction."""
        ended = [p for p in self.all() if p.purpose is Purpose.TX and p.transaction_id == transaction_id]
        for profile in ended:
            self._delete(profile.id)
        if ended:
            self.changed.publish(None)
        return ended

    def _delete(self, profile_id: int) -> None:
        del self._profiles[profile_id], self._profiles_within_bounds[profile_id]

    def _phase_refusal(self, profile: ChargingProfile) -> ProfileRefusal | None:
        """Reject a number of phases, or a phase, that the board cannot set (Phases3to1, ACPhaseSwitchingSupported)."""
        concerned = [profile.evse_id] if profile.evse_id else list(self._phases)
        alone = {
            evse_id: self._selectable_phases(evse_id) if self._phases[evse_id] > 1 else _ONLY_PHASE_1
            for evse_id in concerned
        }
        schedules = profile.alternatives or (profile.schedule,)
        for period in chain.from_iterable(schedule.periods for schedule in schedules):
            for evse_id, choices in alone.items():
                wired = self._phases[evse_id]
                if period.phase_count < wired and not choices:  # K01.FR.43; more than there are is fine (K01.FR.45)
                    return ProfileRefusal(
                        "InvalidSchedule",
                        f"EVSE {evse_id} uses {wired} phases and cannot switch to {period.phase_count}",
                    )
                if period.phase_to_use is not None and period.phases != 1:  # K01.FR.19
                    return ProfileRefusal("InvalidSchedule", "phaseToUse requires numberPhases 1")
                if period.phase_to_use is not None and period.phase_to_use not in choices:  # K01.FR.46, K01.FR.48
                    return ProfileRefusal(
                        "InvalidSchedule", f"EVSE {evse_id} cannot charge on phase {period.phase_to_use} only"
                    )
        return None

    def _csms_profiles(self) -> list[ChargingProfile]:
        return [profile for profile in self.all() if profile.purpose is not Purpose.EXTERNAL_CONSTRAINTS]

    def _stack_refusal(self, profile: ChargingProfile, replaced_ids: Collection[int]) -> ProfileRefusal | None:
        if not 0 <= profile.stack_level <= HIGHEST_STACK_LEVEL:
            return ProfileRefusal(
                "InvalidStackLevel", f"stackLevel {profile.stack_level} is not between 0 and {HIGHEST_STACK_LEVEL}"
            )
        known = self._profiles.get(profile.id)
        if known is not None and known.purpose is Purpose.EXTERNAL_CONSTRAINTS:  # K01.FR.05
            return ProfileRefusal("InvalidProfile", f"id {profile.id} is used by an external constraint")
        other_profiles = [
            other for other in self._csms_profiles() if other.id != profile.id and other.id not in replaced_ids
        ]
        if len(other_profiles) >= MAX_PROFILES:
            return ProfileRefusal("TooManyElements", f"the maximum of {MAX_PROFILES} profiles is installed already")
        for other in other_profiles:
            if _have_same_rank(profile, other):
                return ProfileRefusal("DuplicateProfile", f"profile {other.id} has the same purpose and stackLevel")
        return None


def _have_same_rank(first: ChargingProfile, second: ChargingProfile) -> bool:
    """Return whether two profiles would have the same rank."""
    if (first.purpose, first.stack_level) != (second.purpose, second.stack_level):
        return False
    if first.purpose is Purpose.EXTERNAL_CONSTRAINTS:  # all of them apply, whoever has set them (SC.01)
        return False
    if first.purpose is Purpose.TX:  # K01.FR.39
        return first.transaction_id == second.transaction_id
    if first.evse_id != second.evse_id:  # K01.FR.52, K01.FR.53
        return first.purpose is Purpose.TX_DEFAULT and 0 in {first.evse_id, second.evse_id}
    return first.overlaps(second)  # K01.FR.06


def _purpose_refusal(profile: ChargingProfile, transaction_id: str | None) -> ProfileRefusal | None:
    if profile.purpose is Purpose.EXTERNAL_CONSTRAINTS:  # K01.FR.22: those do not come from the CSMS
        return ProfileRefusal("InvalidProfile", "chargingProfilePurpose cannot be set by the CSMS")
    if profile.purpose is Purpose.STATION_MAX and profile.kind is Kind.RELATIVE:  # K01.FR.38
        return ProfileRefusal("InvalidProfile", "a ChargingStationMaxProfile cannot be Relative")
    if profile.purpose is Purpose.STATION_MAX and profile.evse_id != 0:  # K04.FR.03
        return ProfileRefusal("InvalidProfile", "a ChargingStationMaxProfile must have evseId 0")
    if profile.purpose is Purpose.TX:
        if profile.evse_id == 0:  # K01.FR.16
            return ProfileRefusal("InvalidProfile", "a TxProfile requires an evseId")
        if profile.transaction_id is None:  # K01.FR.03
            return ProfileRefusal("MissingParam", "a TxProfile requires a transactionId")
        if transaction_id is None or transaction_id != profile.transaction_id:  # K01.FR.09, K01.FR.33
            return ProfileRefusal("TxNotFound", f"transaction {profile.transaction_id} is not running on the EVSE")
    elif profile.transaction_id is not None:
        return ProfileRefusal("InvalidProfile", "only a TxProfile may have a transactionId")
    return None


def _schedules_refusal(profile: ChargingProfile) -> ProfileRefusal | None:
    if profile.alternatives and profile.purpose is not Purpose.TX:  # K15.FR.07
        return ProfileRefusal("InvalidSchedule", "only a TxProfile may have more than one chargingSchedule")
    refusals = (_schedule_refusal(profile, schedule) for schedule in profile.alternatives or (profile.schedule,))
    return next((refusal for refusal in refusals if refusal is not None), None)


def _schedule_refusal(profile: ChargingProfile, schedule: Schedule) -> ProfileRefusal | None:
    if not schedule.periods or schedule.periods[0].start_s != 0:  # K01.FR.31
        return ProfileRefusal("InvalidSchedule", "the first startPeriod must be 0")
    if len(schedule.periods) > MAX_PERIODS:
        return ProfileRefusal("TooManyElements", f"there must be at most {MAX_PERIODS} periods")
    starts = [period.start_s for period in schedule.periods]
    if any(later <= earlier for earlier, later in pairwise(starts)):  # K01.FR.35
        return ProfileRefusal("InvalidSchedule", "startPeriod must increase")
    if any(not 0 <= period.limit < math.inf for period in schedule.periods):
        return ProfileRefusal("InvalidSchedule", "limit must be a number of at least 0")
    if any(period.phase_count not in {1, 2, 3} for period in schedule.periods):
        return ProfileRefusal("InvalidSchedule", "numberPhases must be 1 to 3")
    if schedule.minimum_rate is not None and not math.isfinite(schedule.minimum_rate):
        return ProfileRefusal("InvalidSchedule", "minChargingRate must be a number")
    if schedule.duration_s is not None and schedule.duration_s < 0:
        return ProfileRefusal("InvalidSchedule", "duration must not be negative")
    if profile.kind is Kind.RELATIVE and schedule.starts_at is not None:  # K01.FR.41
        return ProfileRefusal("InvalidSchedule", "a Relative profile must not have a startSchedule")
    if profile.kind is not Kind.RELATIVE and schedule.starts_at is None:  # K01.FR.40
        return ProfileRefusal("InvalidSchedule", f"an {profile.kind} profile requires a startSchedule")
    if profile.kind is Kind.RECURRING and profile.recurrency is None:
        return ProfileRefusal("MissingParam", "a Recurring profile requires a recurrencyKind")
    if profile.valid_from and profile.valid_to and profile.valid_to <= profile.valid_from:
        return ProfileRefusal("InvalidProfile", "validTo must be after validFrom")
    if profile.max_offline_s is not None and profile.max_offline_s < 0:
        return ProfileRefusal("InvalidProfile", "maxOfflineDuration must not be negative")
    return None
