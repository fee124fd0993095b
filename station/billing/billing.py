"""Follows each transaction with the owner's prices: where its tariff periods divide its register, and what it cost."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from station.billing.price import Charge, PeriodReading, bill, idle_time
from station.core.model import ChargingState, EventType

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.price import Bill
    from station.billing.transaction_log import TransactionLog
    from station.charging.evse import Evse
    from station.core.model import TransactionEvent
    from station.storage.outbox import Outbox


class Billing:
    """Makes bills of what is on record; prices are those of a transaction's begin (migration 7)."""

    def __init__(self, log: TransactionLog, outbox: Outbox, evses: Mapping[int, Evse], clock: Clock) -> None:
        self.tariff_period: Callable[[], str | None] = lambda: None
        """the tariff period that the grid meter tells now"""
        self.on_billed: Callable[[str, Bill], None] | None = None
        """told of each bill of an ended transaction, by the transaction's id"""
        self._log = log
        self._outbox = outbox
        self._evses = evses
        self._clock = clock
        self._period: str | None = None
        self._begins: deque[tuple[TransactionEvent, str | None]] = deque()
        """begins of this life on their way to the disk, with the tariff period of that moment"""
        outbox.on_append.append(self._recorded)

    @property
    def period_changed(self) -> bool:
        """Whether the grid meter tells another tariff period than was last followed."""
        return self.tariff_period() != self._period

    def _recorded(self, event: TransactionEvent) -> None:
        if event.event_type is EventType.STARTED:
            self._begins.append((event, self.tariff_period()))

    async def begun(self, event: TransactionEvent) -> None:
        """A transaction is on record: its first period begins with its own register.

        Of one that began in another life nobody knows in which tariff period that was.

        Raises:
            StorageError: it is not on disk; call again.
        """
        await self._write_begins()
        await self._begin(event, None)

    async def _write_begins(self) -> None:
        while self._begins:
            await self._begin(*self._begins[0])
            self._begins.popleft()

    async def _begin(self, event: TransactionEvent, period: str | None) -> None:
        if not await self._log.periods(event.transaction_id):
            register_wh = event.register.energy_import_wh if event.register is not None else None
            first = PeriodReading(period, event.occurred_at, register_wh)
            await self._log.begin_period(event.transaction_id, first)

    async def ended(self, event: TransactionEvent) -> Bill | None:
        """A transaction is at its end: what it cost; None where nothing had a price.

        A bill that was made stays: what it was made of is not kept as long.

        Raises:
            StorageError: the bill is not on disk; call again.
        """
        register, found = event.register, await self._log.get(event.transaction_id)
        end_wh = register.energy_import_wh if register is not None else None
        cost = found.bill if found is not None else None
        if cost is None and (cost := await self._bill(event.transaction_id, end_wh, event.lasted_s)) is not None:
            await self._log.note_bill(event.transaction_id, cost)
        if cost is not None and self.on_billed is not None:
            self.on_billed(event.transaction_id, cost)
        return cost

    async def follow_tariff(self) -> AsyncGenerator[tuple[int, str, PeriodReading]]:
        """Where the grid meter tells another period, each running transaction gets a register of its own there.

        Yields (EVSE, transaction, reading) of each that is on disk.

        Raises:
            StorageError: not all of them are on disk; call again.
        """
        await self._write_begins()
        if not self.period_changed:
            return
        period = self.tariff_period()
        for evse in self._evses.values():
            if (transaction := evse.state.transaction) is None or not transaction.recorded:
                continue
            known = await self._log.periods(transaction.id)
            if known and known[-1].period == period:  # it began in this one, or was written before the disk refused
                continue
            reading = await evse.meter.fresh()
            register_wh = reading.energy_import_wh if reading is not None else None
            begins = PeriodReading(period, self._clock.now(), register_wh)
            await self._log.begin_period(transaction.id, begins)
            if evse.signing is not None and reading is not None:
                await evse.signing.divide(transaction.id, reading)
            yield evse.id, transaction.id, begins
        self._period = period

    async def bill_so_far(self, evse: Evse) -> Bill | None:
        """What the running transaction of an EVSE costs until now; None: there is none, or nothing has a price.

        Raises:
            StorageError: the records cannot be read.
        """
        if (transaction := evse.state.transaction) is None:
            return None
        latest = evse.meter.latest
        return await self._bill(transaction.id, latest.energy_import_wh if latest else None, evse.lasted_s)

    async def _bill(self, transaction_id: str, end_wh: float | None, lasted_s: float | None) -> Bill | None:
        found = await self._log.get(transaction_id)
        if found is None or found.prices is None:
            return None
        # Never by the difference of two wall times: somebody may have set the clock in between.
        states = [
            (timedelta(seconds=event.lasted_s), event.charging_state is ChargingState.SUSPENDED_EV)
            for event in await self._outbox.events(transaction_id)
            if event.charging_state is not None and event.lasted_s is not None
        ]
        lasted = timedelta(seconds=lasted_s or 0.0)
        objection: str | None = None
        if found.begin.substitute or found.end.substitute:
            objection = "a register is what the meter showed before it fell silent"
        charge = Charge(
            await self._log.periods(transaction_id),
            end_wh,
            duration=lasted,
            idle=idle_time(states, lasted),
            objection=objection,
        )
        return bill(found.prices, charge)
