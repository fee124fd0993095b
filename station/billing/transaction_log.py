"""The log of transactions for people: found by time, card and EVSE, quick also after ten years."""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from metering.frozen import frozen
from metering.time_quality import TimeStatus
from station.billing.currency import rounded
from station.billing.price import Bill, PeriodReading, PriceList, exact_wh
from station.records import payloads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pydantic import TypeAdapter

    from station.records.database import Database, Row, Statement, Value

T = TypeVar("T")
_NUMBER, _BEGAN_AT = 1, 5
"""their places among the columns"""
_NEVER = datetime.min.replace(tzinfo=UTC)

_COLUMNS = (
    "transaction_id, number, evse_id, token, token_type, began_at, ended_at, stopped_reason, begin_wh, begin_read_at,"
    " begin_time, begin_substitute, end_wh, end_read_at, end_time, end_substitute, charging_s, corrected_s,"
    " meter_serial, prices, bill, told_cost, told_currency, lasted_s"
)


@cache
def _bills() -> TypeAdapter[Bill]:
    from pydantic import TypeAdapter

    return TypeAdapter(Bill)


@cache
def _price_lists() -> TypeAdapter[PriceList]:
    from pydantic import TypeAdapter

    return TypeAdapter(PriceList)


def price_list_from(text: str) -> PriceList:
    """A price list as it is stored.

    Raises:
        ValueError: it is none.
    """
    return _price_lists().validate_json(text)


def price_list_text(prices: PriceList) -> str:
    """A price list as it is stored."""
    return _price_lists().dump_json(prices).decode()


@frozen
class RegisterShown:
    """A register at one end of a transaction, as it was recorded."""

    energy_wh: Decimal | None
    """None: the meter was not read"""
    read_at: datetime | None
    time: str | None
    """how good the time is, in the letters of OCMF; None: not recorded"""
    substitute: bool
    """the meter was silent then: nothing to bill by"""


@frozen
class ToldCost:
    """What somebody says that a transaction cost in all."""

    amount: Decimal
    currency: str


@frozen
class Transaction:
    """One transaction of the log."""

    transaction_id: str
    number: int
    evse_id: int
    token: str | None
    token_type: str | None
    began_at: datetime
    ended_at: datetime | None
    stopped_reason: str | None
    begin: RegisterShown
    end: RegisterShown
    charging_s: int | None
    corrected_s: float | None
    """it was recorded with a time that nobody had vouched for, and so much was added later"""
    meter_serial: str | None
    prices: PriceList | None
    bill: Bill | None
    told: ToldCost | None = None
    lasted_s: float | None = None
    """as a clock measured it that nobody sets; None: it runs, or was recorded before that was measured"""

    @property
    def cost(self) -> ToldCost | None:
        """What it cost in all: as the CSMS said, else by the owner's prices.

        None: nothing had a price, it runs, or something speaks against asking anybody for it.
        """
        if self.told is not None:
            return ToldCost(rounded(self.told.amount, self.told.currency), self.told.currency)
        if self.bill is None or self.bill.objection is not None:
            return None
        return ToldCost(self.bill.total, self.bill.currency)

    @property
    def objection(self) -> str | None:
        """Why nothing can be asked from anybody, as a sentence; None: nothing speaks against it."""
        return self.bill.objection if self.bill is not None and self.told is None else None

    @property
    def energy_wh(self) -> Decimal | None:
        """What was charged: register less register; None while one of them is not known."""
        if self.begin.energy_wh is None or self.end.energy_wh is None:
            return None
        return self.end.energy_wh - self.begin.energy_wh

    @property
    def duration(self) -> timedelta | None:
        """How long it lasted, however the wall time was set; one that a power cut ended: until its last event."""
        if self.lasted_s is not None:
            return timedelta(seconds=self.lasted_s)
        return self.ended_at - self.began_at if self.ended_at is not None else None


@frozen
class Search:
    """Which transactions are meant; what is None does not matter."""

    since: datetime | None = None
    """begun at or after this"""
    until: datetime | None = None
    """begun before this"""
    token: str | None = None
    """the whole number of a card, or as it is shown: its begin, an ellipsis, its end"""
    evse_id: int | None = None
    ongoing: bool | None = None


@frozen
class Found:
    """A page of the log, the newest first."""

    total: int
    transactions: list[Transaction] = field(default_factory=list[Transaction])


class TransactionLog:
    """Reads the log; that it is written is the database's own work (migration 6)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, search: Search, *, skip: int = 0, most: int = 100) -> Found:
        """The transactions that fit, the newest first.

        Raises:
            StorageError: the disk cannot be read.
        """
        where, values = _where(search)
        counted = await self._database.rows(f"SELECT COUNT(*) FROM transactions {where}", values)
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM transactions {where} ORDER BY began_at DESC, number DESC LIMIT ? OFFSET ?",
            (*values, most, skip),
        )
        return Found(int(str(counted[0][0])), _readable(rows))

    async def pages(self, search: Search, size: int = 250) -> AsyncGenerator[list[Transaction]]:
        """All transactions that fit, the oldest first; each page is read when it is asked for.

        Raises:
            StorageError: the disk cannot be read.
        """
        where, values = _where(search)
        after: tuple[Value, Value] = ("", 0)
        while True:
            rows = await self._database.rows(
                f"SELECT {_COLUMNS} FROM transactions {where or 'WHERE TRUE'} AND (began_at, number) > (?, ?)"
                " ORDER BY began_at, number LIMIT ?",
                (*values, *after, size),
            )
            if rows:
                yield _readable(rows)
            if len(rows) < size:
                return
            after = (rows[-1][_BEGAN_AT], rows[-1][_NUMBER])

    async def get(self, transaction_id: str) -> Transaction | None:
        """One of them; None: it is not on record, or cannot be read."""
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM transactions WHERE transaction_id = ?", (transaction_id,)
        )
        return next(iter(_readable(rows)), None)

    async def periods(self, transaction_id: str) -> list[PeriodReading]:
        """Where its tariff periods begin; the first is where it begins itself."""
        rows = await self._database.rows(
            "SELECT period, at, energy_wh FROM tariff_readings WHERE transaction_id = ? ORDER BY id", (transaction_id,)
        )
        # One that cannot be read divides all the same: nobody is asked for what lies on both sides of it.
        return [payloads.read(_period, row) or PeriodReading(None, _NEVER, None) for row in rows]

    async def begin_period(self, transaction_id: str, reading: PeriodReading) -> None:
        """A tariff period begins within a transaction.

        Raises:
            StorageError: it is not on disk.
        """
        await self._database.write(
            "INSERT INTO tariff_readings (transaction_id, at, period, energy_wh) VALUES (?, ?, ?, ?)",
            (transaction_id, reading.at.isoformat(), reading.period or "", reading.energy_wh),
        )

    async def note_meter(self, transaction_id: str, serial_number: str | None) -> None:
        """Which meter counted.

        Raises:
            StorageError: it is not on disk.
        """
        await self._database.write(
            "UPDATE transactions SET meter_serial = COALESCE(meter_serial, ?) WHERE transaction_id = ?",
            (serial_number, transaction_id),
        )

    async def note_bill(self, transaction_id: str, bill: Bill) -> None:
        """What it cost.

        Raises:
            StorageError: it is not on disk.
        """
        await self._database.write(
            "UPDATE transactions SET bill = ? WHERE transaction_id = ?",
            (_bills().dump_json(bill).decode(), transaction_id),
        )

    async def note_told(self, transaction_id: str, told: ToldCost) -> None:
        """What the CSMS said that it cost.

        Raises:
            StorageError: it is not on disk.
        """
        await self._database.write(
            "UPDATE transactions SET told_cost = ?, told_currency = ? WHERE transaction_id = ?",
            (str(told.amount), told.currency, transaction_id),
        )

    async def corrected(
        self, transaction_id: str, correction: timedelta, right: Callable[[datetime], datetime], *, begun: bool
    ) -> list[Statement]:
        """What is to be written to correct it: with the events in one write, so that the two never differ.

        `right` gives a time as a clock that was right would have had it; `begun`: that of its begin was wrong too.

        Raises:
            StorageError: the disk cannot be read.
        """
        found = await self.get(transaction_id)
        if found is None:
            return []

        def moved(at: datetime | None, of_begin: bool) -> str | None:
            if at is None:
                return None
            return (right(at) if begun or not of_begin else at).isoformat()

        corrected_s = (found.corrected_s or 0.0) + correction.total_seconds()
        times = (
            moved(found.began_at, True),
            moved(found.begin.read_at, True),
            moved(found.ended_at, False),
            moved(found.end.read_at, False),
        )
        rows = await self._database.rows(
            "SELECT id, at FROM tariff_readings WHERE transaction_id = ?", (transaction_id,)
        )
        return [
            (
                "UPDATE transactions SET began_at = ?, begin_read_at = ?, ended_at = ?, end_read_at = ?,"
                " corrected_s = ? WHERE transaction_id = ?",
                [(*times, corrected_s, transaction_id)],
            ),
            # Of a begin in another life its periods began there too: they stay.
            (
                "UPDATE tariff_readings SET at = ? WHERE id = ?",
                [(moved(at, True), one) for one, text in rows if (at := payloads.read(_moment, text)) is not None],
            ),
        ]

    async def newest(self) -> int:
        """The number of the newest transaction that there ever was; 0 before the first.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'transactions'")
        return int(str(rows[0][0])) if rows else 0

    async def prune(self, before: datetime, *, beyond: int = 0) -> None:
        """Forget what ended before this moment, by a clock that was synchronized or before something that was.

        Of that only what has a number beyond `beyond`.

        A clock that was years behind dates what is new like something old: its word alone is not enough.

        Raises:
            StorageError: not all of it is forgotten; call again.
        """
        await self._database.write(
            "DELETE FROM transactions WHERE ended_at < ?1 AND number > ?3 AND number <="
            " (SELECT MAX(number) FROM transactions WHERE ended_at < ?1 AND end_time = ?2)",
            (_utc(before), TimeStatus.SYNCHRONIZED.value, beyond),
        )
        await self._database.write(
            "DELETE FROM tariff_readings WHERE transaction_id NOT IN (SELECT transaction_id FROM transactions)"
        )


def _where(search: Search) -> tuple[str, list[Value]]:
    conditions: list[str] = []
    values: list[Value] = []
    for condition, value in (
        ("began_at >= ?", _utc(search.since)),
        ("began_at < ?", _utc(search.until)),
        ("evse_id = ?", search.evse_id),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if search.token is not None:
        head, ellipsis, tail = search.token.partition("…")
        if search.token == "…":  # all that is shown of a key code, and of what is too short for more
            conditions.append("(token_type = 'KeyCode' OR length(token) < 3)")
        elif ellipsis:
            conditions.append("substr(token, 1, ?) = ? COLLATE NOCASE AND substr(token, ?) = ? COLLATE NOCASE")
            values += [len(head), head, -len(tail) if tail else 1_000, tail]
        else:
            conditions.append("token = ? COLLATE NOCASE")
            values.append(search.token)
    if search.ongoing is not None:
        conditions.append("ended_at IS NULL" if search.ongoing else "ended_at IS NOT NULL")
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _utc(moment: datetime | None) -> str | None:
    """As the log holds it, where moments are compared as text."""
    return moment.astimezone(UTC).isoformat() if moment is not None else None


def _readable(rows: list[Row]) -> list[Transaction]:
    return [one for row in rows if (one := payloads.read(_transaction, row)) is not None]


def _period(row: Row) -> PeriodReading:
    period, at, energy_wh = row
    register_wh = None if energy_wh is None else float(str(energy_wh))
    exact_wh(register_wh)  # one bit more or less makes a number that no register shows
    return PeriodReading(str(period) or None, _moment(at), register_wh)


def _transaction(row: Row) -> Transaction:
    (identity, number, evse_id, token, kind, began_at, ended_at, reason, *registers), tail = row[:16], row[16:]
    charging_s, corrected_s, serial, prices, bill, told_cost, told_currency, lasted_s = tail
    return Transaction(
        str(identity),
        int(str(number)),
        int(str(evse_id)),
        _text(token),
        _text(kind),
        _moment(began_at),
        _moment(ended_at) if ended_at is not None else None,
        _text(reason),
        _register(registers[:4]),
        _register(registers[4:]),
        int(str(charging_s)) if charging_s is not None else None,
        float(str(corrected_s)) if corrected_s is not None else None,
        _text(serial),
        _read(_price_lists(), prices),
        _read(_bills(), bill),
        ToldCost(Decimal(str(told_cost)), str(told_currency)) if told_cost is not None else None,
        float(str(lasted_s)) if lasted_s is not None else None,
    )


def _read(kind: TypeAdapter[T], text: Value) -> T | None:
    return payloads.read(kind.validate_json, str(text)) if text is not None else None


def _register(columns: list[Value]) -> RegisterShown:
    energy_wh, read_at, time, substitute = columns
    return RegisterShown(
        exact_wh(float(str(energy_wh))) if energy_wh is not None else None,
        _moment(read_at) if read_at is not None else None,
        _text(time),
        bool(substitute),
    )


def _text(value: Value) -> str | None:
    return str(value) if value is not None else None


def _moment(value: Value) -> datetime:
    return datetime.fromisoformat(str(value))
