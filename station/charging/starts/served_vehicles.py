"""Which connected vehicles have been authorized, or stopped, since they were connected."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from station.charging.evse_state import ev_connected
from station.charging.vehicle_state import Communication

if TYPE_CHECKING:
    from station.charging.evse import Evse


class ServedVehicles:
    """Remembers at which EVSEs the connected vehicle has had an authorization since it was connected.

    Such a vehicle is not charged again by itself, and a new one comes first when an EVSE is chosen. One that
    communicates may ask for it again if it has ended the charge itself, such as for a timer of its own.
    """

    def __init__(self, evses: Iterable[Evse]) -> None:
        self._served: set[int] = set()
        self._authorized: set[int] = set()
        """EVSEs whose vehicle is authorized"""
        self._stopped: set[int] = set()
        """EVSEs where the charge of the vehicle was stopped by card, CSMS or fault"""
        for evse in evses:
            evse.state_changed.subscribe(partial(self._update, evse))

    def at(self, evse_id: int) -> bool:
        """Whether the vehicle that is connected to an EVSE has been authorized; False without a vehicle."""
        return evse_id in self._served

    def stopped_at(self, evse_id: int) -> bool:
        """Whether the charge of the vehicle that is connected to an EVSE was stopped, and not by the vehicle."""
        return evse_id in self._stopped

    def _update(self, evse: Evse, _: None) -> None:
        if not ev_connected(evse.state):
            for evse_ids in (self._served, self._authorized, self._stopped):
                evse_ids.discard(evse.id)
        elif evse.state.authorization is not None:
            self._served.add(evse.id)
            self._authorized.add(evse.id)
            self._stopped.discard(evse.id)
        elif evse.id in self._authorized:
            self._authorized.discard(evse.id)
            if evse.state.vehicle.communication is not Communication.ENDED:
                self._stopped.add(evse.id)
