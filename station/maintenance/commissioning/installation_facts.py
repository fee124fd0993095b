"""Reads the facts of the installation that the commissioning steps depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import json

from foundation.table import all_values
from station.maintenance.commissioning.steps import Installation

if TYPE_CHECKING:
    from energy.grid_view import GridView
    from station.charging.charging_station import ChargingStation
    from station.configuration.installation_file import Configuration
    from station.security.network_profiles import NetworkProfiles


class InstallationFacts:
    """Collects the facts of the running station that commissioning steps depend on."""

    def __init__(
        self,
        configuration: Configuration,
        station: ChargingStation,
        grid: GridView,
        network_profiles: NetworkProfiles,
    ) -> None:
        self.configuration = configuration
        """the configuration in force"""
        self._station = station
        self._grid = grid
        self._network_profiles = network_profiles

    def read(self) -> Installation:
        """Collect the facts as they are now, from configuration, network profile and current selector; no I/O."""
        configuration = self.configuration
        grid, contact = configuration.grid, configuration.grid_order
        profile = self._network_profiles.profile
        limits = None
        if grid is not None:
            limits = f"{grid.max_current_a} {grid.safe_current_a} {grid.breaker} {grid.sharing}"
        return Installation(
            identity=configuration.station.identity,
            selector_a=self._grid.selector_a,
            csms_url=profile.url if profile is not None else None,
            meter=f"{grid.phases} {json.encode(all_values(grid.source)).decode()}" if grid is not None else None,
            clamps=grid.source.clamp_count if grid is not None else 0,
            contact=f"{contact.polarity} {contact.line} {contact.opposite_line}" if contact is not None else None,
            limits=limits,
            shunt_trip=configuration.protection.shunt_trip != "none",
            learns=tuple(
                evse.id
                for evse in self._station.evses.values()
                if evse.layout.rotation is None and grid is not None and grid.phases == 3
            ),
        )
