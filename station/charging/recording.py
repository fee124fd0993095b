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
    """At which EVSEs of the station a transaction runs, for the samplers and for monitors.

    In memory only; each EVSE updates its own entry.
    """

    def __init__(self) -> None:
        self._evse_ids: set[int] = set()
        self.changed: Event[int] = Event()
        """a transaction began or ended at the EVSE with this id; its state has changed already"""

    @property
    def any(self) -> bool:
        """Whether a transaction runs at any EVSE of the station."""
        return bool(self._evse_ids)

    def update(self, evse_id: int, *, running: bool) -> None:
        """Set whether a transaction runs at this EVSE."""
        if running:
            self._evse_ids.add(evse_id)
        else:
            self._evse_ids.discard(evse_id)
        self.changed.publish(evse_id)

    def runs_at(self, evse_id: int) -> bool:
        """Return whether a transaction runs at this EVSE."""
        return evse_id in self._evse_ids


class Recording(Frozen):
    """What all EVSEs share to record transaction events: outbox, CSMS and reliability of the clock."""

    outbox: Outbox
    csms: Csms
    """for the `offline` flag of events"""
    time: TimeStatusSource
    running: RunningTransactions
    """at which EVSEs a transaction runs"""
