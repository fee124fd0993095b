"""The ASGI application of a station: every route of the local API and page, behind one door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from station.core.version import package_version
from station.interfaces.access.access_control import HEADERS, Gate, is_person
from station.interfaces.access.permissions import Permissions
from station.interfaces.access.roles import permissions_of
from station.interfaces.api import charge
from station.interfaces.api.account import account_routes
from station.interfaces.api.activation import activation_routes
from station.interfaces.api.card import card_routes
from station.interfaces.api.certificate import certificate_routes
from station.interfaces.api.commissioning import commissioning_routes
from station.interfaces.api.diagnosis import diagnosis_routes
from station.interfaces.api.document import document_routes
from station.interfaces.api.event_stream import event_routes
from station.interfaces.api.factory_reset import factory_routes
from station.interfaces.api.firmware import firmware_routes
from station.interfaces.api.grid_order import grid_order_routes
from station.interfaces.api.load import load_routes
from station.interfaces.api.metering import metering_routes
from station.interfaces.api.price import price_routes
from station.interfaces.api.problem import describe_errors
from station.interfaces.api.residual import residual_routes
from station.interfaces.api.route_services import Living
from station.interfaces.api.settings import settings_routes
from station.interfaces.api.station import station_routes
from station.interfaces.api.time_zone import time_zone_routes
from station.interfaces.api.token import token_routes
from station.interfaces.api.transaction import transaction_routes
from station.interfaces.further_routes import FurtherRoutes
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.interfaces.page.pages import not_found, page_routes
from station.storage.database import StorageError

ROUTERS: Final = (charge.router,)
"""the routes of the station, in the order in which requests are matched"""


class _Api(FastAPI):
    """The API; its OpenAPI document also describes the error responses."""

    def openapi(self) -> Json:
        """The OpenAPI document, built at the first call."""
        is_new = self.openapi_schema is None
        document = super().openapi()
        if is_new:
            describe_errors(document)
        return document


def build(host: Host, further: Sequence[FurtherRoutes]) -> FastAPI:
    """The ASGI application of a station, with `further` routes. Importing this file takes the web framework along."""
    api = _Api(
        title="borne",
        version=package_version(),
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual page loads scripts from elsewhere; pages.py has one that does not
        redoc_url=None,
    )
    api.add_exception_handler(HTTPException, partial(_refused, host))
    api.add_exception_handler(RequestValidationError, _not_understood)
    api.add_exception_handler(StorageError, _storage_failed)
    api.add_exception_handler(Exception, _failed)
    living = Living(host)
    for router in ROUTERS:
        api.include_router(router)
    permissions = Permissions(
        [permission for routes in further for permission in routes.permissions()], permissions_of(api.routes)
    )
    api.add_middleware(Gate, host=host, permissions=permissions, not_found=partial(not_found, host))
    page_routes(api, host, permissions)
    event_routes(api, host)
    station_routes(api, living, host)
    _people_routes(api, living, host)
    _upkeep_routes(api, living, host)
    for routes in further:
        routes.add_to(api, host, living)
    return api


def _people_routes(api: FastAPI, living: Living, host: Host) -> None:
    """What drivers and the owner ask for."""
    account_routes(api, living)
    card_routes(api, living)
    token_routes(api, living, host)
    transaction_routes(api, living)
    document_routes(api, living, host)
    price_routes(api, living, host)
    load_routes(api, living, host)
    time_zone_routes(api, living, host)


def _upkeep_routes(api: FastAPI, living: Living, host: Host) -> None:
    """What installers, service and the grid operator ask for."""
    activation_routes(api, living, host)
    commissioning_routes(api, living, host)
    settings_routes(api, living, host)
    diagnosis_routes(api, living)
    certificate_routes(api, living)
    grid_order_routes(api, living)
    metering_routes(api, living)
    residual_routes(api, host, living)
    firmware_routes(api, living, host)
    factory_routes(api, living, host)


async def _refused(host: Host, request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    if refusal.status_code == 404 and is_person(request):
        return not_found(host, request, str(refusal.detail))
    return await http_exception_handler(request, refusal)


async def _not_understood(_: Request, error: Exception) -> Response:
    """Where it is wrong and why, but never what was given: that may be a password, or what no JSON can hold."""
    found = [
        {key: one[key] for key in ("type", "loc", "msg")} for one in cast("RequestValidationError", error).errors()
    ]
    return Response(json.dumps({"detail": found}), 422, media_type="application/json")


async def _storage_failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the disk refuses: {error}"}, status_code=503)


async def _failed(*_: object) -> JSONResponse:
    """What nobody foresaw is answered outside the door: with its headers all the same. The log has the rest."""
    return JSONResponse({"detail": "the station has failed at this"}, 500, HEADERS | {"Cache-Control": "no-store"})
