"""The EVSEs of a station, as variable monitoring sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foundation.clock import Clock
    from foundation.events import Event
    from foundation.supervision import AuxiliaryCalls
    from station.charging.evse import Evse
    from station.charging.recording import RunningTransactions

_LATE_VALUE_WINDOW_S: Final = 10.0
"""time after the end of a transaction in which measured values still belong to it, such as the power falling to 0"""


class StationEvses:
    """Implements `MonitoredEvses` with the EVSEs of a station."""

    def __init__(
        self, evses: Mapping[int, Evse], running: RunningTransactions, clock: Clock, auxiliary: AuxiliaryCalls
    ) -> None:
        self._evses = evses
        self._running = running
        self._clock = clock
        self._last_transaction: dict[int, tuple[str, float]] = {}
        """by EVSE id: the id of the last transaction, and when it was last known to be open (Clock.monotonic)"""
        auxiliary.subscribe(running.changed, self._note_transaction)

    @property
    def transaction_changed(self) -> Event[int]:
        """Published with the id of an EVSE when a transaction begins or ends there."""
        return self._running.changed

    def has_transaction(self, evse_id: int | None) -> bool:
        """Return whether a transaction runs at this EVSE; None: at any."""
        return self._running.any if evse_id is None else self._running.runs_at(evse_id)

    def transaction_id(self, evse_id: int, *, measured: bool) -> str | None:
        """The id of the transaction at this EVSE; None: there is none.

        `measured`: also of one that ended a moment ago, since measured values are late (TC_N_20_CS).
        """
        if (evse := self._evses.get(evse_id)) is not None and (transaction := evse.state.transaction) is not None:
            return transaction.id
        if not measured:
            return None
        last_id, last_open_s = self._last_transaction.get(evse_id, (None, 0.0))
        return last_id if self._clock.monotonic() - last_open_s <= _LATE_VALUE_WINDOW_S else None

    async def wait_observed(self) -> None:
        """Wait until the board of each EVSE has answered, or failed."""
        for evse in self._evses.values():
            change_count = evse.changed.count
            while not evse.observed:
                change_count = await evse.changed.wait(change_count)

    def _note_transaction(self, evse_id: int) -> None:
        evse = self._evses.get(evse_id)
        if evse is not None and evse.state.transaction is not None:
            self._last_transaction[evse_id] = (evse.state.transaction.id, self._clock.monotonic())
        elif evse_id in self._last_transaction:
            self._last_transaction[evse_id] = (self._last_transaction[evse_id][0], self._clock.monotonic())
