"""Row format of the transaction log: its columns, and the stored form of prices and bills."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from metering.reading import exact_wh
from station.billing.logged_transaction import LoggedRegister, LoggedTransaction, StatedCost
from station.billing.price import Bill, BilledItem, PeriodPrice, PeriodReading, PriceList
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.storage.sql import Row, Value
    from station.storage.unreadable_rows import UnreadableRows

T = TypeVar("T")

NUMBER: Final = 1
BEGAN_AT: Final = 5
_PRICES: Final = 19
_BILL: Final = 20
"""indexes into `COLUMNS`"""
COLUMNS: Final = (
    "transaction_id, number, evse_id, token, token_type, began_at, ended_at, stopped_reason, begin_wh, begin_read_at,"
    " begin_time, begin_substitute, end_wh, end_read_at, end_time, end_substitute, charging_s, corrected_s,"
    " meter_serial, prices, bill, told_cost, told_currency, lasted_s, test_session"
)


PRICE_LISTS: Final = StoredFormat(
    PriceList,
    {
        PriceList: names("currency", "energy_per_kwh", "period", "time_per_hour", "idle_per_hour", "idle_after_s"),
        PeriodPrice: names("name", "energy_per_kwh"),
    },
)
BILLS: Final = StoredFormat(
    Bill,
    {
        Bill: names("currency", "lines", "total", "objection"),
        BilledItem: names("what", "quantity", "unit", "unit_price", "amount", "period", "begin_wh", "end_wh"),
    },
)


def price_list_from(text: str) -> PriceList:
    """Parse a stored price list.

    Raises:
        ValueError: the text is not a price list.
    """
    return PRICE_LISTS.from_text(text)


def price_list_text(prices: PriceList) -> str:
    """Format a price list as text for the database."""
    return PRICE_LISTS.to_text(prices)


def bill_text(bill: Bill) -> str:
    """Format a bill as text for the database."""
    return BILLS.to_text(bill)


def readable(rows: list[Row], unreadable: UnreadableRows) -> list[LoggedTransaction]:
    """Parse rows of `COLUMNS`; unreadable ones are recorded in `unreadable` and left out.

    Unreadable prices or an unreadable bill are recorded too, and are None in the transaction.
    """

    def transaction(row: Row) -> LoggedTransaction:
        identity, prices, bill = str(row[0]), row[_PRICES], row[_BILL]
        return transaction_of(
            row,
            _parsed(PRICE_LISTS, prices, RowAddress("transactions.prices", identity, identity), unreadable),
            _parsed(BILLS, bill, RowAddress("transactions.bill", identity, identity), unreadable),
        )

    transactions = (
        unreadable.read(transaction, row, RowAddress("transactions", str(row[0]), str(row[0]))) for row in rows
    )
    return [logged for logged in transactions if logged is not None]


def period_of(row: Sequence[Value]) -> PeriodReading:
    """Parse a row (period, at, energy_wh) of the table of tariff periods.

    Raises:
        ValueError, ArithmeticError: the row cannot be read.
    """
    period, at, energy_wh = row
    register_wh = None if energy_wh is None else float(str(energy_wh))
    exact_wh(register_wh)  # a flipped bit makes a number that no register shows
    return PeriodReading(str(period) or None, moment(at), register_wh)


def transaction_of(row: Row, prices: PriceList | None, bill: Bill | None) -> LoggedTransaction:
    """Make a transaction from a row of `COLUMNS`, and from its prices and its bill, parsed by the caller.

    Raises:
        ValueError, ArithmeticError: the row cannot be read.
    """
    (identity, number, evse_id, token, kind, began_at, ended_at, reason, *registers), tail = row[:16], row[16:]
    charging_s, corrected_s, serial, _, _, stated_cost, stated_currency, lasted_s, test_session = tail
    return LoggedTransaction(
        str(identity),
        int(str(number)),
        int(str(evse_id)),
        _text(token),
        _text(kind),
        moment(began_at),
        moment(ended_at) if ended_at is not None else None,
        _text(reason),
        _register_of(registers[:4]),
        _register_of(registers[4:]),
        int(str(charging_s)) if charging_s is not None else None,
        float(str(corrected_s)) if corrected_s is not None else None,
        _text(serial),
        prices,
        bill,
        StatedCost(Decimal(str(stated_cost)), str(stated_currency)) if stated_cost is not None else None,
        float(str(lasted_s)) if lasted_s is not None else None,
        bool(test_session),
    )


def _parsed(kind: StoredFormat[T], text: Value, address: RowAddress, unreadable: UnreadableRows) -> T | None:
    return unreadable.read(kind.from_text, text, address) if text is not None else None


def _register_of(columns: list[Value]) -> LoggedRegister:
    energy_wh, read_at, time, substitute = columns
    return LoggedRegister(
        exact_wh(float(str(energy_wh))) if energy_wh is not None else None,
        moment(read_at) if read_at is not None else None,
        _text(time),
        bool(substitute),
    )


def _text(value: Value) -> str | None:
    return str(value) if value is not None else None


def moment(value: Value) -> datetime:
    """Parse a stored time.

    Raises:
        ValueError: the text is not a time.
    """
    return datetime.fromisoformat(str(value))
