"""The document order of the commissioning report, drawn in a separate process (documents/process.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from station.billing.documents.document_context import DocumentContext, Issuer
    from station.maintenance.commissioning.report import SignedReport


class CommissioningReportOrder(Frozen):
    """The order to draw the commissioning report as PDF in a separate process; `texts` as in `commissioning_report`."""

    report: SignedReport
    issuer: Issuer
    context: DocumentContext
    texts: Mapping[str, str]

    def draw(self) -> bytes:
        """Draw the report and return it as PDF."""
        from station.maintenance.commissioning.report_document import (
            commissioning_report,  # the PDF library: never in the station
        )

        return commissioning_report(self.report, self.issuer, self.context, self.texts)
