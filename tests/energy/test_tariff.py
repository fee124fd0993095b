"""Charging in the cheap hours, from what the meter tells."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.grid import MeterTariff, TariffColour, TariffStep
from energy.tariff import (
    ChargePlan,
    OffPeakHours,
    PriceSignal,
    TariffDecision,
    TariffMode,
    decide_by_tariff,
    is_charging_time,
    price_signal,
)

PARIS = timezone(timedelta(hours=1))
EVENING = datetime(2026, 1, 15, 19, 0, tzinfo=PARIS)
OFF_PEAK, AVOID = TariffMode.OFF_PEAK, TariffMode.AVOID_PEAKS
tariffs = st.builds(
    MeterTariff,
    off_peak=st.none() | st.booleans(),
    today=st.none() | st.sampled_from(TariffColour),
    peak_now=st.booleans(),
    contact_closed=st.none() | st.booleans(),
)
plans = st.builds(ChargePlan, st.sampled_from(TariffMode), st.none() | st.times(), st.floats(0, 80_000))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(PARIS))  # noqa: DTZ001 - hypothesis adds the zone


@pytest.mark.parametrize(
    ("mode", "tariff", "cheap"),
    [
        (TariffMode.NONE, MeterTariff(off_peak=False), None),
        (OFF_PEAK, MeterTariff(off_peak=True), True),
        (OFF_PEAK, MeterTariff(off_peak=False), False),
        (OFF_PEAK, MeterTariff(contact_closed=True), True),
        (OFF_PEAK, MeterTariff(off_peak=False, contact_closed=True), False),
        (OFF_PEAK, MeterTariff(off_peak=True, peak_now=True), False),
        (OFF_PEAK, MeterTariff(peak_now=True), False),
        (OFF_PEAK, MeterTariff(), None),
        (OFF_PEAK, MeterTariff(flat=True, contact_closed=False), None),
        (OFF_PEAK, MeterTariff(flat=True, peak_now=True), False),
        (OFF_PEAK, None, None),
        (AVOID, MeterTariff(off_peak=False, today=TariffColour.BLUE), True),
        (AVOID, MeterTariff(off_peak=False, today=TariffColour.RED), False),
        (AVOID, MeterTariff(off_peak=True, today=TariffColour.RED), True),
        (AVOID, MeterTariff(peak_now=True), False),
        (AVOID, MeterTariff(), True),
    ],
)
def test_what_is_cheap(mode: TariffMode, tariff: MeterTariff | None, cheap: bool | None) -> None:
    assert is_charging_time(mode, tariff) is cheap


def verdict(
    plan: ChargePlan, local: datetime = EVENING, hours: OffPeakHours | None = None, charged_wh: float = 0.0
) -> TariffDecision:
    """In the dear hours, with 7 kW."""
    return decide_by_tariff(
        plan, MeterTariff(off_peak=False), local, hours or OffPeakHours(), charged_wh=charged_wh, power_w=7000.0
    )


def test_it_waits_for_the_hours_that_it_has_seen_begin() -> None:
    hours = OffPeakHours().observe(False, EVENING.replace(hour=22)).observe(True, EVENING.replace(hour=22, minute=30))
    assert verdict(ChargePlan(OFF_PEAK), hours=hours) == TariffDecision(False, EVENING.replace(hour=22, minute=30))
    late_evening = EVENING.replace(hour=23)
    assert verdict(ChargePlan(OFF_PEAK), late_evening, hours).next_change == EVENING.replace(day=16, hour=22, minute=30)


def test_it_waits_for_the_next_of_the_cheap_hours_where_a_day_has_them_twice() -> None:
    hours, night, noon = OffPeakHours(), EVENING.replace(hour=22, minute=30), EVENING.replace(hour=12, minute=30)
    for day in range(3):
        for begins in (noon, night):
            at = begins + timedelta(days=day)
            hours = hours.observe(False, at - timedelta(minutes=1)).observe(True, at)
            hours = hours.observe(False, at + timedelta(hours=3))
    assert hours.next_begin(EVENING + timedelta(days=2)) == night + timedelta(days=2)
    assert hours.next_begin(night + timedelta(days=2, minutes=1)) == noon + timedelta(days=3)
    moved_hours = hours.observe(False, noon + timedelta(days=3)).observe(True, noon + timedelta(days=3, hours=1))
    assert moved_hours.next_begin(noon + timedelta(days=4)) == noon + timedelta(days=4, hours=1)


def test_it_does_not_know_when_before_it_has_seen_them() -> None:
    assert verdict(ChargePlan(OFF_PEAK), hours=OffPeakHours().observe(True, EVENING)) == TariffDecision(False)


def test_before_it_has_seen_them_the_meters_own_profile_of_tomorrow_counts() -> None:
    steps = (TariffStep(time(0, 0), 1, False), TariffStep(time(1, 30), 2, True), TariffStep(time(7, 0), 1, False))
    decision = decide_by_tariff(
        ChargePlan(OFF_PEAK),
        MeterTariff(off_peak=False, next_day=steps),
        EVENING,
        OffPeakHours(),
        charged_wh=0,
        power_w=7000.0,
    )
    assert decision == TariffDecision(False, EVENING.replace(day=16, hour=1, minute=30))


def test_a_departure_outweighs_the_price_as_late_as_it_can() -> None:
    """28 kWh at 7 kW take 4 h: at half past 7 it has to be done, so it begins at a quarter past 3."""
    plan = ChargePlan(OFF_PEAK, time(7, 30), 28_000.0)
    latest = EVENING.replace(day=16, hour=3, minute=15)
    assert verdict(plan) == TariffDecision(False, latest)
    assert verdict(plan, latest - timedelta(seconds=1)) == TariffDecision(False, latest)
    assert verdict(plan, latest) == TariffDecision(True)


def test_what_it_has_had_counts() -> None:
    plan = ChargePlan(OFF_PEAK, time(7, 30), 28_000.0)
    assert verdict(plan, EVENING.replace(day=16, hour=3, minute=15), charged_wh=14_000.0).allowed is False
    assert verdict(plan, EVENING.replace(day=16, hour=7), charged_wh=28_000.0).allowed is False


NEXT_DAY = (TariffStep(time(1, 30), 2, True), TariffStep(time(7, 0), 1, False))


@pytest.mark.parametrize(
    ("tariff", "signal"),
    [
        (None, PriceSignal.NOT_REPORTED),
        (MeterTariff(off_peak=False), PriceSignal.NOT_REPORTED),
        (MeterTariff(contact_closed=True), PriceSignal.NOT_REPORTED),
        (MeterTariff(flat=True), PriceSignal.FLAT),
        (MeterTariff(flat=True, peak_announced=True), PriceSignal.KNOWN),
        (MeterTariff(peak_now=True), PriceSignal.KNOWN),
        (MeterTariff(has_peaks=True), PriceSignal.KNOWN),
        (MeterTariff(next_peak_day=(TariffStep(time(7), 2, None),)), PriceSignal.KNOWN),
        (MeterTariff(off_peak=True, today=TariffColour.BLUE), PriceSignal.KNOWN),
    ],
)
def test_peaks_can_be_avoided_where_the_contract_has_some(tariff: MeterTariff | None, signal: PriceSignal) -> None:
    assert price_signal(AVOID, tariff, OffPeakHours()) is signal


@given(plans, st.none() | tariffs, moments)
def test_a_mode_that_cannot_wait_never_does(plan: ChargePlan, tariff: MeterTariff | None, local: datetime) -> None:
    if not decide_by_tariff(plan, tariff, local, OffPeakHours(), charged_wh=0.0, power_w=7000.0).allowed:
        assert price_signal(plan.mode, tariff, OffPeakHours()) is PriceSignal.KNOWN


@pytest.mark.parametrize(
    ("tariff", "hours", "signal"),
    [
        (None, OffPeakHours(), PriceSignal.NOT_REPORTED),
        (MeterTariff(), OffPeakHours(), PriceSignal.NOT_REPORTED),
        (MeterTariff(flat=True, contact_closed=False), OffPeakHours(ever_off_peak=True), PriceSignal.FLAT),
        (MeterTariff(off_peak=False), OffPeakHours(), PriceSignal.KNOWN),
        (MeterTariff(contact_closed=False), OffPeakHours(), PriceSignal.NOT_REPORTED),
        (MeterTariff(contact_closed=True), OffPeakHours(), PriceSignal.KNOWN),
        (MeterTariff(contact_closed=False, next_day=NEXT_DAY), OffPeakHours(), PriceSignal.KNOWN),
        (MeterTariff(contact_closed=False), OffPeakHours().observe(True, EVENING), PriceSignal.KNOWN),
        (MeterTariff(peak_now=True), OffPeakHours(), PriceSignal.KNOWN),
    ],
)
def test_an_open_contact_says_nothing_of_prices_until_it_is_known_to_close(
    tariff: MeterTariff | None, hours: OffPeakHours, signal: PriceSignal
) -> None:
    assert price_signal(OFF_PEAK, tariff, hours) is signal
    if signal is not PriceSignal.KNOWN:
        assert decide_by_tariff(
            ChargePlan(OFF_PEAK), tariff, EVENING, hours, charged_wh=0, power_w=7000.0
        ) == TariffDecision(True)


def test_cheap_hours_are_remembered_while_the_meter_is_silent() -> None:
    hours = OffPeakHours().observe(True, EVENING).observe(None, EVENING).observe(False, EVENING)
    assert hours.ever_off_peak
    assert hours.observe(True, EVENING).ever_off_peak


@given(plans, st.none() | tariffs, moments, st.floats(0, 80_000), st.floats(0, 22_000))
def test_a_meter_without_a_tariff_forbids_nothing_and_the_next_change_is_ahead(
    plan: ChargePlan, tariff: MeterTariff | None, local: datetime, charged_wh: float, power_w: float
) -> None:
    decision = decide_by_tariff(
        plan,
        tariff,
        local,
        OffPeakHours(False, EVENING.replace(hour=22, minute=30)),
        charged_wh=charged_wh,
        power_w=power_w,
    )
    if is_charging_time(plan.mode, tariff) is not False:
        assert decision == TariffDecision(True)
    if decision.next_change is not None:
        assert decision.next_change > local
        assert not decision.allowed


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (datetime(2026, 3, 28, 20), datetime(2026, 3, 28, 22, 45, tzinfo=UTC)),  # noqa: DTZ001 - on the wall
        (datetime(2026, 10, 24, 20), datetime(2026, 10, 24, 23, 45, tzinfo=UTC)),  # noqa: DTZ001 - on the wall
        (datetime(2026, 7, 1, 20), datetime(2026, 7, 1, 22, 45, tzinfo=UTC)),  # noqa: DTZ001 - on the wall
    ],
)
def test_a_night_in_which_summer_time_begins_or_ends_has_an_hour_less_or_more_to_charge_in(
    day: datetime, begins: datetime
) -> None:
    """Six hours of charging before 7, and a quarter of an hour in reserve."""
    paris = ZoneInfo("Europe/Paris")
    plan = ChargePlan(OFF_PEAK, time(7), 42_000.0)
    waits = verdict(plan, day.replace(tzinfo=paris))
    assert not waits.allowed
    assert waits.next_change is not None
    assert waits.next_change == begins
    assert not verdict(plan, (begins - timedelta(minutes=1)).astimezone(paris)).allowed
    assert verdict(plan, begins.astimezone(paris)).allowed


ZONE = ZoneInfo("Europe/Paris")
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=ZONE), datetime(2026, 10, 25, tzinfo=ZONE)
"""the days on which summer time begins and ends"""
HALF_PAST_TWO = time(2, 30)


def latest(departure: time, now: datetime) -> datetime | None:
    """When charging an hour for a departure begins at the latest."""
    return verdict(ChargePlan(OFF_PEAK, departure, 7_000.0), now).next_change


@pytest.mark.parametrize(
    ("evening", "begins"),
    [
        (SPRING - timedelta(days=1), "2026-03-28T17:45Z"),
        (SPRING, "2026-03-29T16:45Z"),
        (AUTUMN - timedelta(days=1), "2026-10-24T16:45Z"),
        (AUTUMN, "2026-10-25T17:45Z"),
    ],
)
def test_a_departure_at_eight_in_the_evening_is_at_eight_on_the_wall_before_and_after_each_change(
    evening: datetime, begins: str
) -> None:
    """An hour of charging and a quarter of an hour in reserve before 20:00 in Paris."""
    assert latest(time(20), evening.replace(hour=12)) == datetime.fromisoformat(begins)


def test_a_departure_that_the_begin_of_summer_time_skips_is_when_the_clock_jumps_over_it() -> None:
    """02:30 does not exist: the clock goes from 02:00 to 03:00, at 01:00 UTC."""
    jump = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert latest(HALF_PAST_TWO, SPRING - timedelta(hours=5)) == jump - timedelta(minutes=75)
    after = jump.astimezone(ZONE) + timedelta(minutes=10)
    assert latest(HALF_PAST_TWO, after) == datetime(2026, 3, 29, 23, 15, tzinfo=UTC), "that of the next night"


def test_a_departure_that_the_end_of_summer_time_shows_twice_is_meant_the_first_time() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert latest(HALF_PAST_TWO, AUTUMN - timedelta(hours=5)) == first - timedelta(minutes=75)
    between = datetime(2026, 10, 25, 1, 15, tzinfo=UTC).astimezone(ZONE)
    assert (between.hour, between.fold) == (2, 1)
    assert latest(HALF_PAST_TWO, between) == datetime(2026, 10, 26, 0, 15, tzinfo=UTC), "that of the next night"


@pytest.mark.parametrize(("change", "begins"), [(SPRING, "2026-03-29T20:30Z"), (AUTUMN, "2026-10-25T21:30Z")])
def test_cheap_hours_begin_at_the_same_time_of_day_after_each_change(change: datetime, begins: str) -> None:
    day_before = change - timedelta(days=1)
    hours = (
        OffPeakHours().observe(False, day_before.replace(hour=22)).observe(True, day_before.replace(hour=22, minute=30))
    )
    assert hours.next_begin(change.replace(hour=12)) == datetime.fromisoformat(begins)


def test_cheap_hours_that_were_seen_before_the_time_zone_was_set_begin_at_the_same_moment() -> None:
    first_begin = datetime(2026, 7, 1, 20, 30, tzinfo=UTC)
    hours = OffPeakHours().observe(False, first_begin - timedelta(minutes=1)).observe(True, first_begin)
    assert hours.next_begin((first_begin + timedelta(hours=1)).astimezone(ZONE)) == first_begin + timedelta(days=1)
