"""How the log of transactions is stored: its columns, its rows, and the texts of prices and bills in them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from metering.reading import exact_wh
from station.billing.logged_transaction import RegisterShown, ToldCost, Transaction
from station.billing.price import Bill, PeriodReading, PriceList
from station.records import payloads

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from station.records.database import Row, Value

T = TypeVar("T")

NUMBER: Final = 1
BEGAN_AT: Final = 5
"""their places among the columns"""
COLUMNS: Final = (
    "transaction_id, number, evse_id, token, token_type, began_at, ended_at, stopped_reason, begin_wh, begin_read_at,"
    " begin_time, begin_substitute, end_wh, end_read_at, end_time, end_substitute, charging_s, corrected_s,"
    " meter_serial, prices, bill, told_cost, told_currency, lasted_s"
)


@cache
def _bills() -> TypeAdapter[Bill]:
    from pydantic import TypeAdapter

    return TypeAdapter(Bill)


@cache
def _price_lists() -> TypeAdapter[PriceList]:
    from pydantic import TypeAdapter

    return TypeAdapter(PriceList)


def price_list_from(text: str) -> PriceList:
    """A price list as it is stored.

    Raises:
        ValueError: it is none.
    """
    return _price_lists().validate_json(text)


def price_list_text(prices: PriceList) -> str:
    """A price list as it is stored."""
    return _price_lists().dump_json(prices).decode()


def bill_text(bill: Bill) -> str:
    """A bill as it is stored."""
    return _bills().dump_json(bill).decode()


def readable(rows: list[Row]) -> list[Transaction]:
    """The transactions of these rows; one that flash memory has spoilt is left out, and said."""
    return [one for row in rows if (one := payloads.read(_transaction, row)) is not None]


def period_of(row: Row) -> PeriodReading:
    """Where a tariff period begins.

    Raises:
        ValueError, ArithmeticError: the row cannot be read.
    """
    period, at, energy_wh = row
    register_wh = None if energy_wh is None else float(str(energy_wh))
    exact_wh(register_wh)  # one bit more or less makes a number that no register shows
    return PeriodReading(str(period) or None, moment(at), register_wh)


def _transaction(row: Row) -> Transaction:
    (identity, number, evse_id, token, kind, began_at, ended_at, reason, *registers), tail = row[:16], row[16:]
    charging_s, corrected_s, serial, prices, bill, told_cost, told_currency, lasted_s = tail
    return Transaction(
        str(identity),
        int(str(number)),
        int(str(evse_id)),
        _text(token),
        _text(kind),
        moment(began_at),
        moment(ended_at) if ended_at is not None else None,
        _text(reason),
        _register(registers[:4]),
        _register(registers[4:]),
        int(str(charging_s)) if charging_s is not None else None,
        float(str(corrected_s)) if corrected_s is not None else None,
        _text(serial),
        _read(_price_lists(), prices),
        _read(_bills(), bill),
        ToldCost(Decimal(str(told_cost)), str(told_currency)) if told_cost is not None else None,
        float(str(lasted_s)) if lasted_s is not None else None,
    )


def _read(kind: TypeAdapter[T], text: Value) -> T | None:
    return payloads.read(kind.validate_json, str(text)) if text is not None else None


def _register(columns: list[Value]) -> RegisterShown:
    energy_wh, read_at, time, substitute = columns
    return RegisterShown(
        exact_wh(float(str(energy_wh))) if energy_wh is not None else None,
        moment(read_at) if read_at is not None else None,
        _text(time),
        bool(substitute),
    )


def _text(value: Value) -> str | None:
    return str(value) if value is not None else None


def moment(value: Value) -> datetime:
    """A time as it is stored.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(str(value))
