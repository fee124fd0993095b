"""Whether a change of profiles lowers a limit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.composite import ProfileTarget
from energy.profile_limits import ProfileLimits, profile_limits

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
TARGETS = (ProfileTarget(1, "tx", NOON), ProfileTarget(2))


def profile(
    limit: float, purpose: Purpose = Purpose.TX_DEFAULT, *, evse_id: int = 0, phases: int = 3
) -> ChargingProfile:
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, limit, phases),), starts_at=NOON)
    return ChargingProfile(int(limit), evse_id, 0, purpose, Kind.ABSOLUTE, schedule)


def limits(*profiles: ChargingProfile) -> ProfileLimits:
    return profile_limits(profiles, TARGETS, TARGETS[:1], NOON)


MAXIMUM = Purpose.STATION_MAX


@pytest.mark.parametrize(
    ("before", "after", "lower"),
    [
        ((), (), False),
        ((), (profile(16.0),), True),
        ((profile(16.0),), (), False),
        ((profile(16.0),), (profile(17.0),), False),
        ((profile(16.0),), (profile(16.0),), False),
        ((profile(16.0),), (profile(15.0),), True),
        ((profile(16.0, evse_id=1),), (profile(20.0, evse_id=1), profile(30.0, evse_id=2)), True),
        ((profile(40.0, MAXIMUM),), (profile(50.0, MAXIMUM),), False),
        ((profile(40.0, MAXIMUM),), (profile(50.0, MAXIMUM), profile(16.0)), True),
        ((), (profile(40.0, MAXIMUM),), True),
        ((profile(16.0),), (profile(20.0, phases=1),), True),
        ((profile(16.0, phases=1),), (profile(20.0),), True),
    ],
)
def test_a_limit_that_falls_or_another_number_of_phases_restricts_more(
    before: tuple[ChargingProfile, ...], after: tuple[ChargingProfile, ...], lower: bool
) -> None:
    assert limits(*after).restricts_more_than(limits(*before)) is lower


def test_limits_of_other_evses_cannot_be_compared() -> None:
    limits = profile_limits((), TARGETS[:1], (), NOON)
    assert limits.restricts_more_than(profile_limits((), TARGETS, (), NOON))


def test_a_profile_that_is_not_valid_yet_restricts_nothing() -> None:
    later = replace(profile(6.0), valid_from=datetime(2026, 1, 13, tzinfo=UTC))
    assert not limits(later).restricts_more_than(limits())
