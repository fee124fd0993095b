"""All routes below /api/sim, with which a test bench controls the simulated hardware."""

from __future__ import annotations

from typing import Final

from simulator.api import certificate, driver, environment, network, seed, station

ROUTERS: Final = (
    driver.router,
    station.router,
    environment.router,
    seed.router,
    network.router,
    certificate.router,
)
