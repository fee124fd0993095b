"""The simulated hardware through the local API: what a driver, a meter, a network or time itself does."""

from __future__ import annotations

from fastapi import FastAPI

from station.web.api import Living
from station.web.certificate_api import certificate_seeding_routes
from station.web.host import Host
from station.web.network_api import network_routes
from station.web.seed_api import seed_routes
from station.web.sim_driver import driver_routes
from station.web.sim_station import station_routes
from station.web.sim_surroundings import surroundings_routes


def simulation_routes(api: FastAPI, host: Host, living: Living) -> None:
    """Everything below /api/sim/."""
    driver_routes(api, host)
    station_routes(api, host, living)
    surroundings_routes(api, host)
    seed_routes(api, living)
    network_routes(api, living)
    certificate_seeding_routes(api, living)
