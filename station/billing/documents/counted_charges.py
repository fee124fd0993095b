"""Selects the transactions of a month that its report lists as charges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.billing.logged_transaction import TransactionKind

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction


class CountedCharges(Frozen):
    """The transactions that the report of a month lists, and the numbers of those that it leaves out."""

    charges: Sequence[LoggedTransaction]
    tests: int
    """number of the installer's test sessions"""
    without_energy: int
    """number of charges that took no energy and cost nothing"""


def counted_charges(transactions: Sequence[LoggedTransaction]) -> CountedCharges:
    """Select the charges of a month, without test sessions and without charges that took no energy and cost nothing.

    A charge that took no energy is listed if it costs something, or if its bill is not valid.
    """
    test_count = sum(transaction.kind is TransactionKind.TEST for transaction in transactions)
    charges = [
        transaction
        for transaction in transactions
        if transaction.kind is not TransactionKind.TEST and not _is_free_without_energy(transaction)
    ]
    return CountedCharges(charges, test_count, len(transactions) - test_count - len(charges))


def _is_free_without_energy(transaction: LoggedTransaction) -> bool:
    free = transaction.objection is None and (transaction.cost is None or transaction.cost.amount == 0)
    return transaction.kind is TransactionKind.NO_ENERGY and free
