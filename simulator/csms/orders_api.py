"""Page and API by which the bundled CSMS is told what to send and how to answer, served to this machine only."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from simulator.csms.bill_store import BillStoreError
from simulator.csms.bills_api import station_totals, transaction_to_json
from simulator.csms.messages import RequestFrame
from simulator.csms.orders import ChosenAnswer, TooManyAnswersError
from simulator.csms.station_connection import NotConnectedError
from simulator.loopback_application import bounded_body, page_application
from simulator.page_style import STYLE

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from simulator.csms.billed_transactions import BilledTransaction
    from simulator.csms.csms import DemoCsms
    from simulator.csms.recent_frames import RecentFrames

_JsonRoute = Callable[[Request], Awaitable[object]]
_Endpoint = Callable[[Request], Awaitable[Response]]

_PAGE_FILES: Final = Path(__file__).parent / "page"
_FILES: Final = {"/": ("csms.html", "text/html"), "/csms.js": ("csms.js", "text/javascript")}
_MAX_FRAMES: Final = 200
"""frames of one response"""
_MOST_TIMES: Final = 1_000_000


class CallOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /api/stations/{identity}/call."""

    action: str
    payload: dict[str, object] = msgspec.field(default_factory=dict[str, object])
    checked: bool = True
    """whether it is refused if OCPP 2.0.1 does not allow it; False: to see how a station refuses it"""


class ErrorOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A CALLERROR to answer with."""

    code: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Annotated[str, Meta(max_length=255)] = ""


class AnswerOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /api/stations/{identity}/answers/{action}; the fields are those of `ChosenAnswer`."""

    payload: dict[str, object] = msgspec.field(default_factory=dict[str, object])
    error: ErrorOrder | None = None
    silent: bool = False
    times: Annotated[int, Meta(ge=0, le=_MOST_TIMES)] = 1


class _RefusedOrderError(Exception):
    """A request that is not fulfilled, with the HTTP status that says so."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def csms_application(csms: DemoCsms, frames: RecentFrames) -> Starlette:
    """The page, and the API that docs/bundled-csms.md describes."""
    api = OrdersApi(csms, frames)
    station = "/api/stations/{identity}"
    return page_application(
        [
            *(Route(path, _file) for path in _FILES),
            Route("/csms.css", _style),
            Route("/api/stations", _answered(api.stations)),
            Route(f"{station}/call", _answered(api.call), methods=["POST"]),
            Route(station + "/answers/{action}", _answered(api.choose_answer), methods=["PUT"]),
            Route("/api/transactions", _answered(api.transactions)),
            Route("/api/bills", _answered(api.bills)),
            Route("/api/frames", _answered(api.recent_frames)),
        ]
    )


class OrdersApi:
    """The routes; each returns the body of its response."""

    def __init__(self, csms: DemoCsms, frames: RecentFrames) -> None:
        self._csms = csms
        self._frames = frames

    async def stations(self, _: Request) -> object:
        """The connected stations."""
        return {"stations": [self._station(identity) for identity in self._csms.stations]}

    def _station(self, identity: str) -> dict[str, object]:
        known = self._csms.overviews.of(identity)
        return {
            "identity": identity,
            "vendor": known.vendor,
            "model": known.model,
            "firmware": known.firmware,
            "connectors": [
                {"evse": evse, "connector": connector, "status": status}
                for (evse, connector), status in sorted(known.connectors.items())
            ],
            "transactions": list(known.transactions.values()),
        }

    async def call(self, request: Request) -> object:
        """Send a request to a station, and return its answer."""
        order = await _body(request, CallOrder)
        identity = request.path_params["identity"]
        if order.checked:
            self._check(order)
        if identity not in self._csms.stations:
            raise _RefusedOrderError(HTTPStatus.NOT_FOUND, f"station {identity} is not connected")
        try:
            answer = await self._csms.call(identity, order.action, order.payload)
        except NotConnectedError as error:
            raise _RefusedOrderError(HTTPStatus.GATEWAY_TIMEOUT, str(error)) from error
        if answer.error_code is not None:
            return {"error": {"code": answer.error_code, "description": answer.error_description}}
        return {"payload": answer.payload}

    def _check(self, order: CallOrder) -> None:
        """Refuse what OCPP 2.0.1 does not allow."""
        try:
            invalid = self._csms.schemas.check(RequestFrame("", order.action, order.payload))
        except KeyError:
            raise _unprocessable(f"action: OCPP 2.0.1 has no request {order.action!r}") from None
        if invalid is not None:
            raise _unprocessable(f"payload: {invalid.description}")

    async def choose_answer(self, request: Request) -> object:
        """Choose how the next requests of an action are answered."""
        order = await _body(request, AnswerOrder)
        action = request.path_params["action"]
        if action not in self._csms.schemas:
            raise _unprocessable(f"OCPP 2.0.1 has no request {action!r}")
        code, description = (order.error.code, order.error.description) if order.error is not None else (None, "")
        answer = ChosenAnswer(order.payload, code, description, order.silent, order.times)
        try:
            self._csms.chosen_answers.choose(request.path_params["identity"], action, answer)
        except TooManyAnswersError as error:
            raise _RefusedOrderError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return {}

    async def transactions(self, request: Request) -> object:
        """The bills of all transactions, or those of one station."""
        return {"transactions": [transaction_to_json(one) for one in await self._billed(request)]}

    async def bills(self, request: Request) -> object:
        """The totals of all stations, or of one."""
        return {"stations": station_totals(await self._billed(request))}

    async def _billed(self, request: Request) -> Sequence[BilledTransaction]:
        try:
            return await self._csms.bills.transactions(request.query_params.get("station"))
        except BillStoreError as error:
            raise _RefusedOrderError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def recent_frames(self, request: Request) -> object:
        """The newest frames after a number."""
        query = request.query_params
        after = query.get("after", "0")
        if not (after.isdecimal() and len(after) <= 18):
            raise _unprocessable(f"after: must be a number (is {after[:40]})")
        return {"frames": self._frames.frames_after(int(after), query.get("station") or None, _MAX_FRAMES)}


_Order = TypeVar("_Order", CallOrder, AnswerOrder)


async def _body(request: Request, kind: type[_Order]) -> _Order:
    """The body of a request, which must be JSON: so no page of another site can send it by a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _RefusedOrderError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json")
    body = await bounded_body(request)
    if body is None:
        raise _RefusedOrderError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _unprocessable(str(error)[:500] or "nested too deeply") from error


def _unprocessable(detail: str) -> _RefusedOrderError:
    return _RefusedOrderError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _answered(route: _JsonRoute) -> _Endpoint:
    """The endpoint of a route: its body as JSON, or the `detail` of a refusal."""

    async def endpoint(request: Request) -> Response:
        try:
            body, status = await route(request), HTTPStatus.OK
        except _RefusedOrderError as error:
            body, status = {"detail": str(error)}, error.status
        text = json.dumps(msgspec.to_builtins(body))  # of an answer with integers of any length, which msgspec refuses
        return Response(text, status, media_type="application/json")

    return endpoint


async def _file(request: Request) -> Response:
    name, kind = _FILES[request.url.path]
    return FileResponse(_PAGE_FILES / name, media_type=kind)


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css")
