"""Document orders: all the data of one document, handed to the process that draws it (process.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from station.billing.documents.document_context import DocumentContext, Issuer, Month, SignatureProof
    from station.billing.logged_transaction import LoggedTransaction


class DocumentOrder(Protocol):
    """A document to be drawn; sent by `pickle` to the process that draws it.

    That process unpickles only what the station wrote to its standard input. Other packages define orders of their
    own: a class at module level whose values can be pickled.
    """

    def draw(self) -> bytes:
        """Draw the document and return it as PDF; loads the PDF library, so never call it in the station's process."""
        ...


class ReceiptOrder(Frozen):
    """Order to draw the receipt of a transaction; `proof` None: its registers are not signed."""

    transaction: LoggedTransaction
    issuer: Issuer
    proof: SignatureProof | None
    context: DocumentContext

    def draw(self) -> bytes:
        """Draw the receipt and return it as PDF."""
        from station.billing.documents.receipt import receipt  # late: fpdf2, never in the station's process

        return receipt(self.transaction, self.issuer, self.proof, self.context)


class MonthlyReportOrder(Frozen):
    """Order to draw the report of the charges of a month; `transactions` have ended, the oldest first."""

    month: Month
    transactions: Sequence[LoggedTransaction]
    token: str | None
    """the card as the report shows it; None: all cards"""
    issuer: Issuer
    context: DocumentContext

    def draw(self) -> bytes:
        """Draw the report and return it as PDF."""
        # late: fpdf2, never in the station's process
        from station.billing.documents.monthly import monthly_report

        return monthly_report(self.month, self.transactions, self.token, self.issuer, self.context)
