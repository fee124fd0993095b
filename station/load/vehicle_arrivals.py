"""Since when a vehicle is connected and authorized at each EVSE, which is when Relative profiles begin (K01.FR.42)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from station.charging.evse_state import ev_connected

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from foundation.clock import Clock
    from station.charging.evse import Evse


class VehicleArrivals:
    """Follows the EVSEs and keeps the time since which the vehicle at each of them may charge.

    Elapsed time, not wall time: a corrected clock must not switch a Relative profile off. A vehicle that reconnects
    during its transaction keeps its time.
    """

    def __init__(self, evses: Iterable[Evse], clock: Clock) -> None:
        self._clock = clock
        self._arrived_s: dict[int, float] = {}
        for evse in evses:
            evse.state_changed.subscribe(partial(self._update, evse))

    def since(self, evse_id: int) -> datetime:
        """The wall time since which the vehicle may charge; now if there is none."""
        now_s = self._clock.monotonic()
        return self._clock.now() - timedelta(seconds=now_s - self._arrived_s.get(evse_id, now_s))

    def _update(self, evse: Evse, _: None) -> None:
        if is_vehicle_authorized(evse):
            self._arrived_s.setdefault(evse.id, self._clock.monotonic())
        elif evse.transaction_id is None:
            self._arrived_s.pop(evse.id, None)


def is_vehicle_authorized(evse: Evse) -> bool:
    """Return whether a vehicle is connected and authorized."""
    return ev_connected(evse.state) and evse.state.authorization is not None
