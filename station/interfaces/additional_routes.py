"""Routes that the composition adds to the local API, such as those of simulated hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import APIRouter
    from starlette.types import ASGIApp

    from station.interfaces.page.navigation import NavigationPlace
    from station.interfaces.parts import StationParts


class AdditionalRoutes(Protocol):
    """Routes added to a station's local API and page, such as the simulator's, and the parts that they use."""

    def add_parts(self, parts: StationParts) -> None:
        """Add what these routes use to `parts`, those of the installation; called before the API is first used."""
        ...

    def routers(self) -> Sequence[APIRouter]:
        """The routers, with the least role of each route; they are matched after the station's own.

        Called when the API is first used, so that a start does not wait for the web framework.
        """
        ...

    def middleware(self) -> Sequence[Callable[[ASGIApp], ASGIApp]]:
        """What an allowed request passes before the routes, the outermost first; called with `routers`."""
        ...

    def places(self) -> Sequence[NavigationPlace]:
        """The entries of the navigation that lead to their pages; called with `routers`."""
        ...
