"""Shared components for recording transactions, and the set of EVSEs with a running transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from station.core.csms import Csms
    from station.core.station_time import TimeStatusSource
    from station.storage.outbox import Outbox


class RunningTransactions:
    """The running transactions of the station, by EVSE, for the samplers and for monitors."""

    def __init__(self) -> None:
        self._transactions: dict[int, str] = {}
        self.changed: Event[int] = Event()
        """a transaction began or ended at the EVSE with this id; its state has changed already"""

    @property
    def any(self) -> bool:
        """Whether a transaction runs at any EVSE of the station."""
        return bool(self._transactions)

    def update(self, evse_id: int, transaction_id: str | None) -> None:
        """Set the transaction that runs at an EVSE; None: none."""
        before = self._transactions.get(evse_id)
        if transaction_id is not None:
            self._transactions[evse_id] = transaction_id
        else:
            self._transactions.pop(evse_id, None)
        if transaction_id != before:
            self.changed.publish(evse_id)

    def runs_at(self, evse_id: int) -> bool:
        """Return whether a transaction runs at this EVSE."""
        return evse_id in self._transactions


class Recording(Frozen):
    """The components that all EVSEs share to record transaction events: outbox, CSMS and reliability of the clock."""

    outbox: Outbox
    csms: Csms
    """for the `offline` flag of events"""
    time: TimeStatusSource
