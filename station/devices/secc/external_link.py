"""Creates the link to an SECC in a process of its own; loaded by every station, unlike the link itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.installation_file.secc_tables import ExternalSeccConfig
    from station.core.vehicle_link import VehicleLink


def external_link(config: ExternalSeccConfig, evse_id: int, clock: Clock) -> VehicleLink:
    """Create the link of an EVSE to the SECC at the configured socket, not connected."""
    from station.devices.secc.external_secc import ExternalSecc  # late: few have an SECC

    return ExternalSecc(config.socket, evse_id, clock)
