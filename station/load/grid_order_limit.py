"""The order of the grid operator's contacts as a limit for all EVSEs together (EnWG §14a)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from energy.demand import SharedLimit
from energy.limit import LimitSource

if TYPE_CHECKING:
    from energy.grid import GridOrder, GridOrderSource
    from energy.station_limits import StationLimits

_NAME: Final = "grid-order"


class GridOrderLimit:
    """Limits all EVSEs together by each order of the grid operator's contacts."""

    def __init__(self, source: GridOrderSource, limits: StationLimits) -> None:
        """Apply the present order of `source` at once; until the contacts are read, it is the most restrictive one."""
        self._source = source
        self._limits = limits
        self._apply(source.order)

    async def run(self) -> None:
        """Task until cancelled: apply each order."""
        async for order in self._source.orders():
            self._apply(order)

    def _apply(self, order: GridOrder | None) -> None:
        limit = None
        if order is not None:
            limit = SharedLimit(LimitSource.GRID_ORDER, power_w=order.limit_w, plus_surplus=True, by=order.reason.value)
        self._limits.set_shared(_NAME, limit)
