"""Which connected vehicles have been authorized since they were connected."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from station.charging.evse_state import ev_connected

if TYPE_CHECKING:
    from station.charging.evse import Evse


class ServedVehicles:
    """Remembers at which EVSEs the connected vehicle has had an authorization since it was connected.

    Such a vehicle is not charged again by itself, and a new one comes first when an EVSE is chosen.
    """

    def __init__(self, evses: Iterable[Evse]) -> None:
        self._served: set[int] = set()
        for evse in evses:
            evse.state_changed.subscribe(partial(self._update, evse))

    def at(self, evse_id: int) -> bool:
        """Whether the vehicle that is connected to an EVSE has been authorized; False without a vehicle."""
        return evse_id in self._served

    def _update(self, evse: Evse, _: None) -> None:
        if not ev_connected(evse.state):
            self._served.discard(evse.id)
        elif evse.state.authorization is not None:
            self._served.add(evse.id)
