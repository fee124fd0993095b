"""Routes that the composition adds to the local API, such as those of simulated hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

    from station.interfaces.parts import StationParts


class FurtherRoutes(Protocol):
    """Routes beside the station's own, each of which declares the role that it needs."""

    def add_parts(self, parts: StationParts) -> None:
        """Add the parts that these routes use; called before the API is first used."""
        ...

    def routers(self) -> Sequence[APIRouter]:
        """The routers of these routes; called when the API is first used, so that a start does not wait for it."""
        ...
