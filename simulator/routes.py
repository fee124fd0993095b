"""All routes below /api/sim, with which a test bench controls the simulated hardware, and its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from simulator.api import certificate, driver, environment, fault_orders, misbehaviour, network, seed, state
from simulator.page import simulation_page
from simulator.recording import routes as recording
from simulator.recording.recorded_api import RecordedApi

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.types import ASGIApp

    from station.interfaces.page.navigation import NavigationPlace


class SimulatorRoutes(Frozen):
    """What simulated hardware adds to the API and page of a station."""

    routers: tuple[APIRouter, ...]
    middleware: tuple[Callable[[ASGIApp], ASGIApp], ...]
    """what each request passes before the routes"""
    places: tuple[NavigationPlace, ...]
    """entries of the navigation"""


ROUTES: Final = SimulatorRoutes(
    routers=(
        driver.router,
        fault_orders.router,
        environment.router,
        seed.router,
        network.router,
        certificate.router,
        misbehaviour.router,
        state.router,
        recording.router,
        simulation_page.router,
    ),
    middleware=(RecordedApi,),
    places=(simulation_page.PLACE,),
)
