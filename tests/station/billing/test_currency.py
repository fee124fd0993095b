"""Amounts have the decimals of their currency, wherever they are shown."""

from __future__ import annotations

import csv
import io
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from station.billing.currency import format_amount, round_amount
from station.billing.documents import table
from station.billing.documents.words import words
from station.billing.logged_transaction import StatedCost
from station.billing.price import BillableCharge, PeriodReading, PriceList, calculate_bill
from tests.fakes import NOON
from tests.station.billing.documents.documents_data import transaction

CURRENCIES = [("EUR", "12.35"), ("CHF", "12.35"), ("JPY", "12"), ("ISK", "12"), ("KWD", "12.346"), ("TND", "12.346")]
AMOUNT = Decimal("12.3456")


@pytest.mark.parametrize(("currency", "amount"), CURRENCIES)
def test_an_amount_is_rounded_to_the_minor_unit_and_shown_with_it(currency: str, amount: str) -> None:
    assert str(round_amount(AMOUNT, currency)) == amount
    assert format_amount(AMOUNT, currency) == f"{amount} {currency}"


@pytest.mark.parametrize(("currency", "half", "up"), [("EUR", "0.005", "0.01"), ("JPY", "0.5", "1")])
def test_a_half_is_rounded_up(currency: str, half: str, up: str) -> None:
    assert str(round_amount(Decimal(half), currency)) == up


@pytest.mark.parametrize(("currency", "amount"), CURRENCIES)
def test_lines_and_total_of_a_bill_are_amounts_of_its_currency(currency: str, amount: str) -> None:
    prices = PriceList(currency, Decimal("1.23456"), time_per_hour=Decimal("1.23456"))
    charge = BillableCharge([PeriodReading(None, NOON, 0.0)], 10_000.0, duration=timedelta(hours=10))
    bill = calculate_bill(prices, charge)
    assert [str(line.amount) for line in bill.lines] == [amount, amount]
    assert str(bill.total) == str(2 * Decimal(amount))
    assert str(
        calculate_bill(prices, BillableCharge([PeriodReading(None, NOON, 0.0)], 0.0, duration=timedelta(0))).total
    ) == str(round_amount(Decimal(0), currency))


@pytest.mark.parametrize(("currency", "amount"), CURRENCIES)
def test_a_cost_of_the_csms_has_the_decimals_of_its_currency_in_api_and_table(currency: str, amount: str) -> None:
    charge = transaction(stated_cost=StatedCost(AMOUNT, currency))
    assert charge.cost is not None
    assert str(charge.cost.amount) == amount  # what the API and the receipt tell
    text = "".join(table.csv_heading() + table.csv_rows([charge], UTC, {}))
    (row,) = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=";" if ";" in text else ",")
    assert (row["cost"], row["currency"]) == (amount, currency)


@pytest.mark.parametrize(
    ("language", "currency", "formatted"),
    [("fr", "JPY", "12 JPY"), ("de", "KWD", "12,000 KWD"), ("en", "EUR", "12.00 EUR")],
)
def test_a_document_shows_the_decimals_of_a_currency_and_all_that_a_price_has(
    language: str, currency: str, formatted: str
) -> None:
    labels = words(language)
    assert labels.money(Decimal(12), currency) == formatted
    assert labels.money(Decimal("0.12345"), currency) == f"0{labels.decimal_mark}12345 {currency}"
