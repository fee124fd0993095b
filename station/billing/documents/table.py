"""Transactions as comma-separated values (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from station.charging.tokens.authorization import loggable_token
from station.core.model import IdToken

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction

MEDIA_TYPE: Final = "text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | Decimal | None

CardLabels = Mapping[tuple[str, str], str]
"""the owner's label of each card, by `IdToken.key`"""

_COLUMNS: Final[tuple[tuple[str, Callable[[LoggedTransaction, tzinfo], Cell]], ...]] = (
    ("transaction_id", lambda one, _: one.transaction_id),
    ("evse", lambda one, _: one.evse_id),
    ("token", lambda one, _: shown_token(one)),
    ("token_type", lambda one, _: one.token_type),
    ("began_at", lambda one, zone: _local(one.began_at, zone)),
    ("ended_at", lambda one, zone: _local(one.ended_at, zone)),
    ("time_status_begin", lambda one, _: one.begin.time),
    ("time_status_end", lambda one, _: one.end.time),
    ("times_corrected_s", lambda one, _: _seconds(one.corrected_s)),
    ("energy_kwh", lambda one, _: _kwh(one.energy_wh)),
    ("register_begin_kwh", lambda one, _: _kwh(one.begin.energy_wh)),
    ("register_end_kwh", lambda one, _: _kwh(one.end.energy_wh)),
    ("meter_serial", lambda one, _: one.meter_serial),
    ("charging_s", lambda one, _: one.charging_s),
    ("stopped_reason", lambda one, _: one.stopped_reason),
    ("cost", lambda one, _: one.cost.amount if one.cost is not None else None),
    ("currency", lambda one, _: one.cost.currency if one.cost is not None else None),
    ("cost_told_by", lambda one, _: None if one.cost is None else "csms" if one.stated_cost is not None else "station"),
    ("objection", lambda one, _: one.objection),
)


def csv_heading() -> str:
    """The header line of the CSV file of transactions; new columns go last, so that the others keep their positions."""
    return _line([*(name for name, _ in _COLUMNS), "card_label"])


def csv_rows(transactions: Iterable[LoggedTransaction], zone: tzinfo, labels: CardLabels) -> str:
    """Format transactions as CSV, a line each; times in `zone`, with their offset from UTC, energy in kWh."""
    return "".join(_line([*(value(one, zone) for _, value in _COLUMNS), label(one, labels)]) for one in transactions)


def label(transaction: LoggedTransaction, labels: CardLabels) -> str | None:
    """The label that the owner gave the card of a transaction; None if it has none."""
    return (
        labels.get(IdToken(transaction.token, transaction.token_type or "").key)
        if transaction.token is not None
        else None
    )


def shown_token(transaction: LoggedTransaction) -> str | None:
    """The id token of a transaction, shortened as in logs."""
    return (
        loggable_token(IdToken(transaction.token, transaction.token_type or ""))
        if transaction.token is not None
        else None
    )


def _line(cells: Iterable[Cell]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_safe(cell) for cell in cells])
    return buffer.getvalue()


def _safe(cell: Cell) -> str:
    """A cell that spreadsheets do not evaluate as a formula; numbers are generated here and need no escape."""
    if cell is None:
        return ""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return str(cell)


def _local(moment: datetime | None, zone: tzinfo) -> str | None:
    return moment.astimezone(zone).isoformat(timespec="seconds") if moment is not None else None


def _kwh(energy_wh: Decimal | None) -> Decimal | None:
    return energy_wh / 1000 if energy_wh is not None else None


def _seconds(seconds: float | None) -> Decimal | None:
    return Decimal(repr(round(seconds, 3))) if seconds is not None else None
