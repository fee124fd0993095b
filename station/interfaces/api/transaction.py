"""The log of transactions through the local API: searched, one by one, and as a table for spreadsheets."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import StreamingResponse

from foundation.frozen import frozen
from station.billing.documents import table
from station.billing.transaction_log import Search
from station.charging.tokens.authorization import shown
from station.charging.tokens.owner_cards import LONGEST_LABEL
from station.core.local_time import as_written, zone
from station.core.model import DRIVER, IdToken
from station.interfaces.json_object import Json

if TYPE_CHECKING:
    from borne.life import Life
    from station.billing.logged_transaction import RegisterShown, Transaction
    from station.billing.price import Bill
    from station.core.model import TransactionEvent
    from station.interfaces.api.route_services import Living


CardLabel = Annotated[
    str | None, Query(max_length=LONGEST_LABEL, description="the owner's label of a card; several cards may share one")
]


@frozen
class Filters:
    """Which transactions are wanted; moments without an offset are those of clocks at the station."""

    since: datetime | None
    until: datetime | None
    token: str | None
    card: str | None
    evse_id: int | None
    ongoing: bool | None

    def search(self, life: Life) -> Search:
        """The same, for the log."""
        settings = life.station.settings
        try:
            since = as_written(self.since, settings) if self.since is not None else None
            until = as_written(self.until, settings) if self.until is not None else None
        except OverflowError:
            raise HTTPException(422, "since, until: a moment that no calendar has") from None
        cards = life.cards.labelled(self.card) if self.card is not None else None
        return Search(since, until, self.token, cards, self.evse_id, self.ongoing)


def _filters(
    since: Annotated[datetime | None, Query(description="begun at or after this")] = None,
    until: Annotated[datetime | None, Query(description="begun before this")] = None,
    token: Annotated[
        str | None, Query(max_length=36, description="a card's number, whole or as it is shown: begin … end")
    ] = None,
    card: CardLabel = None,
    evse: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    ongoing: bool | None = None,
) -> Filters:
    return Filters(since, until, token, card, evse, ongoing)


Wanted = Annotated[Filters, Depends(_filters)]


def transaction_routes(api: FastAPI, living: Living) -> None:
    """Everything of /api/transactions that is for programs."""

    @api.get("/api/transactions")
    async def transactions(
        wanted: Wanted,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
        skip: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> Json:
        life = living.life
        found = await life.transactions.find(wanted.search(life), skip=skip, most=most)
        labels = life.cards.labels()
        return {"total": found.total, "transactions": [await _told(life, one, labels) for one in found.transactions]}

    @api.get("/api/transactions.csv")
    async def comma_separated(wanted: Wanted) -> StreamingResponse:
        life = living.life
        search = wanted.search(life)

        async def lines() -> AsyncGenerator[str]:
            yield table.heading()
            here, labels = zone(life.station.settings), life.cards.labels()
            async for page in life.transactions.pages(search):
                yield table.rows(page, here, labels)

        return StreamingResponse(lines(), media_type=table.MEDIA_TYPE, headers=attachment("transactions.csv"))

    @api.get("/api/transactions/{transaction_id}")
    async def transaction(transaction_id: str) -> Json:
        life = living.life
        found = await life.transactions.get(transaction_id)
        if found is None:
            raise HTTPException(404, "no such transaction")
        events = await life.station.outbox.events(transaction_id)
        periods = await life.transactions.periods(transaction_id)
        return await _told(life, found, life.cards.labels()) | {
            "ongoing": life.station.is_ongoing(transaction_id),
            "bill": _bill(found.bill),
            "periods": [
                {"period": one.period, "at": one.at.isoformat(), "register_wh": one.energy_wh} for one in periods
            ],
            "events": [dataclasses.asdict(_with_short_token(event)) for event in events],
        }


def attachment(name: str) -> dict[str, str]:
    """Headers that make a browser save an answer under a name, which is plain ASCII."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


async def _told(life: Life, one: Transaction, labels: table.CardLabels) -> Json:
    duration = one.duration
    return {
        "transaction_id": one.transaction_id,
        "number": one.number,
        "evse_id": one.evse_id,
        "ongoing": one.ended_at is None,
        "token": table.shown_token(one),
        "token_type": one.token_type,
        "card": table.label(one, labels),
        "at_page": one.token is not None and IdToken(one.token, one.token_type or "") == DRIVER,
        "began_at": one.began_at.isoformat(),
        "ended_at": one.ended_at.isoformat() if one.ended_at is not None else None,
        "times_corrected_s": one.corrected_s,
        "duration_s": duration.total_seconds() if duration is not None else None,
        "charging_s": one.charging_s,
        "stopped_reason": one.stopped_reason,
        "energy_wh": float(one.energy_wh) if one.energy_wh is not None else None,
        "begin": _register(one.begin),
        "end": _register(one.end) if one.ended_at is not None else None,
        "meter_serial": one.meter_serial,
        "cost": await _cost(life, one),
    }


async def _cost(life: Life, one: Transaction) -> Json | None:
    """What it cost, or has cost so far, and who says so; with an objection in place of an amount, what that is."""
    if one.ended_at is None:
        evse = life.station.evses.get(one.evse_id)
        running = await life.tariff_and_cost.cost(evse) if evse is not None else None
        if running is None or running.transaction_id != one.transaction_id:
            return None
        told_by = "csms" if running.told_by_csms else "station"
        return _amount(str(running.amount), running.currency, told_by, final=False, objection=None)
    if one.objection is not None and one.bill is not None:
        return _amount(None, one.bill.currency, "station", final=False, objection=one.objection)
    if one.cost is None:
        return None
    told_by = "csms" if one.told is not None else "station"
    return _amount(str(one.cost.amount), one.cost.currency, told_by, final=True, objection=None)


def _amount(amount: str | None, currency: str, told_by: str, *, final: bool, objection: str | None) -> Json:
    return {"amount": amount, "currency": currency, "told_by": told_by, "final": final, "objection": objection}


def _bill(bill: Bill | None) -> Json | None:
    if bill is None:
        return None
    return {
        "currency": bill.currency,
        "total": str(bill.total),
        "objection": bill.objection,
        "lines": [
            {
                "what": line.what,
                "period": line.period,
                "quantity": str(line.quantity),
                "unit": line.unit,
                "unit_price": str(line.unit_price),
                "amount": str(line.amount),
                "register_begin_wh": float(line.begin_wh) if line.begin_wh is not None else None,
                "register_end_wh": float(line.end_wh) if line.end_wh is not None else None,
            }
            for line in bill.lines
        ],
    }


def _register(shown_then: RegisterShown) -> Json:
    return {
        "register_wh": float(shown_then.energy_wh) if shown_then.energy_wh is not None else None,
        "read_at": shown_then.read_at.isoformat() if shown_then.read_at is not None else None,
        "time_status": shown_then.time,
        "substitute": shown_then.substitute,
    }


def _with_short_token(event: TransactionEvent) -> TransactionEvent:
    return dataclasses.replace(event, id_token=_short(event.id_token)) if event.id_token is not None else event


def _short(id_token: IdToken) -> IdToken:
    return dataclasses.replace(id_token, value=shown(id_token), additional_info=())
