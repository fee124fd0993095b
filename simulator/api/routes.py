"""All routes below /api/sim, with which a test bench controls the simulated hardware, and the page of it."""

from __future__ import annotations

from typing import Final

from simulator.api import certificate, driver, environment, fault_orders, misbehaviour, network, seed
from simulator.page import simulation_page

ROUTERS: Final = (
    driver.router,
    fault_orders.router,
    environment.router,
    seed.router,
    network.router,
    certificate.router,
    misbehaviour.router,
    simulation_page.router,
)
