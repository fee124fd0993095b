"""The bills of a station as the CSMS knows them: from the stored transaction events that it has answered."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen
from station.core.model import EventType, TransactionEvent
from station.storage.payloads import event_from_text

_SELECT_ANSWERED: Final = "SELECT payload FROM events WHERE settled_at IS NOT NULL AND given_up = 0 ORDER BY id"


class AnsweredBills(Frozen):
    """The energy that a CSMS bills, by the transaction events that it has answered."""

    bills: dict[str, float]
    """energy of each ended transaction in Wh, by transactionId"""
    unfinished: int
    """transactions of which it has answered an event, but not the last one"""


def read_answered_bills(storage: Path) -> AnsweredBills:
    """Read the bills from the storage of a station that does not run.

    Raises:
        sqlite3.Error: the storage cannot be read.
    """
    begins: dict[str, float] = {}
    bills: dict[str, float] = {}
    transactions: set[str] = set()
    for event in _answered_events(storage):
        transactions.add(event.transaction_id)
        if event.register is None:
            continue
        if event.event_type is EventType.ENDED:
            bills[event.transaction_id] = event.register.energy_import_wh
        else:
            begins.setdefault(event.transaction_id, event.register.energy_import_wh)
    billed = {
        transaction_id: end_wh - begins[transaction_id]
        for transaction_id, end_wh in bills.items()
        if transaction_id in begins
    }
    return AnsweredBills(billed, len(transactions - billed.keys()))


def _answered_events(storage: Path) -> list[TransactionEvent]:
    database = storage / "borne.sqlite"
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [event_from_text(payload) for (payload,) in connection.execute(_SELECT_ANSWERED)]
