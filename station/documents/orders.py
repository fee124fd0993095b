"""What a document is made of: a value that a process of its own draws (process.py), and nothing else of the station."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from metering.frozen import frozen

if TYPE_CHECKING:
    from station.billing.logged_transaction import Transaction
    from station.commissioning.report import SignedReport
    from station.documents.occasion import Issuer, Month, Occasion, Proof


class DocumentOrder(Protocol):
    """A document that is to be drawn. It is handed over by `pickle`."""

    def draw(self) -> bytes:
        """The document as PDF. The library that draws is loaded here: never in the process of the station."""
        ...


@frozen
class ReceiptOrder:
    """The receipt of a transaction."""

    transaction: Transaction
    issuer: Issuer
    proof: Proof | None
    occasion: Occasion

    def draw(self) -> bytes:
        """The receipt as PDF."""
        from station.documents.receipt import receipt

        return receipt(self.transaction, self.issuer, self.proof, self.occasion)


@frozen
class MonthlyReportOrder:
    """The report of a month; `transactions` have ended, the oldest first."""

    month: Month
    transactions: Sequence[Transaction]
    token: str | None
    """as it is shown; None: all cards"""
    issuer: Issuer
    occasion: Occasion

    def draw(self) -> bytes:
        """The report as PDF."""
        from station.documents.monthly import monthly_report

        return monthly_report(self.month, self.transactions, self.token, self.issuer, self.occasion)


@frozen
class CommissioningReportOrder:
    """The signed report of a commissioning; `texts` are those of the page, in the language of the occasion."""

    report: SignedReport
    issuer: Issuer
    occasion: Occasion
    texts: Mapping[str, str]

    def draw(self) -> bytes:
        """The report as PDF."""
        from station.documents.commissioning import commissioning_report

        return commissioning_report(self.report, self.issuer, self.occasion, self.texts)
