"""Transactions as CSV, for programs (RFC 4180) or for the spreadsheets of a language, safe to open in either."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from station.billing.documents.words import exact_kwh, spreadsheet_words, words
from station.charging.authorization.authorizer import loggable_token
from station.core.languages import DEFAULT_LANGUAGE, LanguageCode
from station.core.model import IdToken

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction

MEDIA_TYPE: Final = "text/csv; charset=utf-8"
_BYTE_ORDER_MARK: Final = "\ufeff"
"""marks the file as UTF-8 for spreadsheets: the headings have accents"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | Decimal | None

CardLabels = Mapping[tuple[str, str], str]
"""the owner's label of each card, by `IdToken.key`"""

COLUMNS: Final = (
    "transaction_id",
    "evse",
    "token",
    "token_type",
    "began_at",
    "ended_at",
    "time_status_begin",
    "time_status_end",
    "times_corrected_s",
    "energy_kwh",
    "register_begin_kwh",
    "register_end_kwh",
    "meter_serial",
    "charging_s",
    "stopped_reason",
    "cost",
    "currency",
    "cost_told_by",
    "objection",
    "card_label",
    "kind",
)
"""the names of the columns, as programs read them"""


class _Notation(Protocol):
    """How a table writes its headings, numbers, times and words."""

    delimiter: str
    """between two cells"""

    def heading(self, column: str) -> str:
        """The heading of a column."""
        ...

    def word(self, word: str) -> str:
        """A word of the table, such as that of a kind of transaction."""
        ...

    def decimal(self, number: Decimal) -> str:
        """A number with decimals."""
        ...

    def moment(self, local: datetime) -> str:
        """A local time."""
        ...

    def time_status(self, letter: str) -> str:
        """The status of a clock, by its letter of OCMF."""
        ...

    def stopped_reason(self, reason: str) -> str:
        """Why a transaction ended, by the value of ReasonEnumType."""
        ...

    def objection(self, sentence: str) -> str:
        """Why a transaction cannot be billed, by the English sentence."""
        ...


class _ProgramNotation:
    """For programs: the names of the API, decimal points, commas between cells, times with their offset from UTC."""

    delimiter = ","

    def heading(self, column: str) -> str:
        return column

    def word(self, word: str) -> str:
        return word

    def decimal(self, number: Decimal) -> str:
        return f"{number:f}"

    def moment(self, local: datetime) -> str:
        return local.isoformat(timespec="seconds")

    def time_status(self, letter: str) -> str:
        return letter

    def stopped_reason(self, reason: str) -> str:
        return reason

    def objection(self, sentence: str) -> str:
        return sentence


class _SpreadsheetNotation:
    """For a spreadsheet set to a language with decimal commas: semicolons between cells, times that it can sort."""

    delimiter = ";"

    def __init__(self, language: LanguageCode) -> None:
        self._words = words(language)
        self._texts = spreadsheet_words(language)

    def heading(self, column: str) -> str:
        return self._texts.headings[column]

    def word(self, word: str) -> str:
        return self._texts.values[word]

    def decimal(self, number: Decimal) -> str:
        return self._words.decimal(number)

    def moment(self, local: datetime) -> str:
        return f"{local:%Y-%m-%d %H:%M:%S}"  # a time with an offset would be a text

    def time_status(self, letter: str) -> str:
        return self._words.clocks.get(letter, letter)

    def stopped_reason(self, reason: str) -> str:
        return self._words.reasons.get(reason, reason)

    def objection(self, sentence: str) -> str:
        return self._words.objections.get(sentence, sentence)


def _notation(language: LanguageCode) -> _Notation:
    return _ProgramNotation() if language == DEFAULT_LANGUAGE else _SpreadsheetNotation(language)


def csv_heading(language: LanguageCode = DEFAULT_LANGUAGE) -> str:
    """The header line of the CSV file of transactions, in the notation of `csv_rows`.

    New columns go last, so that the others keep their positions.
    """
    notation = _notation(language)
    byte_order_mark = "" if language == DEFAULT_LANGUAGE else _BYTE_ORDER_MARK
    return byte_order_mark + _line([notation.heading(name) for name in COLUMNS], notation)


def csv_rows(
    transactions: Iterable[LoggedTransaction],
    zone: tzinfo,
    labels: CardLabels,
    language: LanguageCode = DEFAULT_LANGUAGE,
) -> str:
    """Format transactions as CSV, a line each; times in `zone`, energy in kWh.

    English is for programs too: commas, decimal points, words of the API, and times with their offset from UTC. Other
    languages are for spreadsheets: semicolons, decimal commas, translated words, and times without an offset.
    """
    notation = _notation(language)
    return "".join(_line(_cells(transaction, zone, labels, notation), notation) for transaction in transactions)


def _cells(transaction: LoggedTransaction, zone: tzinfo, labels: CardLabels, notation: _Notation) -> Sequence[Cell]:
    """The values of `COLUMNS`."""
    cost = transaction.cost

    def moment(at: datetime | None) -> str | None:
        return notation.moment(at.astimezone(zone)) if at is not None else None

    def status(letter: str | None) -> str | None:
        return notation.time_status(letter) if letter is not None else None

    return (
        transaction.transaction_id,
        transaction.evse_id,
        short_token(transaction),
        transaction.token_type,
        moment(transaction.began_at),
        moment(transaction.ended_at),
        status(transaction.begin.time),
        status(transaction.end.time),
        _seconds(transaction.corrected_s),
        _kwh(transaction.energy_wh),
        _kwh(transaction.begin.energy_wh),
        _kwh(transaction.end.energy_wh),
        transaction.meter_serial,
        transaction.charging_s,
        notation.stopped_reason(transaction.stopped_reason) if transaction.stopped_reason is not None else None,
        cost.amount if cost is not None else None,
        cost.currency if cost is not None else None,
        notation.word("csms" if transaction.stated_cost is not None else "station") if cost is not None else None,
        notation.objection(transaction.objection) if transaction.objection is not None else None,
        label(transaction, labels),
        notation.word(transaction.kind),
    )


def label(transaction: LoggedTransaction, labels: CardLabels) -> str | None:
    """The label that the owner gave the card of a transaction; None if it has none."""
    return (
        labels.get(IdToken(transaction.token, transaction.token_type or "").key)
        if transaction.token is not None
        else None
    )


def short_token(transaction: LoggedTransaction) -> str | None:
    """The id token of a transaction, shortened as in logs."""
    return (
        loggable_token(IdToken(transaction.token, transaction.token_type or ""))
        if transaction.token is not None
        else None
    )


def _line(cells: Iterable[Cell], notation: _Notation) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=notation.delimiter).writerow([_safe(cell, notation) for cell in cells])
    return buffer.getvalue()


def _safe(cell: Cell, notation: _Notation) -> str:
    """A cell that spreadsheets do not evaluate as a formula; numbers are generated here and need no escape."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return notation.decimal(cell)
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return str(cell)


def _kwh(energy_wh: Decimal | None) -> Decimal | None:
    return exact_kwh(energy_wh) if energy_wh is not None else None


def _seconds(seconds: float | None) -> Decimal | None:
    return Decimal(repr(round(seconds, 3))) if seconds is not None else None
