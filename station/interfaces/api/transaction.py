"""Routes for the transaction log: search, read one transaction, export as CSV."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, HTTPException, Query
from fastapi.responses import StreamingResponse
from msgspec.structs import replace
from typing_extensions import TypedDict

from foundation.frozen import Frozen
from station.billing.documents import table
from station.billing.logged_transaction import TransactionKind
from station.billing.tariff_and_cost import TariffAndCost
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.authorization.authorizer import loggable_token
from station.charging.authorization.owner_cards import LONGEST_LABEL, OwnerCards
from station.charging.charging_station import ChargingStation
from station.charging.signing.signed_records import SignedRecords
from station.core.clock_settings import ClockSettings
from station.core.local_time import local_to_utc, zone
from station.core.model import PAGE_TOKEN, IdToken, TransactionEvent
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import TransactionId, part
from station.interfaces.api.document_language import DocumentLanguage
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role
from station.storage.outbox import Outbox

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedRegister, LoggedTransaction
    from station.billing.price import Bill

router = api_router("transactions")
_CostSource = Literal["csms", "station"]

CardLabel = Annotated[
    str | None, Query(max_length=LONGEST_LABEL, description="the owner's label of a card; several cards may share one")
]


class TransactionFilters(Frozen):
    """The query parameters that filter the transaction log; times without an offset are local times of the station."""

    since: datetime | None
    """begun at or after this time"""
    until: datetime | None
    """begun before this time"""
    token: str | None
    """a card's number, complete or shortened"""
    card: str | None
    """the owner's label of cards"""
    evse_id: int | None
    ongoing: bool | None

    def to_query(self, settings: ClockSettings, own_cards: OwnerCards) -> TransactionQuery:
        """Convert the filters to the query of the log: local times to UTC, a label to the tokens of its cards.

        Raises:
            HTTPException: 422, a time is out of range.
        """
        try:
            since = local_to_utc(self.since, settings) if self.since is not None else None
            until = local_to_utc(self.until, settings) if self.until is not None else None
        except OverflowError:
            raise HTTPException(422, "since, until: out of the range of dates") from None
        cards = own_cards.labelled(self.card) if self.card is not None else None
        return TransactionQuery(since, until, self.token, cards, self.evse_id, self.ongoing)


def _filters(
    since: Annotated[datetime | None, Query(description="only transactions that began at or after this time")] = None,
    until: Annotated[datetime | None, Query(description="only transactions that began before this time")] = None,
    token: Annotated[
        str | None,
        Query(max_length=36, description="a card's number, in full or shortened as the page shows it: begin … end"),
    ] = None,
    card: CardLabel = None,
    evse: Annotated[int | None, Query(ge=1, le=1_000, description="only transactions at this EVSE")] = None,
    ongoing: Annotated[
        bool | None, Query(description="true: only those that run; false: only those that have ended; left out: both")
    ] = None,
) -> TransactionFilters:
    return TransactionFilters(since, until, token, card, evse, ongoing)


Filters = Annotated[TransactionFilters, Depends(_filters)]


class RegisterAtEnd(TypedDict):
    """The import register of the billing meter at the begin or end of a transaction."""

    register_wh: float | None
    """the meter's import register, Wh since its manufacture; null: the meter was not read"""
    read_at: str | None
    """when the meter was read (ISO 8601, UTC); null: it was not"""
    time_status: str | None
    """time quality as the OCMF letter; null: not recorded"""
    substitute: bool
    """whether the meter did not answer and the value is a substitute, which cannot be billed"""


class TransactionCost(TypedDict):
    """The cost of a transaction by the CSMS or the owner's prices; of a running one its cost so far."""

    amount: str | None
    """a decimal number, taxes included if the prices include them; null if there is an objection to the bill"""
    currency: str
    """currency of the amount (ISO 4217)"""
    told_by: _CostSource
    """who calculated it: `csms`: the CSMS; `station`: the station, by the owner's prices"""
    final: bool
    """whether it is the final cost, not the cost so far"""
    objection: str | None
    """why this transaction cannot be billed, as a sentence; null: it can"""


class TransactionSummary(TypedDict):
    """A transaction of the log, running or ended."""

    transaction_id: str
    """the id of the transaction, also at the CSMS"""
    number: int
    """consecutive number of the transaction at this station"""
    evse_id: int
    """the EVSE at which it was charged"""
    kind: TransactionKind
    """how it counts when charges are added up: `test`: the installer's test session; `no-energy`: it has ended and took
    none; else `charge`"""
    ongoing: bool
    """whether the transaction still runs"""
    token: str | None
    """the id token with which it was started, shortened; null: started without one"""
    token_type: str | None
    """IdTokenEnumType of the token; null: started without one"""
    card: str | None
    """the owner's label of the card; null: it has none"""
    at_page: bool
    """whether it was started on the page with the driver's account"""
    began_at: str
    """when it began (ISO 8601, UTC)"""
    ended_at: str | None
    """when it ended (ISO 8601, UTC); null while it runs"""
    times_corrected_s: float | None
    """seconds added to its times, recorded before the clock of the station was set; null: not corrected"""
    duration_s: float | None
    """seconds from begin to end; null while it runs"""
    charging_s: int | None
    """seconds of that time during which energy was transferred; null: not known"""
    stopped_reason: str | None
    """why it ended (ReasonEnumType of OCPP); null while it runs, or not known"""
    energy_wh: float | None
    """energy charged from begin to end, Wh: end register less begin register; null while one is not known"""
    begin: RegisterAtEnd
    """the meter's register at the begin of the transaction"""
    end: RegisterAtEnd | None
    """the meter's register at the end of the transaction; null while it runs"""
    meter_serial: str | None
    """serial number of the billing meter; null: not reported"""
    cost: TransactionCost | None
    """its cost, so far while it runs; null: no prices"""
    signed: bool
    """whether there are signed records: GET /api/transactions/{transaction_id}/record"""


class TransactionsFound(TypedDict):
    """Response of GET /api/transactions: one page of the matching transactions."""

    total: int
    """number of matching transactions; `transactions` contains one page of them"""
    tests: int
    """how many of the matching ones are test sessions of the installer"""
    without_energy: int
    """how many of the matching ones have ended without energy"""
    transactions: list[TransactionSummary]
    """one page of the matching transactions, the newest first"""


class BillLine(TypedDict):
    """A line of a bill, such as energy or time; quantity, price and amount are decimal numbers as text."""

    what: str
    """what is billed: `energy`, `time` or `idle`"""
    period: str | None
    """the tariff period of the grid meter; null: not known, or no energy"""
    quantity: str
    """energy or time that is billed, in `unit`"""
    unit: str
    """unit of the quantity: `kWh` for energy, `h` for time"""
    unit_price: str
    """price of one unit, in the currency of the bill"""
    amount: str
    """quantity times unit price, rounded to the smallest unit of the currency"""
    register_begin_wh: float | None
    """the meter's import register at the begin of this energy, Wh; null: no energy"""
    register_end_wh: float | None
    """the meter's import register at the end of this energy, Wh; null: no energy"""


class TransactionBill(TypedDict):
    """The bill of an ended transaction by the owner's prices; amounts are decimal numbers as text."""

    currency: str
    """currency of all amounts (ISO 4217)"""
    total: str
    """sum of all lines, in `currency`"""
    objection: str | None
    """why this cannot be billed, as a sentence; null: it can"""
    lines: list[BillLine]
    """what is billed: energy of each tariff period, time, idle time"""


class TransactionPeriod(TypedDict):
    """The begin of a tariff period of the grid meter during a transaction; the first begins with the transaction."""

    period: str | None
    """as named by the grid meter; null: not reported"""
    at: str
    """when this tariff period began (ISO 8601, UTC)"""
    register_wh: float | None
    """the meter's import register at that time, Wh; null: not read"""


class TransactionDetails(TransactionSummary):
    """Response of GET /api/transactions/{transaction_id}: a transaction with its bill, tariff periods and events."""

    bill: TransactionBill | None
    """the bill by the owner's prices; null: no prices, or the transaction runs"""
    periods: list[TransactionPeriod]
    """the tariff periods during the transaction, the oldest first"""
    events: list[TransactionEvent]
    """as sent to the CSMS; tokens are shortened"""


@router.get("/api/transactions", dependencies=[require_role(Role.OWNER)], summary="Search the transactions")
async def find_transactions(  # noqa: PLR0913  # query parameters
    filters: Filters,
    log: Annotated[TransactionLog, part(TransactionLog)],
    station: Annotated[ChargingStation, part(ChargingStation)],
    settings: Annotated[ClockSettings, part(ClockSettings)],
    own_cards: Annotated[OwnerCards, part(OwnerCards)],
    costs: Annotated[TariffAndCost, part(TariffAndCost)],
    records: Annotated[SignedRecords, part(SignedRecords)],
    most: Annotated[int, Query(ge=1, le=1000, description="maximum number of transactions")] = 100,
    skip: Annotated[int, Query(ge=0, le=10_000_000, description="number of the newest transactions to skip")] = 0,
) -> TransactionsFound:
    """Returns one page of the transactions that match all filters, the newest first, and the number of all matches."""
    page = await log.find(filters.to_query(settings, own_cards), skip=skip, most=most)
    labels = own_cards.labels()
    signed = await records.find_signed([transaction.transaction_id for transaction in page.transactions])
    return {
        "total": page.total,
        "tests": page.tests,
        "without_energy": page.without_energy,
        "transactions": [
            _summary_to_json(
                transaction,
                labels,
                await _cost(transaction, station, costs),
                ongoing=transaction.ended_at is None,
                signed=transaction.transaction_id in signed,
            )
            for transaction in page.transactions
        ],
    }


class CsvResponse(StreamingResponse):
    """A response that is CSV; as response class of a route it states the media type in the OpenAPI document."""

    media_type = "text/csv"


@router.get(
    "/api/transactions.csv",
    dependencies=[require_role(Role.OWNER)],
    summary="Export transactions for a spreadsheet",
    response_class=CsvResponse,
)
async def export_transactions(
    filters: Filters,
    log: Annotated[TransactionLog, part(TransactionLog)],
    settings: Annotated[ClockSettings, part(ClockSettings)],
    own_cards: Annotated[OwnerCards, part(OwnerCards)],
    lang: DocumentLanguage,
) -> StreamingResponse:
    """Returns all matching transactions as CSV, the oldest first; times are local times of the station.

    In English for programs too: comma, decimal point, names of columns that stay, times with their offset from UTC. In
    another language for its spreadsheets: semicolon, decimal comma, translated headings and words.
    """
    search = filters.to_query(settings, own_cards)

    async def lines() -> AsyncGenerator[str]:
        yield table.csv_heading(lang)
        time_zone, labels = zone(settings), own_cards.labels()
        async for page in log.pages(search):
            yield table.csv_rows(page, time_zone, labels, lang)

    return StreamingResponse(lines(), media_type=table.MEDIA_TYPE, headers=attachment("transactions.csv"))


@router.get("/api/transactions/{transaction_id}", dependencies=[require_role(Role.OWNER)], summary="Read a transaction")
async def read_transaction(
    transaction_id: TransactionId,
    log: Annotated[TransactionLog, part(TransactionLog)],
    station: Annotated[ChargingStation, part(ChargingStation)],
    outbox: Annotated[Outbox, part(Outbox)],
    own_cards: Annotated[OwnerCards, part(OwnerCards)],
    costs: Annotated[TariffAndCost, part(TariffAndCost)],
    records: Annotated[SignedRecords, part(SignedRecords)],
) -> TransactionDetails:
    """Returns a transaction with its bill, tariff periods and events; 404 if the log has none with this id."""
    transaction = await log.get(transaction_id)
    if transaction is None:
        raise HTTPException(404, "no transaction has this id")
    events = await outbox.events(transaction_id)
    periods = await log.periods(transaction_id)
    cost = await _cost(transaction, station, costs)
    ongoing = station.is_ongoing(transaction_id)
    signed = bool(await records.find_signed([transaction_id]))
    return {
        **_summary_to_json(transaction, own_cards.labels(), cost, ongoing=ongoing, signed=signed),
        "bill": _bill_to_json(transaction.bill),
        "periods": [
            {"period": start.period, "at": start.at.isoformat(), "register_wh": start.energy_wh} for start in periods
        ],
        "events": [_with_short_token(event) for event in events],
    }


def attachment(name: str) -> dict[str, str]:
    """Create the response headers that make a browser save the response as a file with this ASCII name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _summary_to_json(
    transaction: LoggedTransaction,
    labels: table.CardLabels,
    cost: TransactionCost | None,
    *,
    ongoing: bool,
    signed: bool,
) -> TransactionSummary:
    duration = transaction.duration
    return {
        "transaction_id": transaction.transaction_id,
        "number": transaction.number,
        "evse_id": transaction.evse_id,
        "kind": transaction.kind,
        "ongoing": ongoing,
        "token": table.short_token(transaction),
        "token_type": transaction.token_type,
        "card": table.label(transaction, labels),
        "at_page": transaction.token is not None
        and IdToken(transaction.token, transaction.token_type or "") == PAGE_TOKEN,
        "began_at": transaction.began_at.isoformat(),
        "ended_at": transaction.ended_at.isoformat() if transaction.ended_at is not None else None,
        "times_corrected_s": transaction.corrected_s,
        "duration_s": duration.total_seconds() if duration is not None else None,
        "charging_s": transaction.charging_s,
        "stopped_reason": transaction.stopped_reason,
        "energy_wh": float(transaction.energy_wh) if transaction.energy_wh is not None else None,
        "begin": _register_to_json(transaction.begin),
        "end": _register_to_json(transaction.end) if transaction.ended_at is not None else None,
        "meter_serial": transaction.meter_serial,
        "cost": cost,
        "signed": signed,
    }


async def _cost(
    transaction: LoggedTransaction, station: ChargingStation, costs: TariffAndCost
) -> TransactionCost | None:
    """The cost of a transaction, or its cost so far; None if there are no prices."""
    if transaction.ended_at is None:
        evse = station.evses.get(transaction.evse_id)
        running = await costs.cost(evse) if evse is not None else None
        if running is None or running.transaction_id != transaction.transaction_id:
            return None
        source = "csms" if running.from_csms else "station"
        return _cost_to_json(str(running.amount), running.currency, source, final=False, objection=None)
    if transaction.objection is not None and transaction.bill is not None:
        return _cost_to_json(None, transaction.bill.currency, "station", final=False, objection=transaction.objection)
    if transaction.cost is None:
        return None
    source = "csms" if transaction.stated_cost is not None else "station"
    return _cost_to_json(str(transaction.cost.amount), transaction.cost.currency, source, final=True, objection=None)


def _cost_to_json(
    amount: str | None, currency: str, source: _CostSource, *, final: bool, objection: str | None
) -> TransactionCost:
    return {"amount": amount, "currency": currency, "told_by": source, "final": final, "objection": objection}


def _bill_to_json(bill: Bill | None) -> TransactionBill | None:
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


def _register_to_json(register: LoggedRegister) -> RegisterAtEnd:
    return {
        "register_wh": float(register.energy_wh) if register.energy_wh is not None else None,
        "read_at": register.read_at.isoformat() if register.read_at is not None else None,
        "time_status": register.time,
        "substitute": register.substitute,
    }


def _with_short_token(event: TransactionEvent) -> TransactionEvent:
    return replace(event, id_token=_short_token(event.id_token)) if event.id_token is not None else event


def _short_token(id_token: IdToken) -> IdToken:
    return replace(id_token, value=loggable_token(id_token), additional_info=())
