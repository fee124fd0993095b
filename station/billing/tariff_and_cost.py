"""Shows drivers tariff, running cost and total cost, as sent by the CSMS or by the owner's prices.

Block I of OCPP 2.0.1. Texts of the CSMS take precedence over the owner's prices; if the CSMS sends none, the fallback
messages of the settings are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from foundation.bounds import MONEY
from foundation.frozen import Frozen
from foundation.supervision import run_together
from foundation.waiting import Flag
from station.billing.currency import format_amount, round_amount
from station.billing.logged_transaction import StatedCost
from station.charging.evse_state import ev_connected
from station.core.driver_messages import Display, DisplayedMessage, DisplayTopic
from station.core.model import EventType, MessageContent, TransactionEvent, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.billing import Billing, FinalBill
    from station.billing.price import Bill, PriceList
    from station.billing.price_settings import PriceSettings
    from station.billing.tariff_message import TariffMessages
    from station.billing.transaction_log import TransactionLog
    from station.charging.evse import Evse
    from station.charging.evse_state import Authorization

MAX_COST = Decimal(int(MONEY.highest))
"""the CSMS must not send a higher cost"""
_TOTAL_AFTER_LEAVING_S = 10.0
"""how long a driver whose transaction ended by unplugging can read the total that the CSMS then sends (I03.FR.01)"""
_MAX_TOTALS = 100
"""most unsaved costs kept while the disk refuses; totals in responses to an Ended event are not limited"""


class DisplayedCost(Frozen):
    """The final or running cost of a transaction, as its driver may see it."""

    transaction_id: str
    amount: Decimal
    currency: str
    final: bool
    from_csms: bool
    """False: calculated here from the owner's prices"""


class _Account(Struct):
    """The cost state of the newest transaction of an EVSE."""

    transaction_id: str
    csms_cost: Decimal | None = None
    """cost sent by the CSMS"""
    ended: bool = False
    awaits_total: bool = False
    """the CSMS was online at the end, and its response is pending"""
    total_received: bool = False
    bill: Bill | None = None
    """the final bill, made at the end of the transaction"""
    interim_bill: Bill | None = None
    """the latest interim bill, shown until the final one is made"""
    driver_left: bool = False
    """the driver had left before the end"""
    total_after_leaving: bool = False
    """the transaction ended by unplugging, and the CSMS has still to send its total"""

    @property
    def settled(self) -> bool:
        """Whether the transaction has ended, and its total is known or will not come in time."""
        return self.ended and not self.awaits_total


class PriceSources(Frozen):
    """Source of bills and price messages for `TariffAndCost`, and store of the total costs of the CSMS."""

    billing: Billing
    messages: TariffMessages
    log: TransactionLog


class TariffAndCost:
    """Decides which tariff and cost each EVSE shows to its driver, and stores the total costs that the CSMS sends."""

    def __init__(
        self, evses: Mapping[int, Evse], sources: PriceSources, settings: PriceSettings, clock: Clock, *, has_csms: bool
    ) -> None:
        self.display = Display(clock)
        self._evses = evses
        self._billing = sources.billing
        self._messages = sources.messages
        self._log = sources.log
        self._totals: dict[str, StatedCost] = {}
        """totals of the CSMS not yet stored, by transaction"""
        self._due = Flag()
        self._settings = settings
        self._clock = clock
        self._has_csms = has_csms
        self._accounts: dict[int, _Account] = {}
        self._own_tariffs: dict[int, PriceList] = {}
        """by EVSE: the owner's prices if its display shows them"""

    async def run(self) -> None:
        """Show the tariff at each authorization, clear it after the driver has left, store totals; until cancelled.

        Raises:
            StorageError: a total is not stored; nothing is lost, the caller retries later.
        """
        watchers = {f"display-{evse.id}": self._watch_evse(evse) for evse in self._evses.values()}
        await run_together({**watchers, "reported-costs": self._write_totals()})

    async def cost(self, evse: Evse) -> DisplayedCost | None:
        """The cost of the newest transaction of an EVSE; None if no cost is to be shown to its driver.

        Also None once the driver has left, and if the bill is not valid: costs that cannot be billed are not shown.

        Raises:
            StorageError: the records cannot be read.
        """
        account = self._accounts.get(evse.id)
        if account is None or account.driver_left or not _driver_present(evse):
            return None
        if not self._settings.cost_enabled or self._shows_fallback(account):
            return None
        if account.csms_cost is not None:
            currency = self._settings.currency
            return DisplayedCost(
                account.transaction_id,
                round_amount(account.csms_cost, currency),
                currency,
                account.total_received,
                True,
            )
        if not account.ended:
            account.interim_bill = await self._billing.bill_so_far(evse)
        bill = account.bill or account.interim_bill
        if bill is None or bill.objection is not None:
            return None
        final = account.settled and account.bill is not None
        return DisplayedCost(account.transaction_id, bill.total, bill.currency, final, False)

    async def messages_for(self, evse: Evse) -> list[DisplayedMessage]:
        """The messages on the display of an EVSE, including the running cost by the owner's prices.

        Raises:
            StorageError: as `cost`.
        """
        enabled = {DisplayTopic.TARIFF: self._settings.tariff_enabled, DisplayTopic.COST: self._settings.cost_enabled}
        messages = [message for message in self.display.of(evse.id) if enabled[message.topic]]
        if all(message.topic is not DisplayTopic.COST for message in messages):
            cost = await self.cost(evse)
            if cost is not None and not cost.final:
                content = MessageContent(format_amount(cost.amount, cost.currency))
                messages.append(DisplayedMessage(DisplayTopic.COST, content, self._clock.now(), cost.transaction_id))
        return messages

    def own_tariff(self, evse: Evse) -> PriceList | None:
        """The owner's prices if the tariff on the display of an EVSE states them, else None."""
        states_tariff = any(message.topic is DisplayTopic.TARIFF for message in self.display.of(evse.id))
        return self._own_tariffs.get(evse.id) if states_tariff and self._settings.tariff_enabled else None

    # From the CSMS

    def set_tariff(self, transaction_id: str, content: MessageContent) -> None:
        """Show the tariff that the CSMS sent for a running transaction (I01.FR.03, I06.FR.03); else ignore it.

        One that is longer than PersonalMessageSize is ignored too.
        """
        found = self._account_of(transaction_id)
        if found is not None and not found[1].ended and self._messages.is_short_enough(content):
            self._own_tariffs.pop(found[0], None)
            self.display.show(found[0], DisplayTopic.TARIFF, content, transaction_id, personal=True)

    def set_cost(self, transaction_id: str, amount: Decimal) -> None:
        """Show the cost that the CSMS sent: the running cost, or the total if the transaction has ended (I02.FR.03).

        A total is also stored in the transaction log. `amount`: in the currency of the settings.
        """
        found = self._account_of(transaction_id)
        if found is not None:
            evse_id, account = found
            account.csms_cost, account.total_received = amount, account.ended
            self._display_cost(evse_id, account)
        if (found is None or found[1].ended) and len(self._totals) < _MAX_TOTALS:
            self._note_total(transaction_id, amount)  # no effect on unknown transactions

    def set_running_cost(self, transaction_id: str, amount: Decimal) -> None:
        """Show the running cost from the response to a transaction event (I02.FR.04); ignored after the end."""
        found = self._account_of(transaction_id)
        if found is not None and not found[1].ended:
            self.set_cost(transaction_id, amount)

    def apply_end_response(self, transaction_id: str, total: Decimal | None) -> None:
        """Show and store the total cost from the response to the Ended event, if it contains one (I03.FR.03).

        A missing total does not mean that the charge was free (I03.FR.04).
        """
        if total is not None:
            self._note_total(transaction_id, total)
        found = self._account_of(transaction_id)
        if found is None or not found[1].awaits_total:
            return  # offline at the end: the driver has likely left (I03, remark)
        evse_id, account = found
        account.awaits_total = False
        if total is not None:
            account.csms_cost, account.total_received = total, True
        self._display_cost(evse_id, account)

    def link_lost(self) -> None:
        """Stop waiting for totals, since the link to the CSMS is lost; show bill or fallback message (I05.FR.02)."""
        for evse_id, account in self._accounts.items():
            if account.awaits_total:
                account.awaits_total = False
                self._display_cost(evse_id, account)

    # From the station

    def event_recorded(self, event: TransactionEvent) -> None:
        """Start following the cost of a transaction with its Started event; with Ended, show or await its total."""
        if event.event_type is EventType.STARTED:
            self._accounts[event.evse_id] = _Account(event.transaction_id)
            self.display.clear(event.evse_id, DisplayTopic.COST)
        account = self._accounts.get(event.evse_id)
        if event.event_type is not EventType.ENDED or account is None or account.transaction_id != event.transaction_id:
            return
        account.ended = True
        account.driver_left = event.trigger is TriggerReason.EV_DEPARTED  # I03.FR.05
        account.awaits_total = self._has_csms and not event.offline
        vehicle_left = not ev_connected(self._evses[event.evse_id].state)
        account.total_after_leaving = account.awaits_total and vehicle_left and not account.driver_left
        self._display_cost(event.evse_id, account)

    def _note_total(self, transaction_id: str, amount: Decimal) -> None:
        self._totals[transaction_id] = StatedCost(amount, self._settings.currency)
        self._due.set()

    async def _write_totals(self) -> None:
        while True:
            self._due.clear()
            for transaction_id, total in list(self._totals.items()):
                await self._log.store_stated_cost(transaction_id, total)
                if self._totals[transaction_id] is total:
                    del self._totals[transaction_id]
            await self._due.wait()

    def show_bill(self, final: FinalBill) -> None:
        """Show the total of the final bill, unless a cost or the fallback message of the CSMS is shown or awaited."""
        bill = final.bill
        if (found := self._account_of(final.transaction_id)) is not None:
            found[1].bill = bill
            self._display_cost(*found)

    def _account_of(self, transaction_id: str) -> tuple[int, _Account] | None:
        for evse_id, account in self._accounts.items():
            if account.transaction_id == transaction_id:
                return evse_id, account
        return None

    @property
    def _fallback_text(self) -> str:
        return self._settings.total_cost_fallback_message if self._has_csms else ""

    def _shows_fallback(self, account: _Account) -> bool:
        """Return whether the fallback message is shown instead of a missing total (I05.FR.02)."""
        return account.settled and not account.total_received and bool(self._fallback_text)

    def _display_cost(self, evse_id: int, account: _Account) -> None:
        if account.driver_left:
            self.display.clear(evse_id)
            return
        text = self._cost_text(account)
        if text:
            content, personal = MessageContent(text), account.total_after_leaving
            self.display.show(evse_id, DisplayTopic.COST, content, account.transaction_id, personal=personal)

    def _cost_text(self, account: _Account) -> str:
        """The cost text to show now; empty: leave the display as it is."""
        if self._shows_fallback(account):
            return self._fallback_text
        if account.csms_cost is not None:
            return format_amount(account.csms_cost, self._settings.currency)
        bill = account.bill if account.settled else None
        return format_amount(bill.total, bill.currency) if bill is not None and bill.objection is None else ""

    async def _watch_evse(self, evse: Evse) -> None:
        """Show the tariff when a driver is authorized, and clear the display once the driver has left."""
        last_authorization: Authorization | None = None
        present, left_s = False, self._clock.monotonic()
        while True:
            change_count, was_present = evse.changed.count, present
            authorization, present = evse.state.authorization, _driver_present(evse)
            if was_present and not present:
                left_s = self._clock.monotonic()
                self.display.clear(evse.id)
            if not present and (wait_s := self._total_time_left_s(evse.id, left_s)) > 0.0:
                last_authorization = authorization
                await evse.changed.wait_for(change_count, self._clock, wait_s)
                continue
            if not present:
                self._accounts.pop(evse.id, None)
                self.display.clear(evse.id)
            elif not was_present:
                self._forget_last_driver(evse.id)
            if authorization is not None and not _is_same_authorization(authorization, last_authorization):
                self._show_tariff(evse.id, authorization)
            last_authorization = authorization
            await evse.changed.wait(change_count)

    def _total_time_left_s(self, evse_id: int, left_s: float) -> float:
        """Seconds for which a driver who left at `left_s` (monotonic) can still read or expect the total; else 0."""
        account = self._accounts.get(evse_id)
        if account is None or (account.ended and not account.total_after_leaving):
            return 0.0
        return max(0.0, left_s + _TOTAL_AFTER_LEAVING_S - self._clock.monotonic())

    def _forget_last_driver(self, evse_id: int) -> None:
        """Clear the tariff and the cost of a driver who has left, because the next one is there."""
        account = self._accounts.get(evse_id)
        if account is None or not account.ended:
            self.display.clear(evse_id, DisplayTopic.TARIFF)  # the Started event has cleared the cost
            return
        del self._accounts[evse_id]
        self.display.clear(evse_id)

    def _show_tariff(self, evse_id: int, authorization: Authorization) -> None:
        """Show the tariff after an authorization: the driver's own, or the general one (I01.FR.03, I04.FR.01)."""
        account = self._accounts.get(evse_id)
        if account is not None and account.ended:
            del self._accounts[evse_id]
        self.display.clear(evse_id)
        self._own_tariffs.pop(evse_id, None)
        if (prices := self._messages.own_prices(authorization)) is not None:
            self._own_tariffs[evse_id] = prices
        if (content := self._messages.message(authorization)) is not None:
            personal = self._messages.personal_message(authorization) is not None
            self.display.show(evse_id, DisplayTopic.TARIFF, content, personal=personal)


def _driver_present(evse: Evse) -> bool:
    """Whether an EVSE has a driver: authorized, with a vehicle or an open transaction, or with a cable to fetch."""
    state = evse.state
    in_use = state.authorization is not None or state.transaction is not None or ev_connected(state)
    return in_use or state.lock_held_for is not None


def _is_same_authorization(authorization: Authorization, other: Authorization | None) -> bool:
    return (
        other is not None and authorization.id_token.same_as(other.id_token) and authorization.since_s == other.since_s
    )
