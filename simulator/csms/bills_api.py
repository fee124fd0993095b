"""The HTTP API of the bundled CSMS, on the port of its websocket: what every station has charged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

from simulator.csms.bill_store import BillStore, BillStoreError
from simulator.csms.billed_transactions import BilledTransaction

BILLS_PATH: Final = "/api/"
"""paths that begin so are requests of the API, all others are stations"""


async def answer_bills_request(path: str, bills: BillStore) -> Response:
    """Answer GET /api/bills (totals of each station) or /api/transactions (all of them); `?station=`: of one only."""
    parts = urlsplit(path)
    station = parse_qs(parts.query).get("station", [None])[0]
    if parts.path not in ("/api/bills", "/api/transactions"):
        return _response(HTTPStatus.NOT_FOUND, {"error": "there are /api/bills and /api/transactions"})
    try:
        transactions = await bills.transactions(station)
    except BillStoreError as error:
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
    if parts.path == "/api/bills":
        return _response(HTTPStatus.OK, {"stations": station_totals(transactions)})
    return _response(HTTPStatus.OK, {"transactions": [_transaction(one) for one in transactions]})


def station_totals(transactions: Sequence[BilledTransaction]) -> dict[str, dict[str, float]]:
    """By identity of the station: how many transactions have begun and ended, and the energy of those to be billed."""
    totals: dict[str, dict[str, float]] = {}
    for one in transactions:
        station = totals.setdefault(one.station, {"transactions": 0, "ended": 0, "energy_wh": 0.0, "repeated": 0})
        station["transactions"] += 1
        station["ended"] += one.ended
        station["energy_wh"] += one.energy_wh or 0.0
        station["repeated"] += one.repeated
    return totals


def _transaction(one: BilledTransaction) -> dict[str, object]:
    return {
        "station": one.station,
        "id": one.id,
        "ended": one.ended,
        "begin_wh": one.begin_wh,
        "end_wh": one.end_wh,
        "energy_wh": one.energy_wh,
        "received": one.received.ranges(),
        "missing": one.received.missing,
        "offline": one.offline,
        "repeated": one.repeated,
    }


def _response(status: HTTPStatus, body: object) -> Response:
    content = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, content)
