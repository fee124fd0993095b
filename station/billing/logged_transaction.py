"""A transaction in the transaction log: begin and end registers, prices, and cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from foundation.frozen import Frozen
from metering.reading import Reading
from station.billing.currency import round_amount
from station.billing.price import Bill, PriceList


class LoggedRegister(Frozen):
    """The register at the begin or end of a transaction, as recorded."""

    energy_wh: Decimal | None
    """None: the meter was not read"""
    read_at: datetime | None
    time: str | None
    """time status as its OCMF letter; None: not recorded"""
    substitute: bool
    """an earlier value, since the meter did not answer: not valid for billing"""


class StatedCost(Frozen):
    """The total cost of a transaction: sent by the CSMS, or that of the bill."""

    amount: Decimal
    currency: str


class TransactionKind(StrEnum):
    """How a transaction counts when charges are added up."""

    CHARGE = "charge"
    """it took energy, or still runs, or its registers are not certain"""
    TEST = "test"
    """the installer's test session during commissioning"""
    NO_ENERGY = "no-energy"
    """it has ended, and its registers at begin and end are equal"""


class LoggedTransaction(Frozen):
    """One row of the transaction log: a running or ended transaction."""

    transaction_id: str
    number: int
    """running number at this station"""
    evse_id: int
    token: str | None
    """the complete id token, not shortened"""
    token_type: str | None
    began_at: datetime
    ended_at: datetime | None
    stopped_reason: str | None
    begin: LoggedRegister
    end: LoggedRegister
    charging_s: int | None
    """seconds of charging"""
    corrected_s: float | None
    """seconds added to its times, which were recorded before the clock was set; None: not corrected"""
    meter_serial: str | None
    prices: PriceList | None
    """the owner's prices at its begin; None: there were none"""
    bill: Bill | None
    """by these prices, made at the end; None: it is running, or has no prices"""
    stated_cost: StatedCost | None = None
    """the total cost that the CSMS sent; None: it sent none"""
    lasted_s: float | None = None
    """duration in seconds by elapsed time; None: still running, or recorded by an older version"""
    test_session: bool = False
    """whether it was the installer's test session; False also if it was recorded by an older version"""

    @property
    def kind(self) -> TransactionKind:
        """How it counts; substitute registers do not prove that it took no energy, so that it counts as a charge."""
        if self.test_session:
            return TransactionKind.TEST
        substitute = self.begin.substitute or self.end.substitute
        if self.ended_at is not None and self.energy_wh == 0 and not substitute:
            return TransactionKind.NO_ENERGY
        return TransactionKind.CHARGE

    @property
    def cost(self) -> StatedCost | None:
        """The total cost: as sent by the CSMS, else by the owner's prices.

        None: it has no prices, is running, or must not be billed (`objection`).
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
        """Why the owner's bill is not valid, as a sentence; None if it is, there is none, or the CSMS sent the cost."""
        return self.bill.objection if self.bill is not None and self.stated_cost is None else None

    @property
    def energy_wh(self) -> Decimal | None:
        """The energy in Wh: end register less begin register; None while one of them is not known."""
        if self.begin.energy_wh is None or self.end.energy_wh is None:
            return None
        return self.end.energy_wh - self.begin.energy_wh

    def energy_so_far_wh(self, latest: Reading | None) -> float | None:
        """The energy in Wh up to the latest reading of the meter, or up to the end; None: not measured."""
        if self.ended_at is not None:
            return float(self.energy_wh) if self.energy_wh is not None else None
        begin_wh, now_wh = self.begin.energy_wh, latest.energy_import_wh if latest is not None else None
        return max(0.0, now_wh - float(begin_wh)) if now_wh is not None and begin_wh is not None else None

    @property
    def duration(self) -> timedelta | None:
        """The duration, unaffected by clock changes; None: still running.

        If a power cut ended the transaction: until its last event. For one recorded by an older version, by wall time.
        """
        if self.lasted_s is not None:
            return timedelta(seconds=self.lasted_s)
        return self.ended_at - self.began_at if self.ended_at is not None else None
