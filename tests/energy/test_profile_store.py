"""Which charging profiles are installed, which are refused and why, and which replace which."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from energy.charging_profile import ChargingProfile, Kind, Period, Purpose, RateUnit, Recurrency, Schedule
from energy.profile_store import MOST_PERIODS, MOST_PROFILES, Criteria, ProfileStore

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
SCHEDULE = Schedule(1, RateUnit.A, (Period(0, 16.0), Period(60, 8.0)), starts_at=NOON)
DEFAULT = ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, SCHEDULE)
OF_TX = replace(DEFAULT, id=2, purpose=Purpose.TX, transaction_id="tx")


def store(*installed: ChargingProfile) -> ProfileStore:
    """A store of a station with two EVSEs."""
    made = ProfileStore({1, 2})
    for profile in installed:
        made.install(profile)
    return made


def schedule(**changed: object) -> Schedule:
    """The schedule of a good profile, changed."""
    return replace(SCHEDULE, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "profile",
    [
        DEFAULT,
        replace(DEFAULT, evse_id=0),
        OF_TX,
        replace(DEFAULT, kind=Kind.RECURRING, recurrency=Recurrency.DAILY),
        replace(DEFAULT, kind=Kind.RELATIVE, schedule=schedule(starts_at=None)),
        replace(DEFAULT, valid_from=NOON, valid_to=NOON + timedelta(days=1)),
        replace(DEFAULT, schedule=schedule(periods=(Period(0, 0.0),))),
    ],
)
def test_a_good_profile_is_not_refused(profile: ChargingProfile) -> None:
    assert store().refusal(profile, "tx") is None


@pytest.mark.parametrize(
    ("profile", "reason_code"),
    [
        (replace(DEFAULT, evse_id=3), "InvalidValue"),  # K01.FR.28
        (replace(DEFAULT, purpose=Purpose.EXTERNAL_CONSTRAINTS), "InvalidProfile"),  # K01.FR.22
        (replace(DEFAULT, purpose=Purpose.STATION_MAX, kind=Kind.RELATIVE), "InvalidProfile"),  # K01.FR.38
        (replace(DEFAULT, purpose=Purpose.STATION_MAX), "UnsupportedPurpose"),
        (replace(DEFAULT, transaction_id="tx"), "InvalidProfile"),
        (replace(OF_TX, evse_id=0), "InvalidProfile"),
        (replace(OF_TX, transaction_id=None), "MissingParam"),
        (replace(OF_TX, transaction_id="another"), "TxNotFound"),  # K01.FR.33
        (replace(DEFAULT, schedule=schedule(periods=())), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(periods=(Period(1, 16.0),))), "InvalidSchedule"),  # K01.FR.31
        (
            replace(DEFAULT, schedule=schedule(periods=(Period(0, 16.0), Period(9, 1.0), Period(9, 2.0)))),
            "InvalidSchedule",
        ),  # K01.FR.35
        (replace(DEFAULT, schedule=schedule(periods=(Period(0, -1.0),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(periods=(Period(0, 1.0, phases=4),))), "InvalidSchedule"),
        (replace(DEFAULT, schedule=schedule(starts_at=None)), "InvalidSchedule"),  # K01.FR.40
        (replace(DEFAULT, kind=Kind.RELATIVE), "InvalidSchedule"),  # K01.FR.41
        (replace(DEFAULT, kind=Kind.RECURRING), "MissingParam"),
        (replace(DEFAULT, valid_from=NOON, valid_to=NOON), "InvalidProfile"),
        (replace(DEFAULT, stack_level=-1), "InvalidStackLevel"),
        (replace(DEFAULT, stack_level=101), "InvalidStackLevel"),
        (
            replace(DEFAULT, schedule=schedule(periods=tuple(Period(at_s, 6.0) for at_s in range(MOST_PERIODS + 1)))),
            "TooManyElements",
        ),
    ],
)
def test_a_bad_profile_is_refused_with_a_reason_and_a_sentence(profile: ChargingProfile, reason_code: str) -> None:
    refusal = store().refusal(profile, "tx")
    assert refusal is not None
    assert refusal.reason_code == reason_code
    assert len(refusal.reason_code) <= 20
    assert refusal.sentence


def test_a_profile_of_a_transaction_needs_one_that_runs() -> None:
    """K01.FR.09"""
    refusal = store().refusal(OF_TX, None)
    assert refusal is not None
    assert refusal.reason_code == "TxNotFound"


@pytest.mark.parametrize(("installed", "new"), [(0, 1), (1, 0)])
def test_a_default_for_all_and_one_for_an_evse_cannot_share_a_stack_level(installed: int, new: int) -> None:
    """K01.FR.52, K01.FR.53"""
    there = store(replace(DEFAULT, evse_id=installed))
    refusal = there.refusal(replace(DEFAULT, id=9, evse_id=new), None)
    assert refusal is not None
    assert refusal.reason_code == "DuplicateProfile"
    assert there.refusal(replace(DEFAULT, id=9, evse_id=new, stack_level=1), None) is None
    assert there.refusal(replace(DEFAULT, evse_id=new), None) is None, "the same id replaces"


def test_more_profiles_than_there_is_room_for_are_refused_but_one_may_be_replaced() -> None:
    full = store(*[replace(DEFAULT, id=number, stack_level=number) for number in range(MOST_PROFILES)])
    refusal = full.refusal(replace(DEFAULT, id=MOST_PROFILES, stack_level=0, evse_id=2), None)
    assert refusal is not None
    assert refusal.reason_code == "TooManyElements"
    assert full.refusal(replace(DEFAULT, id=5, stack_level=5), None) is None


def test_a_profile_replaces_the_one_with_its_id() -> None:
    """K01.FR.05"""
    new = replace(DEFAULT, stack_level=5, evse_id=2)
    assert store(DEFAULT, new).all() == (new,)


def test_a_profile_replaces_the_one_at_its_place_in_the_stack() -> None:
    new = replace(DEFAULT, id=7)
    assert store(DEFAULT, new).all() == (new,)
    other_evse = replace(DEFAULT, id=8, evse_id=2)
    other_level = replace(DEFAULT, id=9, stack_level=1)
    assert len(store(DEFAULT, other_evse, other_level, OF_TX).all()) == 4


@pytest.mark.parametrize(
    ("criteria", "cleared"),
    [
        (Criteria(), {1, 2, 3, 4}),
        (Criteria(profile_id=3), {3}),
        (Criteria(profile_id=3, evse_id=1), {3}),
        (Criteria(profile_id=99), set[int]()),
        (Criteria(evse_id=1), {1, 2}),
        (Criteria(evse_id=0), {4}),
        (Criteria(purpose=Purpose.TX), {2}),
        (Criteria(stack_level=1), {3, 4}),
        (Criteria(purpose=Purpose.TX_DEFAULT, evse_id=2, stack_level=1), {3}),
        (Criteria(purpose=Purpose.TX_DEFAULT, evse_id=2, stack_level=0), set[int]()),
    ],
)
def test_clearing_takes_what_matches_all_criteria_and_nothing_else(criteria: Criteria, cleared: set[int]) -> None:
    """K10.FR.01 to K10.FR.04"""
    there = store(
        DEFAULT,
        OF_TX,
        replace(DEFAULT, id=3, evse_id=2, stack_level=1),
        replace(DEFAULT, id=4, evse_id=0, stack_level=1, kind=Kind.RECURRING, recurrency=Recurrency.DAILY),
    )
    assert {profile.id for profile in there.clear(criteria)} == cleared
    assert {profile.id for profile in there.all()} == {1, 2, 3, 4} - cleared


def test_external_constraints_are_never_cleared() -> None:
    """K10.FR.04"""
    external = replace(DEFAULT, purpose=Purpose.EXTERNAL_CONSTRAINTS)
    there = store(external)
    assert there.clear(Criteria()) == []
    assert there.clear(Criteria(profile_id=external.id)) == []
    assert there.all() == (external,)


def test_the_profiles_of_a_transaction_end_with_it() -> None:
    another = replace(OF_TX, id=3, transaction_id="another", evse_id=2)
    there = store(DEFAULT, OF_TX, another)
    assert there.end_transaction("tx") == [OF_TX]
    assert there.all() == (DEFAULT, another)
