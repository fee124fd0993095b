"""Creates the simulated hardware of a station: the only module of the composition that imports the simulator.

Imported only if the installation file configures simulated hardware: a station on real hardware does not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.station_runtime import StartError
from simulator.register import RegisterError
from simulator.updater import SimulatedUpdater
from simulator.world import World

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.types import ASGIApp

    from foundation.clock import Clock
    from simulator.routes import SimulatorRoutes
    from station.configuration.installation_file import Configuration
    from station.core.hardware.updater import Updater
    from station.devices.station_hardware import StationHardware
    from station.interfaces.page.navigation import NavigationPlace
    from station.interfaces.parts import StationParts


def simulated_world(configuration: Configuration) -> World:
    """Create the simulated hardware of a station, not started. Its meters keep their registers in its storage.

    Raises:
        StartError: the register of a meter cannot be opened.
    """
    try:
        return World(configuration)
    except RegisterError as error:
        raise StartError(f"station.storage: {error}") from error


def simulated_updater(folder: Path, clock: Clock) -> Updater:
    """Create the simulated firmware updater; each creation counts as a boot, which tries a newly activated image."""
    return SimulatedUpdater(folder, clock)


def world_of(site: StationHardware) -> World:
    """Return the hardware of a station as the simulated world that it is.

    Raises:
        TypeError: the hardware is real.
    """
    if not isinstance(site, World):
        raise TypeError("the station has real hardware, not simulated")
    return site


class SimulationRoutes:
    """The page and the API routes below /api/sim/, with which test benches operate a simulated world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_parts(self, parts: StationParts) -> None:
        """Add the simulated world to the registry `parts`, where these routes find it."""
        parts.add(World, self._world)

    def routers(self) -> Sequence[APIRouter]:
        """The routers of the page and of the routes below /api/sim/; imports them."""
        return _routes().routers

    def middleware(self) -> Sequence[Callable[[ASGIApp], ASGIApp]]:
        """What records the requests, if somebody wants to."""
        return _routes().middleware

    def places(self) -> Sequence[NavigationPlace]:
        """The page of simulated hardware."""
        return _routes().places


def _routes() -> SimulatorRoutes:
    from simulator.routes import ROUTES  # late: with the API, for its first visitor

    return ROUTES
