"""A transaction as the log of transactions tells it: registers at both ends, prices, and what it cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from foundation.frozen import frozen
from station.billing.currency import round_amount
from station.billing.price import Bill, PriceList


@frozen
class LoggedRegister:
    """A register at one end of a transaction, as it was recorded."""

    energy_wh: Decimal | None
    """None: the meter was not read"""
    read_at: datetime | None
    time: str | None
    """how good the time is, in the letters of OCMF; None: not recorded"""
    substitute: bool
    """the meter was silent then: nothing to bill by"""


@frozen
class StatedCost:
    """What somebody says that a transaction cost in all."""

    amount: Decimal
    currency: str


@frozen
class LoggedTransaction:
    """One transaction of the log."""

    transaction_id: str
    number: int
    evse_id: int
    token: str | None
    token_type: str | None
    began_at: datetime
    ended_at: datetime | None
    stopped_reason: str | None
    begin: LoggedRegister
    end: LoggedRegister
    charging_s: int | None
    corrected_s: float | None
    """it was recorded with a time that nobody had vouched for, and so much was added later"""
    meter_serial: str | None
    prices: PriceList | None
    bill: Bill | None
    stated_cost: StatedCost | None = None
    lasted_s: float | None = None
    """as a clock measured it that nobody sets; None: it runs, or was recorded before that was measured"""

    @property
    def cost(self) -> StatedCost | None:
        """What it cost in all: as the CSMS said, else by the owner's prices.

        None: nothing had a price, it runs, or something speaks against asking anybody for it.
        """
        if self.stated_cost is not None:
            return StatedCost(
                round_amount(self.stated_cost.amount, self.stated_cost.currency), self.stated_cost.currency
            )
        if self.bill is None or self.bill.objection is not None:
            return None
        return StatedCost(self.bill.total, self.bill.currency)

    @property
    def objection(self) -> str | None:
        """Why nothing can be asked from anybody, as a sentence; None: nothing speaks against it."""
        return self.bill.objection if self.bill is not None and self.stated_cost is None else None

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
