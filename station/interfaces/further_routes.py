"""Routes that the composition adds to the local API, such as those of simulated hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    from station.interfaces.access.permissions import Permission
    from station.interfaces.api.route_services import Living
    from station.interfaces.host import Host
    from station.interfaces.parts import StationParts


class FurtherRoutes(Protocol):
    """Routes beside the station's own, with the roles that may use them.

    Both methods are called when the API is first used, so that a start does not wait for the web framework.
    """

    def permissions(self) -> Sequence[Permission]:
        """Who may use these routes, checked in order after the station's own; any other path is for service only."""
        ...

    def add_parts(self, parts: StationParts) -> None:
        """Add the parts that these routes use; called before the API is first used."""
        ...

    def add_to(self, api: FastAPI, host: Host, living: Living) -> None:
        """Add the routes to the API of a station."""
        ...
