"""The API of a station on simulated hardware: its application and its OpenAPI document, without a running station."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI

from simulator.routes import ROUTES
from station.interfaces.application import build_application
from station.interfaces.page.navigation import NavigationPlace
from station.interfaces.parts import StationParts


class _Simulation:
    """The routes of simulated hardware."""

    def add_parts(self, parts: StationParts) -> None:
        pass

    def routers(self) -> Sequence[APIRouter]:
        return ROUTES.routers

    def middleware(self) -> tuple[()]:
        return ()

    def places(self) -> Sequence[NavigationPlace]:
        """No further pages."""
        return ()


@cache
def simulated_application() -> FastAPI:
    """The application of a station on simulated hardware, bound to no station."""
    return build_application([_Simulation()])


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of a station on simulated hardware."""
    return simulated_application().openapi()
