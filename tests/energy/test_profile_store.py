"""Which charging profiles are installed, which are refused and why, and which replace which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from energy.charging_profile import (
    ChargingLimitSource,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Recurrency,
    Schedule,
    SchedulePeriod,
)
from energy.profile_store import (
    MAX_EXTERNAL_CONSTRAINTS,
    MAX_PERIODS,
    MAX_PROFILES,
    ProfileCriteria,
    ProfileStore,
    no_selectable_phases,
)
from tests.rows import each_row

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
SCHEDULE = Schedule(1, RateUnit.A, (SchedulePeriod(0, 16.0), SchedulePeriod(60, 8.0)), starts_at=NOON)
MAXIMUM = ChargingProfile(4, 0, 0, Purpose.STATION_MAX, Kind.ABSOLUTE, SCHEDULE)
DEFAULT = ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, SCHEDULE)
OF_TX = replace(DEFAULT, id=2, purpose=Purpose.TX, transaction_id="tx")


def store_with(*installed: ChargingProfile) -> ProfileStore:
    """A store of a station with two EVSEs: one with three phases, one with one."""
    profile_store = ProfileStore({1: 3, 2: 1}, no_selectable_phases)
    for profile in installed:
        profile_store.install(profile)
    return profile_store


def schedule(**changed: object) -> Schedule:
    """The schedule of a good profile, changed."""
    return replace(SCHEDULE, **changed)


@pytest.mark.parametrize(
    "profile",
    [
        DEFAULT,
        replace(DEFAULT, evse_id=0),
        OF_TX,
        replace(DEFAULT, kind=Kind.RECURRING, recurrency=Recurrency.DAILY),
        replace(DEFAULT, kind=Kind.RELATIVE, schedule=schedule(starts_at=None)),
        replace(DEFAULT, valid_from=NOON, valid_to=NOON + timedelta(days=1)),
        replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, 0.0),))),
        MAXIMUM,
        replace(MAXIMUM, kind=Kind.RECURRING, recurrency=Recurrency.WEEKLY),
        replace(DEFAULT, evse_id=2, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 3),))),  # K01.FR.45
        replace(DEFAULT, evse_id=2, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 1),))),
        replace(DEFAULT, evse_id=2, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 1, 1),))),  # K01.FR.46
    ],
)
def test_a_good_profile_is_not_refused(profile: ChargingProfile) -> None:
    assert store_with().refusal(profile, "tx") is None


@each_row(
    ("profile", "reason_code"),
    [
        (replace(DEFAULT, evse_id=3), "UnknownEvse"),  # K01.FR.28
        (replace(DEFAULT, purpose=Purpose.EXTERNAL_CONSTRAINTS), "InvalidProfile"),  # K01.FR.22
        (replace(MAXIMUM, kind=Kind.RELATIVE, schedule=schedule(starts_at=None)), "InvalidProfile"),  # K01.FR.38
        (replace(MAXIMUM, evse_id=1), "InvalidProfile"),  # K04.FR.03
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 1),))), "InvalidSchedule"),  # K01.FR.43
        (replace(MAXIMUM, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 2),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 3, 1),))), "InvalidSchedule"),  # K01.FR.19
        (
            replace(DEFAULT, evse_id=2, schedule=schedule(periods=(SchedulePeriod(0, 6.0, 1, 2),))),
            "InvalidSchedule",
        ),  # K01.FR.48
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, float("inf")),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(minimum_rate=float("nan"))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(duration_s=-1)), "InvalidSchedule"),
        (replace(DEFAULT, transaction_id="tx"), "InvalidProfile"),
        (replace(OF_TX, evse_id=0), "InvalidProfile"),
        (replace(OF_TX, transaction_id=None), "MissingParam"),
        (replace(OF_TX, transaction_id="another"), "TxNotFound"),  # K01.FR.33
        (replace(DEFAULT, schedule=schedule(periods=())), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(1, 16.0),))), "InvalidSchedule"),  # K01.FR.31
        (
            replace(
                DEFAULT,
                schedule=schedule(periods=(SchedulePeriod(0, 16.0), SchedulePeriod(9, 1.0), SchedulePeriod(9, 2.0))),
            ),
            "InvalidSchedule",
        ),  # K01.FR.35
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, -1.0),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(periods=(SchedulePeriod(0, 1.0, phases=4),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(starts_at=None)), "InvalidSchedule"),  # K01.FR.40
        (replace(DEFAULT, kind=Kind.RELATIVE), "InvalidSchedule"),  # K01.FR.41
        (replace(DEFAULT, kind=Kind.RECURRING), "MissingParam"),
        (replace(DEFAULT, valid_from=NOON, valid_to=NOON), "InvalidProfile"),
        (replace(DEFAULT, stack_level=-1), "InvalidStackLevel"),
        (replace(DEFAULT, stack_level=101), "InvalidStackLevel"),
        (
            replace(
                DEFAULT, schedule=schedule(periods=tuple(SchedulePeriod(at_s, 6.0) for at_s in range(MAX_PERIODS + 1)))
            ),
            "TooManyElements",
        ),
    ],
)
def test_a_bad_profile_is_refused_with_a_reason_and_a_sentence(profile: ChargingProfile, reason_code: str) -> None:
    refusal = store_with().refusal(profile, "tx")
    assert refusal is not None
    assert refusal.reason_code == reason_code
    assert len(refusal.reason_code) <= 20
    assert refusal.sentence


def test_a_profile_of_a_transaction_needs_one_that_runs() -> None:
    """K01.FR.09"""
    refusal = store_with().refusal(OF_TX, None)
    assert refusal is not None
    assert refusal.reason_code == "TxNotFound"


@pytest.mark.parametrize(("installed", "new"), [(0, 1), (1, 0)])
def test_a_default_for_all_and_one_for_an_evse_cannot_share_a_stack_level(installed: int, new: int) -> None:
    """K01.FR.52, K01.FR.53"""
    profile_store = store_with(replace(DEFAULT, evse_id=installed))
    refusal = profile_store.refusal(replace(DEFAULT, id=9, evse_id=new), None)
    assert refusal is not None
    assert refusal.reason_code == "DuplicateProfile"
    assert profile_store.refusal(replace(DEFAULT, id=9, evse_id=new, stack_level=1), None) is None
    assert profile_store.refusal(replace(DEFAULT, evse_id=new), None) is None, "the same id replaces"


def test_more_profiles_than_there_is_room_for_are_refused_but_one_may_be_replaced() -> None:
    full = store_with(*[replace(DEFAULT, id=number, stack_level=number) for number in range(MAX_PROFILES)])
    refusal = full.refusal(replace(DEFAULT, id=MAX_PROFILES, evse_id=2), None)
    assert refusal is not None
    assert refusal.reason_code == "TooManyElements"
    assert full.refusal(replace(DEFAULT, id=5, stack_level=5), None) is None


def test_limits_of_others_take_no_place_of_a_profile_of_the_csms() -> None:
    """Entries[ChargingProfiles] has room for both."""
    other_profiles = [
        replace(MAXIMUM, id=-number, purpose=Purpose.EXTERNAL_CONSTRAINTS, source=ChargingLimitSource.EMS)
        for number in range(1, MAX_EXTERNAL_CONSTRAINTS + 1)
    ]
    own = [replace(DEFAULT, id=number, stack_level=number) for number in range(MAX_PROFILES - 1)]
    assert (
        store_with(*other_profiles, *own).refusal(replace(DEFAULT, id=MAX_PROFILES, stack_level=MAX_PROFILES), None)
        is None
    )


def test_a_profile_replaces_the_one_with_its_id() -> None:
    """K01.FR.05"""
    new = replace(DEFAULT, stack_level=5, evse_id=2)
    assert store_with(DEFAULT, new).all() == (new,)


def refusal_reason(profile_store: ProfileStore, profile: ChargingProfile) -> str | None:
    """Why a profile is refused."""
    refusal = profile_store.refusal(profile, "tx")
    return refusal.reason_code if refusal is not None else None


@pytest.mark.parametrize("installed", [DEFAULT, MAXIMUM, OF_TX])
def test_two_profiles_cannot_have_one_place_in_the_stack(installed: ChargingProfile) -> None:
    """K01.FR.06, K01.FR.39: nobody could say which of them holds."""
    profile_store = store_with(installed)
    assert refusal_reason(profile_store, replace(installed, id=7)) == "DuplicateProfile"
    assert refusal_reason(profile_store, replace(installed, id=7, stack_level=1)) is None


def test_profiles_of_different_times_may_share_a_place_in_the_stack_but_not_those_of_a_transaction() -> None:
    """K01.FR.06 speaks of overlapping validity, K01.FR.39 does not."""
    tomorrow = NOON + timedelta(days=1)
    today, then = replace(DEFAULT, valid_to=tomorrow), replace(DEFAULT, id=7, valid_from=tomorrow)
    assert refusal_reason(store_with(today), then) is None
    assert store_with(today, then).all() == (today, then)
    assert refusal_reason(store_with(today), replace(then, valid_from=NOON)) == "DuplicateProfile"
    of_today, of_then = replace(OF_TX, valid_to=tomorrow), replace(OF_TX, id=7, valid_from=tomorrow)
    assert refusal_reason(store_with(of_today), of_then) == "DuplicateProfile"


def test_what_came_with_a_start_takes_its_place_from_what_was_there() -> None:
    """Its transaction was not known when it was checked (F01.FR.10)."""
    with_start = replace(OF_TX, id=7, with_start=True)
    assert store_with(DEFAULT, OF_TX, with_start).all() == (DEFAULT, with_start)


def test_constraints_of_different_setters_are_installed_beside_each_other() -> None:
    """SC.01"""
    operator = replace(DEFAULT, id=-1, purpose=Purpose.EXTERNAL_CONSTRAINTS, evse_id=0)
    profile_store = store_with(operator, replace(operator, id=-2))
    profile_store.install(replace(operator, valid_to=NOON))
    assert {profile.id for profile in profile_store.all()} == {-1, -2}


def test_an_external_constraint_is_not_replaced_by_the_csms() -> None:
    """K01.FR.05"""
    external = replace(MAXIMUM, purpose=Purpose.EXTERNAL_CONSTRAINTS)
    assert refusal_reason(store_with(external), replace(DEFAULT, id=external.id)) == "InvalidProfile"


@pytest.mark.parametrize("identity", [0, -1, -6, -7, -(2**31)])
def test_the_csms_may_use_any_id_that_no_external_constraint_has(identity: int) -> None:
    """K11.FR.06 recommends negative ids for external constraints, and nothing forbids them to the CSMS."""
    assert refusal_reason(store_with(), replace(DEFAULT, id=identity)) is None


def test_an_external_constraint_goes_out_of_the_way_of_ids_that_the_csms_uses() -> None:
    profile_store = store_with(replace(DEFAULT, id=-1), replace(DEFAULT, id=-7, stack_level=1))
    profile_store.expected[1] = replace(OF_TX, id=-8)
    assert [profile_store.free_external_id(preferred) for preferred in (-1, -2)] == [-9, -2]


@pytest.mark.parametrize(
    ("installed", "new", "replaceable"), [(1, 1, True), (0, 0, True), (0, 1, False), (1, 0, False)]
)
def test_what_is_over_gives_way_at_its_own_place_only(installed: int, new: int, replaceable: bool) -> None:
    """K01.FR.52, K01.FR.53 ask what is installed, not whether it is over."""
    over = replace(DEFAULT, evse_id=installed, schedule=schedule(duration_s=60))
    profile_store, new_profile = store_with(over), replace(DEFAULT, id=9, evse_id=new)
    assert profile_store.replaceable_ids(new_profile, NOON) == frozenset()
    later = NOON + timedelta(seconds=60)
    assert profile_store.replaceable_ids(new_profile, later) == ({over.id} if replaceable else set())
    assert (
        profile_store.refusal(new_profile, None, profile_store.replaceable_ids(new_profile, later)) is None
    ) is replaceable
    assert profile_store.all() == (over,)


def test_with_smart_charging_switched_off_only_external_constraints_count() -> None:
    external = replace(MAXIMUM, id=-1, purpose=Purpose.EXTERNAL_CONSTRAINTS)
    profile_store = store_with(DEFAULT, MAXIMUM, external)
    assert set(profile_store.applicable()) == {DEFAULT, MAXIMUM, external}
    profile_store.enabled = False
    assert profile_store.applicable() == (external,)
    assert len(profile_store.all()) == 3


@pytest.mark.parametrize(
    ("criteria", "cleared"),
    [
        (ProfileCriteria(), {1, 2, 3, 4}),
        (ProfileCriteria(profile_ids=[3]), {3}),
        (ProfileCriteria(profile_ids=[3], evse_id=1), set[int]()),
        (ProfileCriteria(profile_ids=[1, 3, 99]), {1, 3}),
        (ProfileCriteria(sources=[ChargingLimitSource.CSO]), {1, 2, 3, 4}),
        (ProfileCriteria(sources=[ChargingLimitSource.EMS]), set[int]()),
        (ProfileCriteria(profile_ids=[99]), set[int]()),
        (ProfileCriteria(evse_id=1), {1, 2}),
        (ProfileCriteria(evse_id=0), {4}),
        (ProfileCriteria(purpose=Purpose.TX), {2}),
        (ProfileCriteria(stack_level=1), {3, 4}),
        (ProfileCriteria(purpose=Purpose.TX_DEFAULT, evse_id=2, stack_level=1), {3}),
        (ProfileCriteria(purpose=Purpose.TX_DEFAULT, evse_id=2, stack_level=0), set[int]()),
    ],
)
def test_clearing_takes_what_matches_all_criteria_and_nothing_else(
    criteria: ProfileCriteria, cleared: set[int]
) -> None:
    """K10.FR.01 to K10.FR.04"""
    profile_store = store_with(
        DEFAULT,
        OF_TX,
        replace(DEFAULT, id=3, evse_id=2, stack_level=1),
        replace(MAXIMUM, stack_level=1),
    )
    assert {profile.id for profile in profile_store.clear(criteria)} == cleared
    assert {profile.id for profile in profile_store.all()} == {1, 2, 3, 4} - cleared


def test_external_constraints_are_never_cleared() -> None:
    """K10.FR.04"""
    external = replace(DEFAULT, purpose=Purpose.EXTERNAL_CONSTRAINTS)
    profile_store = store_with(external, replace(DEFAULT, id=9))
    assert [profile.id for profile in profile_store.clear(ProfileCriteria())] == [9]
    assert profile_store.clear(ProfileCriteria(profile_ids=[external.id])) == []
    assert profile_store.all() == (external,)


def test_the_profiles_of_a_transaction_end_with_it() -> None:
    another = replace(OF_TX, id=3, transaction_id="another", evse_id=2)
    profile_store = store_with(DEFAULT, OF_TX, another)
    assert profile_store.remove_transaction_profiles("tx") == [OF_TX]
    assert profile_store.all() == (DEFAULT, another)


@pytest.mark.parametrize(
    ("single_phases", "period", "accepted"),
    [
        (frozenset[int](), SchedulePeriod(0, 10.0, phases=1), False),
        (frozenset({1}), SchedulePeriod(0, 10.0, phases=1), True),
        (frozenset({1}), SchedulePeriod(0, 10.0, phases=2), True),
        (frozenset({1}), SchedulePeriod(0, 10.0, phases=1, phase_to_use=1), True),
        (frozenset({1}), SchedulePeriod(0, 10.0, phases=1, phase_to_use=2), False),
        (frozenset({1, 2, 3}), SchedulePeriod(0, 10.0, phases=1, phase_to_use=2), True),
        (frozenset({1, 2, 3}), SchedulePeriod(0, 10.0, phases=3, phase_to_use=2), False),
        (frozenset({1, 2, 3}), SchedulePeriod(0, 10.0, phases=None, phase_to_use=2), False),
        (frozenset({1, 2, 3}), SchedulePeriod(0, 10.0, phases=1, phase_to_use=4), False),
    ],
)
def test_one_phase_is_taken_by_boards_that_can_and_a_named_one_by_boards_that_choose(
    single_phases: frozenset[int], period: SchedulePeriod, accepted: bool
) -> None:
    """K01.FR.19, K01.FR.43, K01.FR.46, K01.FR.48"""
    profile_store = ProfileStore({1: 3}, lambda _: single_phases)
    refusal = profile_store.refusal(replace(DEFAULT, schedule=schedule(periods=(period,))), None)
    assert (refusal is None) is accepted


def test_a_profile_of_the_station_needs_every_evse_to_be_able() -> None:
    """K01.FR.43, K01.FR.48"""
    single_phase = replace(MAXIMUM, schedule=schedule(periods=(SchedulePeriod(0, 10.0, phases=1),)))
    two = replace(MAXIMUM, schedule=schedule(periods=(SchedulePeriod(0, 10.0, phases=1, phase_to_use=2),)))
    some = ProfileStore({1: 3, 2: 3}, lambda evse_id: frozenset({1} if evse_id == 1 else ()))
    assert some.refusal(single_phase, None) is not None
    all_selectable = ProfileStore({1: 3, 2: 1}, lambda _: frozenset({1, 2, 3}))
    assert all_selectable.refusal(single_phase, None) is None
    assert all_selectable.refusal(two, None) is not None
