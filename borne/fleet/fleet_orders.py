"""Orders for many stations of a fleet at once, over the pages that their hosts serve on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from foundation.frozen import Frozen
from simulator.loopback_page import HOST

if TYPE_CHECKING:
    from borne.fleet.fleet_run import FleetRun
    from simulator.fleet.reports import StationReport

_AT_ONCE: Final = 20
"""stations that are asked at the same time"""
_TIMEOUT_S: Final = 60.0
_REASONS_RETURNED: Final = 20
_LONGEST_REASON: Final = 200


class StationOrder(Frozen):
    """A request of the local API below /api/sim/."""

    method: str
    path: str
    body: Mapping[str, object]


ORDERS: Final[Mapping[str, StationOrder]] = {
    "cut the link": StationOrder("POST", "csms-link", {"state": "down"}),
    "restore the link": StationOrder("POST", "csms-link", {"state": "up"}),
    "cut the power": StationOrder("POST", "power", {"action": "loss"}),
    "restore the power": StationOrder("POST", "power", {"action": "restore"}),
    "plug in": StationOrder("POST", "evses/1/plug", {}),
    "unplug": StationOrder("POST", "evses/1/unplug", {}),
    "send events twice": StationOrder(
        "POST", "misbehaviour", {"way": "duplicate", "action": "TransactionEvent", "new_id": True, "times": 0}
    ),
    "lose the next event": StationOrder("POST", "misbehaviour", {"way": "drop", "action": "TransactionEvent"}),
    "end misbehaviour": StationOrder("DELETE", "misbehaviour", {}),
}
"""the orders of the page, by name"""


class FleetOrder(Frozen):
    """Body of POST /api/orders: an order, and the stations for which it is."""

    order: str
    """one of `ORDERS`"""
    numbers: tuple[int, ...]
    """numbers of the stations"""


class FleetOrderOutcome(Frozen):
    """What has become of an order."""

    done: int
    """stations that have accepted it"""
    refused: int
    """stations that have refused it, or did not answer"""
    reasons: dict[str, str]
    """why, by identity; of the first twenty"""


class UnknownOrderError(Exception):
    """There is no such order; the message lists them."""


def pages_of(run: FleetRun) -> dict[int, str]:
    """The address of the page of each station that its host serves on this machine, by number."""
    return {
        station.number: f"http://{HOST}:{host.http_port}/stations/{station.identity}/"
        for host in run.record.hosts
        if host.http_port
        for station in host.stations
    }


async def carry_out(run: FleetRun, given: FleetOrder) -> FleetOrderOutcome:
    """Give an order to stations, some at a time.

    Raises:
        UnknownOrderError: there is no such order.
    """
    order = ORDERS.get(given.order)
    if order is None:
        raise UnknownOrderError(f"order: must be one of {', '.join(ORDERS)} (is {given.order[:50]})")
    wanted, pages = set(given.numbers), pages_of(run)
    stations = [station for station in run.record.stations if station.number in wanted]
    return await _ask_all(order, stations, pages)


async def _ask_all(
    order: StationOrder, stations: Sequence[StationReport], pages: Mapping[int, str]
) -> FleetOrderOutcome:
    places = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:

        async def ask(station: StationReport) -> tuple[str, str | None]:
            async with places:
                return station.identity, await _refusal(client, order, pages.get(station.number))

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(station)) for station in stations]
    refusals = {identity: reason for task in asked for identity, reason in [task.result()] if reason is not None}
    reasons = dict(list(refusals.items())[:_REASONS_RETURNED])
    return FleetOrderOutcome(len(stations) - len(refusals), len(refusals), reasons)


async def _refusal(client: httpx.AsyncClient, order: StationOrder, page: str | None) -> str | None:
    """Give an order to one station; returns why it is not carried out, None: it is."""
    if page is None:
        return "its host serves no page on this machine"
    try:
        answer = await client.request(order.method, f"{page}api/sim/{order.path}", json=dict(order.body))
    except httpx.HTTPError as error:
        return f"does not answer: {error or type(error).__name__}"[:_LONGEST_REASON]
    return answer.text[:_LONGEST_REASON] if answer.status_code >= HTTPStatus.BAD_REQUEST else None
