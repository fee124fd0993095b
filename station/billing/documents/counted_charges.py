"""Which transactions of a month count as charges in its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.billing.logged_transaction import TransactionKind

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction


class CountedCharges(Frozen):
    """The transactions of a month that its report lists, and how many others there were."""

    charges: Sequence[LoggedTransaction]
    tests: int
    """number of the installer's test sessions"""
    empty: int
    """number of charges without energy and cost"""


def counted_charges(transactions: Sequence[LoggedTransaction]) -> CountedCharges:
    """Leave out test sessions, which nobody is asked to pay, and charges without energy and cost.

    One without energy that costs something, or whose bill is not valid, is listed.
    """
    tests = sum(one.kind is TransactionKind.TEST for one in transactions)
    charges = [one for one in transactions if one.kind is not TransactionKind.TEST and not _is_empty(one)]
    return CountedCharges(charges, tests, len(transactions) - tests - len(charges))


def _is_empty(one: LoggedTransaction) -> bool:
    free = one.objection is None and (one.cost is None or one.cost.amount == 0)
    return one.kind is TransactionKind.NO_ENERGY and free
