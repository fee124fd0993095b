"""The simulated SECC of one EVSE: connects the communication controller of its vehicle with the station."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from foundation.events import Event
from simulator.evcc import SimulatedEvcc
from station.core.vehicle_link import ServiceOffer, VehicleLinkError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from simulator.communication_model import CommunicationModel
    from simulator.vehicle import Vehicle
    from station.core.vehicle_link import VehicleEvent, VehicleOrder

_MOST_WAITING: Final = 1_000


class SimulatedSecc:
    """A `VehicleLink` to simulated vehicles; test benches may stop and start it, or report anything by it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: asyncio.Queue[VehicleEvent | None] | None = None
        """what the station has not taken yet; None: it does not listen"""
        self._alive = True
        self._offer: ServiceOffer | None = None
        """what vehicles are offered now"""
        self.evcc: SimulatedEvcc | None = None
        """the controller of the vehicle that is plugged in; None: none, or one that does not communicate"""
        self.reported: Event[VehicleEvent] = Event()
        """published with each event that the station gets"""
        self.orders: deque[VehicleOrder] = deque(maxlen=_MOST_WAITING)
        """the last orders of the station"""

    def connect(self, vehicle: Vehicle, model: CommunicationModel) -> SimulatedEvcc:
        """Connect the controller of a vehicle that is plugged in."""
        self.evcc = evcc = SimulatedEvcc(vehicle, model, self.report, self._clock)
        if self._offer is not None:
            evcc.receive(self._offer)
        return evcc

    def report(self, event: VehicleEvent) -> bool:
        """Report an event to the station; False: it does not listen, or takes nothing more."""
        if self._events is None or not self._alive or self._events.qsize() >= _MOST_WAITING:
            return False
        self._events.put_nowait(event)
        self.reported.publish(event)
        return True

    def stop(self) -> None:
        """Let the SECC end, as a process that is killed: its session and link end."""
        self._alive = False
        if self._events is not None:
            self._events.put_nowait(None)
        self._note_link(alive=False)

    def start(self) -> None:
        """Start the SECC again."""
        self._alive = True

    # VehicleLink

    async def events(self) -> AsyncGenerator[VehicleEvent | None]:
        """Yield None, then each event.

        Raises:
            VehicleLinkError: `stop` was called.
        """
        if not self._alive:
            raise VehicleLinkError("the simulated SECC does not run")
        events: asyncio.Queue[VehicleEvent | None] = asyncio.Queue()
        self._events, self._offer = events, None
        try:
            yield None
            self._note_link(alive=True)
            while True:
                event = await events.get()
                if event is None:
                    raise VehicleLinkError("the simulated SECC has ended")
                yield event
        finally:
            if self._events is events:
                self._events = None
                self._note_link(alive=False)

    async def send(self, order: VehicleOrder, /) -> None:
        """Pass an order to the controller of the vehicle.

        Raises:
            VehicleLinkError: `stop` was called.
        """
        if not self._alive:
            raise VehicleLinkError("the simulated SECC does not run")
        self.orders.append(order)
        if isinstance(order, ServiceOffer):
            self._offer = order
        if self.evcc is not None:
            self.evcc.receive(order)

    def _note_link(self, *, alive: bool) -> None:
        if self.evcc is not None:
            self.evcc.note_link(alive=alive)
