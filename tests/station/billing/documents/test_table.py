"""The table of transactions: what is in it, in whose time, and that no spreadsheet runs it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.billing.documents import table
from station.billing.documents.words import spreadsheet_words
from station.billing.logged_transaction import StatedCost, TransactionKind
from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, LanguageCode
from tests.fakes import CARD
from tests.station.billing.documents.documents_data import BILL, transaction


def parse_csv(text: str) -> list[dict[str, str]]:
    """The lines of a table, as a program reads them."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_line_has_registers_times_and_cost() -> None:
    (row,) = parse_csv(table.csv_heading() + table.csv_rows([transaction()], ZoneInfo("Europe/Paris"), {}))
    assert row == {
        "transaction_id": "0d9ad6e6-79f4-4b4b-9d0b-0a3f7a3a8d11",
        "evse": "1",
        "token": "04A3…80",
        "token_type": "ISO14443",
        "began_at": "2026-01-15T13:00:00+01:00",
        "ended_at": "2026-01-15T14:30:00+01:00",
        "time_status_begin": "S",
        "time_status_end": "S",
        "times_corrected_s": "",
        "energy_kwh": "20.000",
        "register_begin_kwh": "1.000",
        "register_end_kwh": "21.000",
        "meter_serial": "23-1234567",
        "charging_s": "4500",
        "stopped_reason": "Local",
        "cost": "8.23",
        "currency": "EUR",
        "cost_told_by": "station",
        "objection": "",
        "card_label": "",
        "kind": "charge",
    }


def test_a_card_that_the_owner_has_named_is_named() -> None:
    """The number of its holder's card may differ in case."""
    same = transaction(token=CARD.value.lower())
    other = transaction(token="04FFFFFFFFFF80")
    found = parse_csv(table.csv_heading() + table.csv_rows([same, other], UTC, {CARD.key: "=Anna"}))
    assert [row["card_label"] for row in found] == ["'=Anna", ""]


def test_what_the_csms_said_that_it_costs_outweighs_the_owners_bill_and_what_speaks_against_that() -> None:
    objected = replace(BILL, objection="the register went back")
    charge = transaction(bill=objected, corrected_s=-3600.0)
    stated = transaction(bill=objected, stated_cost=StatedCost(Decimal("9.9"), "CHF"))
    rows = parse_csv(table.csv_heading() + table.csv_rows([charge, stated], UTC, {}))
    assert [(row["cost"], row["cost_told_by"], row["objection"]) for row in rows] == [
        ("", "", "the register went back"),
        ("9.90", "csms", ""),
    ]
    assert rows[0]["times_corrected_s"] == "-3600.0", "a number is no formula"


def test_what_is_not_known_is_empty() -> None:
    bare = transaction(
        token=None, token_type=None, ended_at=None, stopped_reason=None, charging_s=None, meter_serial=None, bill=None
    )
    (row,) = parse_csv(table.csv_heading() + table.csv_rows([bare], UTC, {}))
    for name in ("token", "ended_at", "stopped_reason", "charging_s", "meter_serial", "cost", "cost_told_by"):
        assert row[name] == ""


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(begins: str) -> None:
    text = table.csv_rows([transaction(meter_serial=f'{begins}HYPERLINK("x")')], UTC, {})
    (row,) = parse_csv(table.csv_heading() + text)
    assert row["meter_serial"] == f'\'{begins}HYPERLINK("x")'


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_texts_are_a_transaction_is_one_line_and_no_formula(serial: str, reason: str) -> None:
    assume(CARD.value not in serial and CARD.value not in reason)
    text = table.csv_heading() + table.csv_rows([transaction(meter_serial=serial, stopped_reason=reason)], UTC, {})
    (row,) = parse_csv(text)
    assert row["meter_serial"] in {serial, f"'{serial}"}
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    assert CARD.value not in text


def test_a_key_code_is_not_shown() -> None:
    (row,) = parse_csv(table.csv_heading() + table.csv_rows([transaction(token="1234", token_type="KeyCode")], UTC, {}))
    assert row["token"] == "…"


def test_the_hour_that_the_end_of_summer_time_repeats_is_distinguished_by_its_offset() -> None:
    began, ended = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    charge = transaction(began_at=began, ended_at=ended)
    (row,) = parse_csv(table.csv_heading() + table.csv_rows([charge], ZoneInfo("Europe/Paris"), {}))
    assert (row["began_at"], row["ended_at"]) == ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")


@pytest.mark.parametrize(
    ("language", "energy", "reason", "heading", "kind"),
    [
        ("fr", "Énergie (kWh)", "par le conducteur", "Index au début (kWh)", "recharge"),
        ("de", "Energie (kWh)", "vom Fahrer", "Zählerstand am Beginn (kWh)", "Ladevorgang"),
        ("nl", "Energie (kWh)", "door de bestuurder", "Meterstand bij begin (kWh)", "laadbeurt"),
    ],
)
def test_a_spreadsheet_of_a_language_gets_its_headings_its_separator_and_its_decimal_mark(
    language: LanguageCode, energy: str, reason: str, heading: str, kind: str
) -> None:
    """Excel takes the list separator and the decimal mark of the system, and a file without a mark for Windows-1252."""
    here = ZoneInfo("Europe/Paris")
    text = table.csv_heading(language) + table.csv_rows([transaction()], here, {}, language)
    assert text.startswith("\ufeff")
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";")
    assert (row[energy], row[heading]) == ("20,000", "1,000")
    assert "2026-01-15 13:00:00" in row.values()
    assert {"8,23", reason, kind} <= set(row.values())
    assert len(row) == len(table.COLUMNS)


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != DEFAULT_LANGUAGE])
def test_every_column_and_every_word_of_the_table_has_a_text_in_each_language(language: LanguageCode) -> None:
    texts = spreadsheet_words(language)
    assert tuple(texts.headings) == table.COLUMNS
    assert len(set(texts.headings.values())) == len(table.COLUMNS), "a spreadsheet finds a column by its heading"
    assert texts.values.keys() == {*TransactionKind, "csms", "station"}


def test_a_test_session_and_a_charge_without_energy_are_labelled() -> None:
    charge = transaction()
    empty = replace(charge, end=replace(charge.end, energy_wh=charge.begin.energy_wh))
    rows = parse_csv(table.csv_heading() + table.csv_rows([charge, empty, replace(empty, test_session=True)], UTC, {}))
    assert [row["kind"] for row in rows] == ["charge", "no-energy", "test"]
    assert rows[1]["energy_kwh"] == "0.000"
