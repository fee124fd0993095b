"""What a charge costs: exact, line by line, and never more than the registers prove."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.reading import exact_wh
from station.billing.price import (
    BillableCharge,
    PeriodPrice,
    PeriodReading,
    PriceList,
    calculate_bill,
    idle_time,
    period_name,
)
from tests.fakes import NOON

HOUR = timedelta(hours=1)
LINKY = PriceList(energy_per_kwh=Decimal("0.30"), period=(PeriodPrice("HC", Decimal("0.20")),))


def readings(*period_registers: tuple[str | None, float | None]) -> list[PeriodReading]:
    """Tariff periods that begin an hour apart, and the register at the begin of each."""
    return [PeriodReading(period, NOON + number * HOUR, wh) for number, (period, wh) in enumerate(period_registers)]


def cost(
    prices: PriceList, *period_registers: tuple[str | None, float | None], end_wh: float | None
) -> list[tuple[str, str]]:
    """Energy and amount of each line."""
    bill = calculate_bill(prices, BillableCharge(readings(*period_registers), end_wh, duration=HOUR))
    return [(str(line.quantity.normalize()), str(line.amount)) for line in bill.lines]


money = st.decimals(0, 10_000, places=5)
registers = st.lists(st.integers(0, 10**9).map(lambda milli: milli / 1000), min_size=2, max_size=8).map(sorted)
names = st.sampled_from(["HC", "HP", "BLEU", None])


@given(st.data(), registers, money, money, money, money, st.integers(0, 86_400), st.integers(0, 10**6))
def test_the_total_is_the_sum_of_the_lines_and_their_energy_is_end_less_begin(
    data: st.DataObject,
    registers_wh: list[float],
    kwh: Decimal,
    hc: Decimal,
    hour: Decimal,
    idle: Decimal,
    free_s: int,
    seconds: int,
) -> None:
    prices = PriceList("EUR", kwh, (PeriodPrice("HC", hc),), hour, idle, free_s)
    periods = [(data.draw(names), wh) for wh in registers_wh[:-1]]
    span = timedelta(seconds=seconds)
    bill = calculate_bill(prices, BillableCharge(readings(*periods), registers_wh[-1], duration=span, idle=span / 2))
    assert bill.objection is None
    assert bill.total == sum(line.amount for line in bill.lines)
    energy_kwh = sum((line.quantity for line in bill.lines if line.what == "energy"), Decimal(0))
    begin_wh, end_wh = exact_wh(registers_wh[0]), exact_wh(registers_wh[-1])
    assert begin_wh is not None
    assert end_wh is not None
    assert energy_kwh * 1000 == end_wh - begin_wh
    for line in bill.lines:
        exact = line.quantity * line.unit_price
        assert abs(line.amount - exact) <= Decimal("0.005")
        assert line.amount == line.amount.quantize(Decimal("0.01"))
    ends = [(line.begin_wh, line.end_wh) for line in bill.lines if line.what == "energy"]
    assert all(previous[1] == following[0] for previous, following in pairwise(ends))


@given(registers, st.integers(0, 6))
def test_a_silent_meter_at_a_change_of_tariff_loses_no_energy(registers_wh: list[float], silent: int) -> None:
    periods: list[tuple[str | None, float | None]] = [("HP", wh) for wh in registers_wh[:-1]]
    place = min(silent + 1, len(periods))
    periods.insert(place, ("HC", None))
    bill = calculate_bill(LINKY, BillableCharge(readings(*periods), registers_wh[-1], duration=HOUR))
    assert bill.objection == "the register was not read where the tariff period changed"
    assert sum((line.quantity for line in bill.lines), Decimal(0)) * 1000 == (exact_wh(registers_wh[-1]) or 0) - (
        exact_wh(registers_wh[0]) or 0
    )


def test_each_tariff_period_has_its_price_and_one_without_has_the_usual() -> None:
    lines = cost(LINKY, ("HP", 1000.0), ("HC", 3000.0), ("BLANC", 3500.5), end_wh=4500.5)
    assert lines == [("2", "0.60"), ("0.5005", "0.10"), ("1", "0.30")]


@pytest.mark.parametrize("name", ["HC", "HC..", " hc ", "Hc."])
def test_a_period_is_known_by_its_name_however_a_linky_pads_it(name: str) -> None:
    assert period_name(name) == "hc"
    assert LINKY.energy_price(name) == Decimal("0.20")


def test_a_period_without_energy_has_no_line() -> None:
    assert cost(LINKY, ("HP", 1000.0), ("HC", 1000.0), end_wh=2000.0) == [("1", "0.20")]


def test_half_a_cent_is_rounded_up() -> None:
    assert cost(PriceList(energy_per_kwh=Decimal("0.01")), (None, 0.0), end_wh=500.0) == [("0.5", "0.01")]


@pytest.mark.parametrize(
    ("period_registers", "end_wh", "objection"),
    [
        ([(None, None)], 2000.0, "a register was not read"),
        ([(None, 1000.0)], None, "a register was not read"),
        ([], 1000.0, "a register was not read"),
        ([(None, 1000.0)], 999.0, "the register went back"),
        ([("HP", 1000.0), ("HC", 900.0)], 2000.0, "the register went back"),
        ([("HP", 1000.0), ("HC", 1900.0)], 1500.0, "the register went back"),
    ],
)
def test_what_the_registers_do_not_prove_is_objected_to(
    period_registers: list[tuple[str | None, float | None]], end_wh: float | None, objection: str
) -> None:
    assert (
        calculate_bill(LINKY, BillableCharge(readings(*period_registers), end_wh, duration=HOUR)).objection == objection
    )


def test_an_objection_that_is_known_already_comes_first() -> None:
    bill = calculate_bill(LINKY, BillableCharge([], None, duration=HOUR, objection="the meter was exchanged"))
    assert bill.objection == "the meter was exchanged"


def test_time_costs_by_the_second_and_idling_after_what_is_free() -> None:
    prices = PriceList(time_per_hour=Decimal(2), idle_per_hour=Decimal(6), idle_after_s=600)
    charge = BillableCharge(readings((None, 0.0)), 0.0, duration=timedelta(minutes=90), idle=timedelta(minutes=40))
    lines = calculate_bill(prices, charge).lines
    assert [(line.what, str(line.quantity), str(line.amount)) for line in lines] == [
        ("time", "1.5000", "3.00"),
        ("idle", "0.5000", "3.00"),
    ]
    short = BillableCharge(readings((None, 0.0)), 0.0, duration=timedelta(0), idle=timedelta(minutes=9))
    assert calculate_bill(prices, short).lines == ()


def test_idle_is_what_lies_between_the_vehicle_stopping_and_going_on() -> None:
    states = [(0 * HOUR, False), (HOUR, True), (2 * HOUR, True), (3 * HOUR, False)]
    assert idle_time(states, 5 * HOUR) == 2 * HOUR
    assert idle_time([(0 * HOUR, True)], HOUR) == HOUR
    assert idle_time([(2 * HOUR, True)], HOUR) == timedelta(0), "nothing is taken away"
    assert idle_time([], HOUR) == timedelta(0)


@pytest.mark.parametrize(("register_wh", "exact"), [(0.1, "0.100"), (1234567.8905, "1234567.891"), (3.0, "3.000")])
def test_a_register_is_a_decimal_of_thousandths(register_wh: float, exact: str) -> None:
    assert str(exact_wh(register_wh)) == exact
    assert exact_wh(None) is None
