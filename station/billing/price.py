"""Calculates the cost of a charge by the owner's prices: energy by tariff period, time, and idle time. No I/O.

Amounts are decimal, each line of a bill is rounded to the minor unit of its currency, and the total is the sum of the
lines. Energy is the difference of two registers of the same meter, never anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from foundation.frozen import Frozen
from metering.reading import exact_wh
from station.billing.currency import round_amount


class FiniteAmounts(Frozen):
    """Base of values with decimal numbers, all of which must be finite: the others cannot be rounded or added.

    msgspec, unlike pydantic, also reads NaN and Infinity as decimal numbers, so a damaged row would be read as valid.

    Raises:
        ValueError: a number is not finite.
    """

    def __post_init__(self) -> None:
        """Called by msgspec for each new value."""
        for name in self.__struct_fields__:
            value: object = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} must be a finite number")


class PeriodPrice(FiniteAmounts):
    """The owner's energy price, taxes included, in a tariff period of the grid meter, such as HC."""

    name: str
    energy_per_kwh: Decimal


class PriceList(FiniteAmounts):
    """The owner's prices for charging. Amounts include all taxes."""

    currency: str = "EUR"
    """ISO 4217"""
    energy_per_kwh: Decimal = Decimal(0)
    """in tariff periods without a price of their own"""
    period: tuple[PeriodPrice, ...] = ()
    """prices that replace energy_per_kwh in the tariff periods named here"""
    time_per_hour: Decimal = Decimal(0)
    """for the whole transaction"""
    idle_per_hour: Decimal = Decimal(0)
    """for the time in which the vehicle is connected but does not draw, although it could"""
    idle_after_s: int = 0
    """free idle time, seconds"""

    def energy_price(self, period: str | None) -> Decimal:
        """The price per kWh in a tariff period: its own one, else the general one. `period` None: not known."""
        if period is not None:
            for period_price in self.period:
                if period_name(period_price.name) == period_name(period):
                    return period_price.energy_per_kwh
        return self.energy_per_kwh


def period_name(period: str) -> str:
    """Normalize the name of a tariff period for comparison: a Linky pads it with full stops."""
    return period.strip(" .").casefold()


class PeriodReading(Frozen):
    """The begin of a tariff period within a transaction, with the billing meter's register at that moment."""

    period: str | None
    """name of the tariff period; None: not known"""
    at: datetime
    energy_wh: float | None
    """import register, Wh; None: the meter did not answer, so the energy cannot be split here"""


class BilledItem(FiniteAmounts):
    """One line of a bill: energy in a tariff period, time, or idle time."""

    what: str
    """energy, time or idle"""
    quantity: Decimal
    unit: str
    """kWh or h"""
    unit_price: Decimal
    amount: Decimal
    period: str | None = None
    """tariff period of the energy; None: not known, or no energy"""
    begin_wh: Decimal | None = None
    """register at the begin of the energy; None: no energy"""
    end_wh: Decimal | None = None


class Bill(FiniteAmounts):
    """The final or interim bill of a transaction by the owner's prices."""

    currency: str
    lines: tuple[BilledItem, ...]
    total: Decimal
    objection: str | None = None
    """why the bill is not valid, as a sentence; None: it is"""


class BillableCharge(Frozen):
    """Energy registers, duration and idle time of a charge, from which `calculate_bill` makes its bill."""

    readings: Sequence[PeriodReading]
    """at the begin, and at each change of the tariff period"""
    end_wh: float | None
    """register at the end, Wh; None: not read"""
    duration: timedelta
    idle: timedelta = timedelta(0)
    """including the free idle time"""
    objection: str | None = None
    """why the charge must not be billed, if that is known already"""


def calculate_bill(prices: PriceList, charge: BillableCharge) -> Bill:
    """Calculate the bill of a charge by these prices; if a register is missing or went back, it has an objection."""
    lines = list(_energy_items(prices, charge))
    hours = _hours(charge.duration)
    if prices.time_per_hour and hours:
        lines.append(_time_item("time", hours, prices.time_per_hour, prices.currency))
    idle = _hours(max(timedelta(0), charge.idle - timedelta(seconds=prices.idle_after_s)))
    if prices.idle_per_hour and idle:
        lines.append(_time_item("idle", idle, prices.idle_per_hour, prices.currency))
    total = sum((line.amount for line in lines), round_amount(Decimal(0), prices.currency))
    return Bill(prices.currency, tuple(lines), total, charge.objection or _register_objection(prices, charge))


def _register_objection(prices: PriceList, charge: BillableCharge) -> str | None:
    registers = [reading.energy_wh for reading in charge.readings]
    if not registers or registers[0] is None or charge.end_wh is None:
        return "a register was not read"
    if prices.period and None in registers:
        return "the register was not read where the tariff period changed"
    registers_read = [register for register in (*registers, charge.end_wh) if register is not None]
    if any(later < earlier for earlier, later in pairwise(registers_read)):
        return "the register went back"
    return None


def _energy_items(prices: PriceList, charge: BillableCharge) -> Iterable[BilledItem]:
    """A line for each tariff period with a register at both ends and energy in between.

    A register that decreased yields no line; `_register_objection` reports it.
    """
    measured = [reading for reading in charge.readings if reading.energy_wh is not None]
    if not measured or charge.end_wh is None or charge.readings[0].energy_wh is None:
        return
    with_end = [*measured, PeriodReading(None, measured[-1].at, charge.end_wh)]
    for reading, next_reading in pairwise(with_end):
        begin_wh, end_wh = exact_wh(reading.energy_wh), exact_wh(next_reading.energy_wh)
        if begin_wh is None or end_wh is None or end_wh <= begin_wh:
            continue
        price, energy = prices.energy_price(reading.period), (end_wh - begin_wh) / 1000
        amount = round_amount(energy * price, prices.currency)
        yield BilledItem("energy", energy, "kWh", price, amount, reading.period, begin_wh, end_wh)


def _time_item(kind: str, hours: Decimal, per_hour: Decimal, currency: str) -> BilledItem:
    return BilledItem(kind, hours, "h", per_hour, round_amount(hours * per_hour, currency))


def idle_time(states: Iterable[tuple[timedelta, bool]], ended: timedelta) -> timedelta:
    """Add up the time in which the vehicle was idle.

    `states`: (elapsed time, whether idle from then on), in order; `ended`: the elapsed time at the end.
    """
    total = timedelta(0)
    for (since, idle), (until, _) in pairwise([*states, (ended, False)]):
        if idle:
            total += max(timedelta(0), until - since)
    return total


def _hours(span: timedelta) -> Decimal:
    """Convert to hours with four decimals, from whole seconds."""
    return (Decimal(max(0, int(span.total_seconds()))) / 3600).quantize(Decimal("0.0001"), ROUND_HALF_UP)
