"""Bills transactions by the owner's prices: splits the energy where the tariff period changes, and makes the bills."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from foundation.events import Event
from foundation.frozen import Frozen
from station.billing.price import BillableCharge, PeriodReading, calculate_bill, idle_time
from station.core.model import ChargingState, EventType

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.logged_transaction import LoggedTransaction
    from station.billing.price import Bill
    from station.billing.transaction_log import TransactionLog
    from station.charging.evse import Evse
    from station.charging.evse_assembly import EvseAssembly
    from station.core.model import TransactionEvent
    from station.storage.outbox import Outbox


class TariffPeriodSource(Protocol):
    """Reports the present tariff period of the electricity contract, by which the energy of a bill is divided."""

    @property
    def tariff_period(self) -> str | None:
        """The tariff period now, as named by the grid meter; None: not known."""
        ...


class FinalBill(Frozen):
    """The bill of a transaction that has ended, as `Billing.billed` publishes it."""

    transaction_id: str
    bill: Bill


class Billing:
    """Makes bills from the stored records; a transaction has the prices in force at its begin (migration 7)."""

    def __init__(
        self,
        log: TransactionLog,
        outbox: Outbox,
        evses: Mapping[int, EvseAssembly],
        periods: TariffPeriodSource,
        clock: Clock,
    ) -> None:
        self.billed: Event[FinalBill] = Event()
        """published with each final bill"""
        self._periods = periods
        self._log = log
        self._outbox = outbox
        self._evses = evses
        self._clock = clock
        self._period: str | None = None
        self._unpriced: dict[int, str] = {}
        """by EVSE: its latest transaction whose record has no prices, which a record never gets later"""
        self._begins: deque[tuple[TransactionEvent, str | None]] = deque()
        """Started events not yet written to disk, with the tariff period at that moment"""

    @property
    def period_changed(self) -> bool:
        """Whether the tariff period has changed since `follow_tariff` last stored the registers."""
        return self._periods.tariff_period != self._period

    def event_recorded(self, event: TransactionEvent) -> None:
        """Remember the present tariff period for a Started event, until it can be stored; ignore other events."""
        if event.event_type is EventType.STARTED:
            self._begins.append((event, self._periods.tariff_period))

    async def record_begin(self, event: TransactionEvent) -> None:
        """Store the first tariff period of a transaction, with its begin register, from its Started event.

        The period is unknown for a transaction that began before the last restart.

        Raises:
            StorageError: not stored; call again.
        """
        await self._write_begins()
        await self._record_first_period(event, None)

    async def _write_begins(self) -> None:
        while self._begins:
            await self._record_first_period(*self._begins[0])
            self._begins.popleft()

    async def _record_first_period(self, event: TransactionEvent, period: str | None) -> None:
        if not await self._log.periods(event.transaction_id):
            register_wh = event.register.energy_import_wh if event.register is not None else None
            reading = PeriodReading(period, event.occurred_at, register_wh)
            await self._log.begin_period(event.transaction_id, reading)

    async def create_bill(self, event: TransactionEvent) -> Bill | None:
        """Make, store and publish the bill of a transaction from its Ended event; None if it has no prices.

        An existing bill is published and not changed: its input is not kept as long as the bill.

        Raises:
            StorageError: the bill is not stored; call again.
        """
        register, transaction = event.register, await self._log.get(event.transaction_id)
        end_wh = register.energy_import_wh if register is not None else None
        bill = transaction.bill if transaction is not None else None
        if bill is None and (bill := await self._bill(event.transaction_id, end_wh, event.lasted_s)) is not None:
            await self._log.store_bill(event.transaction_id, bill)
        if bill is not None:
            self.billed.publish(FinalBill(event.transaction_id, bill))
        return bill

    async def follow_tariff(self) -> AsyncGenerator[tuple[int, str, PeriodReading]]:
        """If the tariff period has changed, read and store a register for each running transaction.

        Yields (EVSE, transaction, reading) for each one stored.

        Raises:
            StorageError: not all of them are stored; call again.
        """
        await self._write_begins()
        if not self.period_changed:
            return
        period = self._periods.tariff_period
        for assembly in self._evses.values():
            evse, signing = assembly.evse, assembly.signing
            if (transaction := evse.state.transaction) is None or not transaction.recorded:
                continue
            stored_periods = await self._log.periods(transaction.id)
            if (
                stored_periods and stored_periods[-1].period == period
            ):  # already stored, at its begin or before the disk refused
                continue
            reading = await evse.meter.read_now()
            register_wh = reading.energy_import_wh if reading is not None else None
            period_reading = PeriodReading(period, self._clock.now(), register_wh)
            await self._log.begin_period(transaction.id, period_reading)
            if signing is not None and reading is not None:
                await signing.sign_tariff_change(transaction.id, reading)
            yield evse.id, transaction.id, period_reading
        self._period = period

    async def bill_so_far(self, evse: Evse) -> Bill | None:
        """Calculate the bill of the running transaction of an EVSE up to now; stores and publishes nothing.

        None: no transaction runs, or it has no prices.

        Raises:
            StorageError: the records cannot be read.
        """
        transaction, latest = evse.state.transaction, evse.meter.latest
        if transaction is None or self._unpriced.get(evse.id) == transaction.id:
            return None
        logged = await self._log.get(transaction.id)
        if logged is not None and logged.prices is None:
            self._unpriced[evse.id] = transaction.id  # displays ask every few seconds
        return await self._bill_of(logged, latest.energy_import_wh if latest else None, evse.lasted_s)

    async def _bill(self, transaction_id: str, end_wh: float | None, lasted_s: float | None) -> Bill | None:
        return await self._bill_of(await self._log.get(transaction_id), end_wh, lasted_s)

    async def _bill_of(
        self, logged: LoggedTransaction | None, end_wh: float | None, lasted_s: float | None
    ) -> Bill | None:
        if logged is None or logged.prices is None:
            return None
        transaction_id = logged.transaction_id
        # Durations by elapsed time, not wall time: the clock may have been set in between.
        states = [
            (timedelta(seconds=event.lasted_s), event.charging_state is ChargingState.SUSPENDED_EV)
            for event in await self._outbox.events(transaction_id)
            if event.charging_state is not None and event.lasted_s is not None
        ]
        lasted = timedelta(seconds=lasted_s or 0.0)
        objection: str | None = None
        if logged.begin.substitute or logged.end.substitute:
            objection = "a register is what the meter showed before it fell silent"
        charge = BillableCharge(
            await self._log.periods(transaction_id),
            end_wh,
            duration=lasted,
            idle=idle_time(states, lasted),
            objection=objection,
        )
        return calculate_bill(logged.prices, charge)
