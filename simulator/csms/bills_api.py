"""The HTTP API of the bundled CSMS, on the port of its websocket: what every station has charged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from simulator.csms.bill_store import BillStore, BillStoreError
from simulator.csms.billed_transactions import BilledTransaction
from station.interfaces.http.host_header import is_own_name, name_of_host
from station.interfaces.http.security_headers import SECURITY_HEADERS

BILLS_PATH: Final = "/api/"
"""paths that begin so are requests of the API, all others are stations"""


async def answer_bills_request(request: Request, bills: BillStore) -> Response:
    """Answer GET /api/bills (totals of each station) or /api/transactions (all of them); `?station=`: of one only.

    A request for a name of the public DNS is refused: a foreign page could direct its own name to this machine, and
    read the bills with the visitor's browser.
    """
    if not is_own_name(name_of_host(",".join(request.headers.get_all("Host"))), ()):
        return _response(
            HTTPStatus.MISDIRECTED_REQUEST, {"error": "use the IP address, or a name of the local network, as the host"}
        )
    parts = urlsplit(request.path)
    station = parse_qs(parts.query).get("station", [None])[0]
    if parts.path not in ("/api/bills", "/api/transactions"):
        return _response(HTTPStatus.NOT_FOUND, {"error": "there are /api/bills and /api/transactions"})
    try:
        transactions = await bills.transactions(station)
    except BillStoreError as error:
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
    if parts.path == "/api/bills":
        return _response(HTTPStatus.OK, {"stations": station_totals(transactions)})
    return _response(
        HTTPStatus.OK, {"transactions": [transaction_to_json(transaction) for transaction in transactions]}
    )


def station_totals(transactions: Sequence[BilledTransaction]) -> dict[str, dict[str, float]]:
    """By identity of the station: how many transactions have begun and ended, and the energy of those to be billed."""
    totals: dict[str, dict[str, float]] = {}
    for transaction in transactions:
        station = totals.setdefault(
            transaction.station, {"transactions": 0, "ended": 0, "energy_wh": 0.0, "repeated": 0}
        )
        station["transactions"] += 1
        station["ended"] += transaction.ended
        station["energy_wh"] += transaction.energy_wh or 0.0
        station["repeated"] += transaction.repeated
    return totals


def transaction_to_json(transaction: BilledTransaction) -> dict[str, object]:
    """A transaction as the API shows it."""
    return {
        "station": transaction.station,
        "id": transaction.id,
        "ended": transaction.ended,
        "begin_wh": transaction.begin_wh,
        "end_wh": transaction.end_wh,
        "energy_wh": transaction.energy_wh,
        "received": transaction.received.ranges(),
        "missing": transaction.received.missing,
        "offline": transaction.offline,
        "repeated": transaction.repeated,
    }


def _response(status: HTTPStatus, body: object) -> Response:
    content = json.dumps(body).encode()
    headers = Headers(
        SECURITY_HEADERS
        | {
            "Cache-Control": "no-store",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, content)
