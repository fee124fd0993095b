"""Creates the communication with vehicles (ISO 15118), for the EVSEs that have an SECC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from borne.composition.vehicle_parts import VehicleCsmsHolder, VehicleParts
from station.vehicle.vehicles import Vehicles

if TYPE_CHECKING:
    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from borne.composition.load import LoadParts


async def create_vehicles(core: CoreParts, charging: ChargingParts, load: LoadParts) -> VehicleParts:
    """Create the communication of each EVSE that has an SECC; without one nothing is loaded.

    Raises:
        StorageError: the records cannot be read.
    """
    links = [
        (config, link)
        for config in core.configuration.evse
        if (link := core.runtime.hardware.vehicle_link(config)) is not None
    ]
    if not links:
        return VehicleParts(Vehicles({}), VehicleCsmsHolder(), None, {}, ())
    from borne.composition.vehicle_communications import create_communications  # late: few have an SECC

    return await create_communications(core, charging, load, links)
