"""What a vehicle has said of itself in its session: identity, protocol, needs, departure, state of charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from station.core.vehicle_link import ChargingNeeds, PaymentOption


class VehicleDetails(Frozen):
    """What is known of the vehicle at an EVSE, for page, API, MQTT, display, meter values and planning."""

    evccid: str | None = None
    """identification of its communication controller; None: it does not communicate"""
    protocol: str | None = None
    """the protocol agreed"""
    supported_protocols: tuple[str, ...] = ()
    """the protocols that it offered, the preferred one first"""
    payment: PaymentOption | None = None
    """how it wants to be authorized"""
    needs: ChargingNeeds | None = None
    """what it has requested last"""
    departs_at: datetime | None = None
    """when it wants to leave (UTC)"""
    soc: float | None = None
    """state of charge of its battery, 0 to 1"""

    @property
    def communicates(self) -> bool:
        """Whether the vehicle speaks a protocol at all."""
        return self.protocol is not None


UNKNOWN_VEHICLE: Final = VehicleDetails()
"""nothing is known: no vehicle communicates"""


class VehicleDetailsHolder:
    """Holds the details of the vehicle at one EVSE."""

    def __init__(self) -> None:
        self.current = UNKNOWN_VEHICLE
        self.changed: Event[None] = Event()
        """published after each change"""

    def update(self, **changes: object) -> None:
        """Replace some of the details."""
        self.set(replace(self.current, **changes))

    def set(self, details: VehicleDetails) -> None:
        """Replace all details; publishes nothing if they are the same."""
        if details != self.current:
            self.current = details
            self.changed.publish(None)
