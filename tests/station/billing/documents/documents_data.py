"""Transactions of the log as tests of documents want them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from msgspec.structs import replace

from station.billing.logged_transaction import LoggedRegister, LoggedTransaction
from station.billing.price import Bill, BilledItem, PriceList
from tests.fakes import CARD, NOON

LINES = (
    BilledItem(
        "energy", Decimal("12.345"), "kWh", Decimal("0.30"), Decimal("3.70"), "HP", Decimal(1000), Decimal(13345)
    ),
    BilledItem(
        "energy", Decimal("7.655"), "kWh", Decimal("0.20"), Decimal("1.53"), "HC", Decimal(13345), Decimal(21000)
    ),
    BilledItem("time", Decimal("1.5000"), "h", Decimal(1), Decimal("1.50")),
    BilledItem("idle", Decimal("0.2500"), "h", Decimal(6), Decimal("1.50")),
)
BILL = Bill("EUR", LINES, Decimal("8.23"))


def transaction(**changed: object) -> LoggedTransaction:
    """A transaction that has ended and been billed, with these fields changed."""
    end = NOON + timedelta(hours=1, minutes=30)
    logged = LoggedTransaction(
        "0d9ad6e6-79f4-4b4b-9d0b-0a3f7a3a8d11",
        42,
        1,
        CARD.value,
        CARD.type,
        NOON,
        end,
        "Local",
        LoggedRegister(Decimal("1000.000"), NOON, "S", False),
        LoggedRegister(Decimal("21000.000"), end, "S", False),
        4500,
        None,
        "23-1234567",
        PriceList(),
        BILL,
    )
    return replace(logged, **changed)
