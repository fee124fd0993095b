"""The grid operator's orders through the local API: the one in force, and the record as JSON and as a table."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response

from energy.grid_orders import as_csv, dimmed_for
from station.core.local_time import local_time
from station.interfaces.json_object import Json

if TYPE_CHECKING:
    from energy.grid_orders import GridOrders
    from station.interfaces.api.route_services import Living


def grid_order_routes(api: FastAPI, living: Living) -> None:
    """What the contact orders and has ordered."""

    def orders() -> GridOrders:
        found = living.life.grid_orders
        if found is None:
            raise HTTPException(404, "no contact of the grid operator is configured")
        return found

    @api.get("/api/grid-orders")
    async def grid_orders() -> Json:
        record, order = orders().record, orders().order
        now = living.life.clock.now()
        here = local_time(now, living.life.station.settings)
        midnight = datetime.combine(here.date(), time(), here.tzinfo)
        return {
            "order": None
            if order is None
            else {"limit_w": order.limit_w, "since": order.since.isoformat(), "reason": order.reason.value},
            "damaged": record.damaged,
            "dimmed_today_min": round(dimmed_for(record.entries, midnight, now).total_seconds() / 60, 1),
            "entries": [entry.told() for entry in record.entries],
        }

    @api.get("/api/grid-orders.csv")
    async def grid_orders_as_table() -> Response:
        """The record as CSV, with times in UTC: the hashes of the record are computed from their text."""
        headers = {"Content-Disposition": 'attachment; filename="grid-orders.csv"'}
        return Response(as_csv(orders().record.entries), media_type="text/csv; charset=utf-8", headers=headers)
