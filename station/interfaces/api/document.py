"""Documents for people through the local API: receipts, the report of a month, and that of the commissioning."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import Response

from metering.ocmf import parse
from station.billing.documents import table
from station.billing.documents.occasion import Issuer, Month, Occasion, Proof, SignedBy
from station.billing.documents.orders import MonthlyReportOrder, ReceiptOrder
from station.billing.documents.process import DocumentError, draw
from station.billing.documents.words import Language
from station.billing.transaction_log import Search
from station.charging.signing.signed_container import signed_container
from station.core.local_time import zone
from station.core.version import package_version
from station.interfaces.api.transaction import CardLabel, attachment
from station.interfaces.languages import catalogue
from station.maintenance.commissioning.report import read_report
from station.maintenance.commissioning.report_order import CommissioningReportOrder

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from borne.life import Life
    from station.billing.documents.orders import DocumentOrder
    from station.billing.logged_transaction import Transaction
    from station.interfaces.api.route_services import Living
    from station.interfaces.host import Host

Lang = Annotated[Language, Query()]
MonthText = Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="such as 2026-01")]
Token = Annotated[str | None, Query(max_length=36, description="a card's number, whole or as it is shown")]


def document_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Receipts and reports."""
    one_at_a_time = asyncio.Lock()  # each costs a processor, and the memory of a process, for a while

    async def drawn(order: DocumentOrder, name: str, request: Request) -> Response:
        async def draw_in_turn() -> bytes:
            async with one_at_a_time:
                return await draw(order)

        try:
            document = await _until_disconnected(draw_in_turn(), request)
        except DocumentError as error:
            raise HTTPException(503, f"the document was not made: {error}") from error
        return Response(document, media_type="application/pdf", headers=attachment(name))

    @api.get("/api/transactions/{transaction_id}/receipt.pdf", response_class=Response)
    async def receipt(request: Request, transaction_id: str, lang: Lang = "en") -> Response:
        life = living.life
        found = await life.transactions.get(transaction_id)
        if found is None:
            raise HTTPException(404, "no such transaction")
        proof, issuer, occasion = await _proof(life, transaction_id), _issuer(host), _occasion(life, lang)
        return await drawn(ReceiptOrder(found, issuer, proof, occasion), f"receipt-{found.number}.pdf", request)

    @api.get("/api/commissioning/report.pdf", response_class=Response)
    async def commissioning(request: Request, lang: Lang = "en") -> Response:
        found, issuer = await asyncio.to_thread(read_report, host.configuration), _issuer(host)
        if found is None:
            raise HTTPException(404, "the station was not commissioned step by step")
        occasion = _occasion(living.life, lang)
        order = CommissioningReportOrder(found, issuer, occasion, catalogue(lang))
        return await drawn(order, "commissioning.pdf", request)

    @api.get("/api/monthly-report.pdf", response_class=Response)
    async def report(
        request: Request, month: MonthText, token: Token = None, card: CardLabel = None, lang: Lang = "en"
    ) -> Response:
        life = living.life
        wanted, charges = await _charges(life, month, token, card)
        issuer, occasion = _issuer(host), _occasion(life, lang)
        shown = card or (occasion.card(charges[0]) if token is not None and charges else token)
        return await drawn(
            MonthlyReportOrder(wanted, charges, shown, issuer, occasion), f"charges-{month}.pdf", request
        )

    @api.get("/api/monthly-report.csv", response_class=Response)
    async def report_as_table(month: MonthText, token: Token = None, card: CardLabel = None) -> Response:
        life = living.life
        _, charges = await _charges(life, month, token, card)
        text = table.heading() + table.rows(charges, zone(life.station.settings), life.cards.labels())
        return Response(text, media_type=table.MEDIA_TYPE, headers=attachment(f"charges-{month}.csv"))


async def _until_disconnected(work: Coroutine[None, None, bytes], request: Request) -> bytes:
    """Run `work` and return its result; cancels it if the client disconnects.

    Raises:
        HTTPException: the client has disconnected, and will not receive this response.
    """
    working, waiting = asyncio.create_task(work), asyncio.create_task(_disconnection(request))  # noqa: TID251 - both end here
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(503, "the client has disconnected")
        return working.result()
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.wait((working, waiting))


async def _disconnection(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _charges(life: Life, text: str, token: str | None, card: str | None) -> tuple[Month, list[Transaction]]:
    """What ended of what began in a month, of one card or of all, the oldest first."""
    month, here = Month.named(text), zone(life.station.settings)
    labelled = life.cards.labelled(card) if card is not None else None
    search = Search(month.begin(here), month.end(here), token, labelled, ongoing=False)
    found = [one async for page in life.transactions.pages(search) for one in page]
    cards = {((one.token or "").casefold(), one.token_type) for one in found}
    if token is not None and "…" in token and len(cards) > 1:  # nobody pays for another one's card
        raise HTTPException(409, f"token: {len(cards)} cards of this month are shown as {token}; give a whole number")
    return month, found


async def _proof(life: Life, transaction_id: str) -> Proof | None:
    """What was signed of a transaction; None: nothing."""
    records = await life.metrology.records.of(transaction_id)
    if not records:
        return None
    keys = {key.fingerprint: key for key in await life.metrology.records.keys()}
    key = next((keys[one.fingerprint] for one in reversed(records) if one.fingerprint in keys), None)
    texts = tuple(one.text for one in records)
    container = signed_container(records, keys).encode()
    parsed = (life.metrology.records.reading_of(record, parse) for record in records)
    readings = [reading for record in parsed if record is not None for reading in record.readings]
    registers_wh = frozenset(reading.wh for reading in readings if reading.wh is not None)
    signed_by = SignedBy(key.spki, key.fingerprint, meter=key.signer == "meter") if key is not None else None
    return Proof(texts, container, signed_by, registers_wh)


def _issuer(host: Host) -> Issuer:
    who = host.configuration.station
    return Issuer(who.identity, f"{who.vendor} {who.model}", who.serial_number, f"borne {package_version()}")


def _occasion(life: Life, language: Language) -> Occasion:
    now = life.clock.now()
    return Occasion(language, zone(life.station.settings), now, life.cards.labels())
