"""The simulated hardware of a station: the only module of the composition that imports the simulation.

Imported only where the installation file names simulated hardware: a station on real hardware loads nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.station_runtime import StartError
from simulator.register import RegisterError
from simulator.updater import SimulatedUpdater
from simulator.world import World

if TYPE_CHECKING:
    from fastapi import APIRouter

    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.core.hardware.updater import Updater
    from station.devices.station_hardware import StationHardware
    from station.interfaces.parts import StationParts


def simulated_world(configuration: Configuration) -> World:
    """The simulated site of a station, switched off. Its meters keep their registers in the station's storage.

    Raises:
        StartError: the register of a meter cannot be opened.
    """
    try:
        return World(configuration)
    except RegisterError as error:
        raise StartError(f"station.storage: {error}") from error


def simulated_updater(folder: Path, clock: Clock) -> Updater:
    """The simulated updater; to make it is to boot (simulation/updater.py)."""
    return SimulatedUpdater(folder, clock)


def world_of(site: StationHardware) -> World:
    """The simulated world that a site is.

    Raises:
        TypeError: the hardware is real.
    """
    if not isinstance(site, World):
        raise TypeError("the hardware is real")
    return site


class SimulationRoutes:
    """The routes below /api/sim/, which move the simulated hardware of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_parts(self, parts: StationParts) -> None:
        """Add the world."""
        parts.add(World, self._world)

    def routers(self) -> Sequence[APIRouter]:
        """The routes below /api/sim/."""
        from simulator.api.routes import ROUTERS  # with the API, for its first visitor

        return ROUTERS
