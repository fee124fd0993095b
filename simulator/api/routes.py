"""The simulated hardware through the local API: what a driver, a meter, a network or time itself does."""

from __future__ import annotations

from fastapi import FastAPI

from simulator.api.driver import driver_routes
from simulator.api.environment import surroundings_routes
from simulator.api.network import network_routes
from simulator.api.seed import seed_routes
from simulator.api.station import station_routes
from simulator.world import World
from station.interfaces.api.certificate import certificate_seeding_routes
from station.interfaces.api.route_services import Living
from station.interfaces.host import Host


def simulation_routes(api: FastAPI, host: Host, living: Living, world: World) -> None:
    """Everything below /api/sim/."""
    driver_routes(api, host, world)
    station_routes(api, host, living, world)
    surroundings_routes(api, host, world)
    seed_routes(api, living)
    network_routes(api, living)
    certificate_seeding_routes(api, living)
