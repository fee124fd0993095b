"""Routes for documents: receipts, monthly reports, and the commissioning report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, HTTPException, Query, Request
from fastapi.responses import Response

from foundation.clock import Clock
from metering.ocmf import parse_record
from station.billing.documents import table
from station.billing.documents.counted_charges import counted_charges
from station.billing.documents.document_context import DocumentContext, Issuer, Month, SignatureProof, SignerKey
from station.billing.documents.orders import MonthlyReportOrder, ReceiptOrder
from station.billing.documents.process import DocumentDrawing, DocumentError
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.signing.signed_container import signed_container
from station.charging.signing.signed_records import SignedRecords
from station.configuration.installation_file import Configuration
from station.core.clock_settings import ClockSettings
from station.core.local_time import zone
from station.core.version import package_version
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import TransactionId, part
from station.interfaces.api.document_language import DocumentLanguage
from station.interfaces.api.routing import api_router
from station.interfaces.api.transaction import CardLabel, CsvResponse, attachment
from station.interfaces.languages import catalogue
from station.interfaces.part_keys import CLOCK
from station.maintenance.commissioning.report import read_report
from station.maintenance.commissioning.report_order import CommissioningReportOrder
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import tzinfo

    from station.billing.documents.orders import DocumentOrder
    from station.billing.logged_transaction import LoggedTransaction
    from station.core.languages import LanguageCode

router = api_router("documents")

MonthText = Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="month, such as 2026-01")]
Token = Annotated[
    str | None, Query(max_length=36, description="a card's number, in full or shortened as the page shows it")
]


class PdfResponse(Response):
    """A response that is a PDF; as response class of a route it states the media type in the OpenAPI document."""

    media_type = "application/pdf"


class DocumentSources:
    """FastAPI dependency: what every document needs of the station, such as its transaction log and time zone."""

    def __init__(
        self,
        log: Annotated[TransactionLog, part(TransactionLog)],
        settings: Annotated[ClockSettings, part(ClockSettings)],
        own_cards: Annotated[OwnerCards, part(OwnerCards)],
        clock: Annotated[Clock, part(CLOCK)],
    ):
        self.log = log
        self.own_cards = own_cards
        self._settings = settings
        self._clock = clock

    @property
    def time_zone(self) -> tzinfo:
        """The time zone of the station."""
        return zone(self._settings)

    def context(self, language: LanguageCode) -> DocumentContext:
        """Create the context of a document that is made now: language, time zone, date and card labels."""
        return DocumentContext(language, self.time_zone, self._clock.now(), self.own_cards.labels())


Sources = Annotated[DocumentSources, Depends()]


async def _draw_document(drawing: DocumentDrawing, order: DocumentOrder, name: str, request: Request) -> Response:
    try:
        document = await _until_disconnected(drawing.draw(order), request)
    except DocumentError as error:
        raise HTTPException(503, f"the document could not be created: {error}") from error
    return PdfResponse(document, headers=attachment(name))


@router.get(
    "/api/transactions/{transaction_id}/receipt.pdf",
    dependencies=[require_role(Role.OWNER)],
    summary="Create the receipt of a transaction",
    response_class=PdfResponse,
)
async def make_receipt(
    request: Request,
    transaction_id: TransactionId,
    sources: Sources,
    records: Annotated[SignedRecords, part(SignedRecords)],
    configuration: Annotated[Configuration, part(Configuration)],
    drawing: Annotated[DocumentDrawing, part(DocumentDrawing)],
    lang: DocumentLanguage,
) -> Response:
    """Returns the receipt as PDF, with the signed readings if there are any; 404 if no transaction has this id."""
    transaction = await sources.log.get(transaction_id)
    if transaction is None:
        raise HTTPException(404, "no transaction has this id")
    proof = await _proof(records, transaction_id)
    order = ReceiptOrder(transaction, _issuer(configuration), proof, sources.context(lang))
    return await _draw_document(drawing, order, f"receipt-{transaction.number}.pdf", request)


@router.get(
    "/api/commissioning/report.pdf",
    dependencies=[require_role(Role.OWNER)],  # it is handed over to the owner
    summary="Create the commissioning report",
    response_class=PdfResponse,
)
async def make_commissioning_report(
    request: Request,
    configuration: Annotated[Configuration, part(Configuration)],
    sources: Sources,
    drawing: Annotated[DocumentDrawing, part(DocumentDrawing)],
    lang: DocumentLanguage,
) -> Response:
    """Returns the report as PDF, with the result of every step and its signature; 404 if no steps are recorded."""
    report = await asyncio.to_thread(read_report, configuration)
    if report is None:
        raise HTTPException(404, "no commissioning steps are recorded")
    order = CommissioningReportOrder(report, _issuer(configuration), sources.context(lang), catalogue(lang))
    return await _draw_document(drawing, order, "commissioning.pdf", request)


@router.get(
    "/api/monthly-report.pdf",
    dependencies=[require_role(Role.OWNER)],
    summary="Create the report of a month",
    response_class=PdfResponse,
)
async def make_monthly_report(  # noqa: PLR0913  # query parameters
    request: Request,
    month: MonthText,
    sources: Sources,
    configuration: Annotated[Configuration, part(Configuration)],
    drawing: Annotated[DocumentDrawing, part(DocumentDrawing)],
    lang: DocumentLanguage,
    token: Token = None,
    card: CardLabel = None,
) -> Response:
    """Returns a PDF of the ended transactions that began in a month.

    Test sessions of the installer, and charges that took no energy and cost nothing, are counted in a line below.
    Of all cards; or with `token` of one card, with `card` of the cards with this label.
    """
    month_of_report, charges = await _charges(sources, month, token, card)
    context = sources.context(lang)
    card_name = card or (context.card(charges[0]) if token is not None and charges else token)
    order = MonthlyReportOrder(month_of_report, charges, card_name, _issuer(configuration), context)
    return await _draw_document(drawing, order, f"charges-{month}.pdf", request)


@router.get(
    "/api/monthly-report.csv",
    dependencies=[require_role(Role.OWNER)],
    summary="Export the transactions of a month for a spreadsheet",
    response_class=CsvResponse,
)
async def export_month(
    month: MonthText, sources: Sources, lang: DocumentLanguage, token: Token = None, card: CardLabel = None
) -> Response:
    """Returns the charges of the report of a month as CSV, as GET /api/transactions.csv writes it.

    Without test sessions of the installer, and without charges that took no energy and cost nothing. Of all cards; or
    with `token` of one card, with `card` of the cards with this label.
    """
    _, ended = await _charges(sources, month, token, card)
    charges = counted_charges(ended).charges
    rows = table.csv_rows(charges, sources.time_zone, sources.own_cards.labels(), lang)
    text = table.csv_heading(lang) + rows
    return Response(text, media_type=table.MEDIA_TYPE, headers=attachment(f"charges-{month}.csv"))


async def _until_disconnected(work: Coroutine[None, None, bytes], request: Request) -> bytes:
    """Run `work` and return its result; cancel it if the client disconnects.

    Raises:
        HTTPException: the client has disconnected, and will not receive this response.
    """
    work_task, disconnect_task = asyncio.create_task(work), asyncio.create_task(_wait_disconnected(request))  # noqa: TID251 - both end here
    try:
        await asyncio.wait((work_task, disconnect_task), return_when=asyncio.FIRST_COMPLETED)
        if not work_task.done():
            raise HTTPException(503, "the client has disconnected")
        return work_task.result()
    finally:
        work_task.cancel()
        disconnect_task.cancel()
        await asyncio.wait((work_task, disconnect_task))


async def _wait_disconnected(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _charges(
    sources: DocumentSources, text: str, token: str | None, card: str | None
) -> tuple[Month, list[LoggedTransaction]]:
    """The ended transactions that began in a month, of one card or of all, the oldest first."""
    month, time_zone = Month.named(text), sources.time_zone
    labelled = sources.own_cards.labelled(card) if card is not None else None
    search = TransactionQuery(month.begin(time_zone), month.end(time_zone), token, labelled, ongoing=False)
    charges = [transaction async for page in sources.log.pages(search) for transaction in page]
    cards = {((transaction.token or "").casefold(), transaction.token_type) for transaction in charges}
    if token is not None and "…" in token and len(cards) > 1:  # a shortened number is ambiguous
        raise HTTPException(
            409, f"token: {len(cards)} cards of this month are shortened to {token}; give the full number"
        )
    return month, charges


async def _proof(records: SignedRecords, transaction_id: str) -> SignatureProof | None:
    """The signed readings of a transaction; None if nothing was signed."""
    signed = await records.of(transaction_id)
    if not signed:
        return None
    keys = {key.fingerprint: key for key in await records.keys()}
    key = next((keys[record.fingerprint] for record in reversed(signed) if record.fingerprint in keys), None)
    texts = tuple(record.text for record in signed)
    container = signed_container(signed, keys).encode()
    parsed = (records.reading_of(record, parse_record) for record in signed)
    readings = [reading for record in parsed if record is not None for reading in record.readings]
    registers_wh = frozenset(reading.energy_wh for reading in readings if reading.energy_wh is not None)
    signed_by = SignerKey(key.spki, key.fingerprint, meter=key.signer == "meter") if key is not None else None
    return SignatureProof(texts, container, signed_by, registers_wh)


def _issuer(configuration: Configuration) -> Issuer:
    station = configuration.station
    return Issuer(
        station.identity, f"{station.vendor} {station.model}", station.serial_number, f"borne {package_version()}"
    )
