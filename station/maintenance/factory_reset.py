"""Factory reset: the station must be commissioned again, and all users lose their rights.

Billing data stays: transactions, signed records, keys, the register journal, the security log and unsent messages. A
reset interrupted by a full disk or a power cut is completed by another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from foundation.expected_error import ExpectedError
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
"""deletes one kind of data; may be called again. Raises StorageError or OSError"""


class ResetNotSafeError(ExpectedError):
    """A factory reset failed: a contactor does not open, or a transaction does not end.

    Nothing was deleted, and charging stays blocked.
    """


class FactoryReset:
    """Resets the station to factory state: stops charging, then deletes users and settings; billing data stays."""

    def __init__(
        self,
        station: ChargingStation,
        activation: StationActivation,
        clears: Sequence[Clear],
        security_events: SecurityEvents,
        clock: Clock,
    ) -> None:
        """`clears` are called in order, after all charging has stopped; an error in one ends the reset."""
        self._station = station
        self._activation = activation
        self._clear_actions = tuple(clears)
        self._security_events = security_events
        self._clock = clock

    async def reset(self, requester: str) -> None:
        """Deactivate the station, stop all charging, delete users and settings, and report a security event.

        `requester` is recorded in the security log. The caller must restart the station afterwards.

        Raises:
            ResetNotSafeError: charging did not stop in time.
            StorageError: not everything is deleted; try again.
        """
        await self._activation.reset()
        evses = tuple(self._station.evses.values())
        for evse in evses:
            _request_stop(evse)
        for evse in evses:
            await self._wait_stopped(evse)
        try:
            for clear in self._clear_actions:
                await clear()
        except OSError as error:
            raise StorageError(f"not all data could be deleted: {error.strerror}") from error
        await self._security_events.report(
            SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"factory reset by {requester}"
        )

    async def _wait_stopped(self, evse: Evse) -> None:
        """Wait until the contactor is open and the transaction has ended.

        Raises:
            ResetNotSafeError: not in time.
        """
        deadline_s = self._clock.monotonic() + _OPENS_WITHIN_S
        change_count = evse.changed.count
        while evse.state.observation.contactor_closed or evse.transaction_id is not None:
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0.0:
                raise ResetNotSafeError(f"EVSE {evse.id}: the contactor does not open, or the transaction does not end")
            await evse.changed.wait_for(change_count, self._clock, left_s)
            change_count = evse.changed.count


def _request_stop(evse: Evse) -> None:
    """End the authorization of an EVSE, and its transaction even if that would continue until the vehicle leaves."""
    evse.release_lock()  # its holder is not known any more
    if evse.state.authorization is not None or evse.transaction_id is not None:
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, ends_transaction=True)
