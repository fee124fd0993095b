"""The factory reset: the station has to be commissioned again, and everyone known before loses every right at it.

Billing data stays: transactions, signed records, keys, the register journal, the security log and what is still to be
sent. A reset that a full disk or a power cut broke off is completed by another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from station.core.model import StoppedReason, TriggerReason
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.maintenance.commissioning.activation import StationActivation
    from station.security.security_events import SecurityEvents

_OPENS_WITHIN_S: Final = 15.0

Clear = Callable[[], Awaitable[None]]
"""deletes something that a factory reset deletes; deleting it again does no harm. Raises StorageError or OSError"""


class ResetNotSafeError(Exception):
    """A contactor does not open, or a transaction does not end: nothing is deleted, and nobody charges until it is."""


class FactoryReset:
    """Resets a station to the state in which it left the factory."""

    def __init__(
        self,
        station: ChargingStation,
        activation: StationActivation,
        clears: Sequence[Clear],
        security_events: SecurityEvents,
        clock: Clock,
    ) -> None:
        """`clears` are called in order, after everything has stopped; one that fails ends the reset."""
        self._station = station
        self._activation = activation
        self._clears = tuple(clears)
        self._security_events = security_events
        self._clock = clock

    async def reset(self, who: str) -> None:
        """Open the contactors, end all transactions, and delete people and settings; `who` goes into the security log.

        The station has to be restarted afterwards.

        Raises:
            NotSafeError: as it says.
            StorageError: not all is reset; try again.
        """
        await self._activation.reset()
        evses = tuple(self._station.evses.values())
        for evse in evses:
            _stop(evse)
        for evse in evses:
            await self._stopped(evse)
        try:
            for clear in self._clears:
                await clear()
        except OSError as error:
            raise StorageError(f"not all is reset: {error.strerror}") from error
        await self._security_events.report(
            SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"factory reset by {who}"
        )

    async def _stopped(self, evse: Evse) -> None:
        """Wait until its contactor is open and its transaction has ended.

        Raises:
            NotSafeError: they are not in time.
        """
        deadline_s = self._clock.monotonic() + _OPENS_WITHIN_S
        seen = evse.changed.count
        while evse.state.seen.contactor_closed or evse.transaction_id is not None:
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0.0:
                raise ResetNotSafeError(f"EVSE {evse.id}: the contactor does not open, or the transaction does not end")
            await evse.changed.wait_for(seen, self._clock, left_s)
            seen = evse.changed.count


def _stop(evse: Evse) -> None:
    """End the authorization of an EVSE, and a transaction that would outlive it while the vehicle is plugged in."""
    evse.release_lock()  # nobody is known any more whom it could be kept for
    if evse.state.authorization is not None or evse.transaction_id is not None:
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, ends_transaction=True)
