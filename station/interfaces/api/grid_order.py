"""Routes for the grid operator's contact: the order in force, and the record of orders as JSON and CSV."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.responses import Response
from typing_extensions import TypedDict

from energy.grid import OrderReason
from energy.grid_orders import OrderEntry, OrderEvent, RecordedGridOrders, as_csv, order_duration
from foundation.clock import Clock
from station.core.clock_settings import ClockSettings
from station.core.local_time import local_time
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import optional_part, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.security.access.accounts import Role

router = api_router("grid orders")


class GridOrderShown(TypedDict):
    """The grid operator's order in force to limit the power, in GET /api/grid-orders."""

    limit_w: float | None
    """maximum power of all controllable devices together, W"""
    since: str
    """since when the order is in force (ISO 8601, UTC)"""
    reason: OrderReason
    """why it is in force: ordered by the contact, or the contact cannot be read"""


class GridOrderEntryShown(TypedDict):
    """An entry of the stored record of the grid operator's orders; hashes chain the entries."""

    number: int
    """consecutive number of the entry, from 1"""
    at: str
    """when the entry was written (ISO 8601, UTC)"""
    event: OrderEvent
    """what happened to the order then"""
    reason: OrderReason | None
    """why the order is in force; null: none is"""
    limit_w: float | None
    """maximum power of all controllable devices together, W; null: no order is in force"""
    grid_w: float | None
    """power of the house connection at that time, W; negative: export; null: not measured"""
    devices_w: float | None
    """total power of the EVSEs at that time, W; null: not measured"""
    previous: str
    """the hash of the previous entry"""
    hash: str
    """SHA-256 of the entry without this field, in hexadecimal"""


class GridOrderRecord(TypedDict):
    """Response of GET /api/grid-orders: the order in force, and the record of all orders."""

    order: GridOrderShown | None
    """the order in force now; null: none"""
    damaged: bool
    """whether the stored record is damaged"""
    dimmed_today_min: float
    """minutes since local midnight with an order in force"""
    entries: list[GridOrderEntryShown]
    """the entries of the record, the newest last"""


async def _configured_orders(
    orders: Annotated[RecordedGridOrders | None, optional_part(RecordedGridOrders)],
) -> RecordedGridOrders:
    if orders is None:
        raise HTTPException(404, "no grid-operator contact is configured")
    return orders


_Orders = Annotated[RecordedGridOrders, Depends(_configured_orders)]
"""the record of orders; 404 if no contact is configured"""


@router.get("/api/grid-orders", dependencies=[require_role(Role.OWNER)], summary="Read the orders of the grid operator")
async def read_grid_orders(
    orders: _Orders,
    settings: Annotated[ClockSettings, part(ClockSettings)],
    clock: Annotated[Clock, part(CLOCK)],
) -> GridOrderRecord:
    """Returns the order in force, how long orders were in force today (local time), and all recorded orders."""
    record, order = orders.record, orders.order
    now = clock.now()
    here = local_time(now, settings)
    midnight = datetime.combine(here.date(), time(), here.tzinfo)
    return {
        "order": None
        if order is None
        else {"limit_w": order.limit_w, "since": order.since.isoformat(), "reason": order.reason},
        "damaged": record.damaged,
        "dimmed_today_min": round(order_duration(record.entries, midnight, now).total_seconds() / 60, 1),
        "entries": [_order_to_json(entry) for entry in record.entries],
    }


@router.get(
    "/api/grid-orders.csv",
    dependencies=[require_role(Role.OWNER)],
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    summary="Read the orders of the grid operator as a table",
)
async def export_grid_orders(orders: _Orders) -> Response:
    """Returns all recorded orders as CSV, with times in UTC as in the text from which the hashes are computed."""
    headers = {"Content-Disposition": 'attachment; filename="grid-orders.csv"'}
    return Response(as_csv(orders.record.entries), media_type="text/csv; charset=utf-8", headers=headers)


def _order_to_json(entry: OrderEntry) -> GridOrderEntryShown:
    return {
        "number": entry.number,
        "at": entry.at.isoformat(),
        "event": entry.event,
        "reason": entry.reason,
        "limit_w": entry.limit_w,
        "grid_w": entry.grid_w,
        "devices_w": entry.devices_w,
        "previous": entry.previous,
        "hash": entry.hash,
    }
