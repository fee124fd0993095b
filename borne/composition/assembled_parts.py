"""The parts of one assembled station, by the function that creates them; only the composition uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from borne.composition.billing import BillingParts
    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from borne.composition.display_messages import DisplayParts
    from borne.composition.load import LoadParts
    from borne.composition.maintenance import MaintenanceParts
    from borne.composition.vehicle_parts import VehicleParts
    from station.interfaces.parts import StationParts


class AssembledParts(Frozen):
    """All parts of one run of a station except OCPP, which is built on them, by the function that creates them."""

    core: CoreParts
    charging: ChargingParts
    load: LoadParts
    vehicle: VehicleParts
    billing: BillingParts
    maintenance: MaintenanceParts
    display: DisplayParts

    def add_to(self, parts: StationParts) -> None:
        """Add the parts that routes of the API use to `parts`, by calling `add_to` of each group."""
        for group in (self.core, self.charging, self.load, self.vehicle, self.billing, self.maintenance, self.display):
            group.add_to(parts)
