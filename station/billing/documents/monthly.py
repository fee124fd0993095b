"""The monthly report of charges, for reimbursement: by an employer, a neighbour, an association."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.billing.documents.counted_charges import counted_charges
from station.billing.documents.layout import SIGNING_LINE_MM, Column, Sheet
from station.billing.documents.receipt import imprint
from station.billing.documents.words import kwh_places

if TYPE_CHECKING:
    from station.billing.documents.document_context import DocumentContext, Issuer, Month
    from station.billing.documents.words import Words
    from station.billing.logged_transaction import LoggedTransaction

_METER_MM: Final = 36.0
"""height of the section on the meter, with several serial numbers, the total and the note below"""
_MARK = " *"


class Sums(Frozen):
    """The totals of the billable charges of a month, as the monthly report shows them."""

    charges: int
    """number of charges"""
    energy_wh: Decimal
    costs: dict[str, Decimal]
    """amount by currency"""
    by_period: dict[str | None, Decimal]
    """energy in watt-hours by tariff period; empty if the grid meter reports none"""
    left_out: int
    """number of charges that cannot be billed, and are not in these totals"""


def billable(transaction: LoggedTransaction) -> bool:
    """Return whether the monthly report counts a transaction: its registers were read and prove its energy.

    That is at begin and end, without substitute values, not decreased, and with no objection to the bill.
    """
    # A register that decreased belongs to another meter.
    metered = transaction.energy_wh is not None and transaction.energy_wh >= 0
    substitute = transaction.begin.substitute or transaction.end.substitute
    return metered and not substitute and transaction.objection is None


def sums(transactions: Sequence[LoggedTransaction]) -> Sums:
    """Add up energy and costs of the billable ones of these transactions, and count the others."""
    counted = [transaction for transaction in transactions if billable(transaction)]
    costs: dict[str, Decimal] = defaultdict(Decimal)
    periods: dict[str | None, Decimal] = defaultdict(Decimal)
    for transaction in counted:
        if transaction.cost is not None:
            costs[transaction.cost.currency] += transaction.cost.amount
        for line in transaction.bill.lines if transaction.bill is not None else ():
            if line.begin_wh is not None and line.end_wh is not None:
                periods[line.period] += line.end_wh - line.begin_wh
    energy_wh = sum((transaction.energy_wh for transaction in counted if transaction.energy_wh is not None), Decimal(0))
    periods_known = any(period is not None for period in periods)
    return Sums(
        len(counted), energy_wh, dict(costs), dict(periods) if periods_known else {}, len(transactions) - len(counted)
    )


def monthly_report(
    month: Month,
    transactions: Sequence[LoggedTransaction],
    token: str | None,
    issuer: Issuer,
    context: DocumentContext,
) -> bytes:
    """Draw the report of the charges of a month, and return it as PDF.

    `transactions`: those of the month, ended, oldest first; `counted_charges` says which of them are listed. `token`:
    the card to name in the heading; None: all cards.
    """
    words, counted = context.words, counted_charges(transactions)
    total, places = sums(counted.charges), _kwh_places(counted.charges)
    name = words.month(month.year, month.month)
    sheet = Sheet(imprint(words.monthly, issuer, context), f"{name} · {token or words.all_cards}")
    costs = " + ".join(words.money(amount, currency) for currency, amount in sorted(total.costs.items()))
    sheet.tiles(
        [
            (words.charges, str(total.charges)),
            (words.energy, words.kwh(total.energy_wh, places)),
            (words.cost, costs or "–"),
        ]
    )
    sheet.section(words.charges)
    if not counted.charges:
        sheet.note(words.none_in_month)
    else:
        _draw_table(sheet, counted.charges, costs, context)
    if total.left_out:
        sheet.note(f"*  {words.left_out}")
    for text, number in ((words.tests_left_out, counted.tests), (words.empty_left_out, counted.without_energy)):
        if number:
            sheet.note(text.format(number))
    if total.by_period:
        sheet.section(words.by_period)
        periods = sorted(total.by_period.items(), key=lambda entry: (entry[0] is None, entry[0] or ""))
        sheet.facts([(period or words.other_period, words.kwh(energy_wh, places)) for period, energy_wh in periods])
    sheet.section(words.meter, required_mm=_METER_MM + SIGNING_LINE_MM)  # whoever signs sees on the page what is signed
    serials = sorted(
        {transaction.meter_serial for transaction in counted.charges if transaction.meter_serial is not None}
    )
    summary = [name, words.kwh(total.energy_wh, places), *([costs] if costs else [])]
    sheet.facts([(words.meter_serial, ", ".join(serials) or "–"), (words.total, " · ".join(summary))])
    if any(transaction.cost is not None for transaction in counted.charges):
        sheet.note(words.taxes)
    sheet.signing_line(words.date_and_name)
    return sheet.to_pdf()


def _draw_table(sheet: Sheet, transactions: Sequence[LoggedTransaction], costs: str, context: DocumentContext) -> None:
    words = context.words
    columns = [
        Column(words.no, 1.1),
        Column(words.began, 2.9),
        Column(words.duration, 1.9),
        Column(words.card, 2.8),
        Column(f"{words.before} kWh", 2.9, "R"),
        Column(f"{words.after} kWh", 3.1, "R"),
        Column(f"{words.energy} kWh", 2.2, "R"),
        Column(words.cost, 2.1, "R"),
    ]
    places = _kwh_places(transactions)
    rows = [_transaction_row(transaction, context, places) for transaction in transactions]
    total = words.number_of_kwh(sums(transactions).energy_wh, places)
    sheet.table(columns, rows, (words.total, "", "", "", "", "", total, costs))


def _kwh_places(transactions: Sequence[LoggedTransaction]) -> int:
    """The decimals of all energies of a report."""
    return kwh_places(
        energy_wh
        for transaction in transactions
        for energy_wh in (transaction.begin.energy_wh, transaction.end.energy_wh)
    )


def _transaction_row(transaction: LoggedTransaction, context: DocumentContext, places: int) -> tuple[str, ...]:
    words, began = context.words, transaction.began_at.astimezone(context.zone)
    minutes = int(transaction.duration.total_seconds()) // 60 if transaction.duration is not None else 0
    mark = "" if billable(transaction) else _MARK
    return (
        f"{transaction.number}{mark}",
        f"{began.strftime(words.date)} {began:%H:%M}",
        f"{minutes // 60} h {minutes % 60:02d} min",
        context.card(transaction),
        words.number_of_kwh(transaction.begin.energy_wh, places),
        words.number_of_kwh(transaction.end.energy_wh, places),
        words.number_of_kwh(transaction.energy_wh, places),
        _amount_text(transaction, words),
    )


def _amount_text(transaction: LoggedTransaction, words: Words) -> str:
    return words.money(transaction.cost.amount, transaction.cost.currency) if transaction.cost is not None else "–"
