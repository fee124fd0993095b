"""The ASGI application of a station: every route of the local API and page, behind one door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Final, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from station.core.version import package_version
from station.interfaces.access.access_control import HEADERS, Gate, is_person
from station.interfaces.access.permissions import Permissions
from station.interfaces.access.roles import permissions_of
from station.interfaces.api import (
    activation,
    card,
    certificate,
    charge,
    commissioning,
    diagnosis,
    factory_reset,
    firmware,
    grid_order,
    load,
    metering,
    price,
    residual,
    settings,
    time_zone,
)
from station.interfaces.api.account import account_routes
from station.interfaces.api.document import document_routes
from station.interfaces.api.event_stream import event_routes
from station.interfaces.api.problem import describe_errors
from station.interfaces.api.route_services import Living
from station.interfaces.api.station import station_routes
from station.interfaces.api.token import token_routes
from station.interfaces.api.transaction import transaction_routes
from station.interfaces.further_routes import FurtherRoutes
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.interfaces.page.pages import not_found, page_routes
from station.storage.database import StorageError

ROUTERS: Final[tuple[APIRouter, ...]] = (
    charge.router,
    card.router,
    price.router,
    load.router,
    time_zone.router,
    activation.router,
    commissioning.router,
    settings.router,
    diagnosis.router,
    certificate.router,
    grid_order.router,
    metering.router,
    residual.router,
    firmware.router,
    factory_reset.router,
)
"""the routes of the station, in the order in which requests are matched"""


def routers_with(further: Sequence[FurtherRoutes]) -> tuple[APIRouter, ...]:
    """The routers of the station, then those of further routes, which can never take the place of one before."""
    return (*ROUTERS, *(router for routes in further for router in routes.routers()))


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
    routers = routers_with(further)
    for router in routers:
        api.include_router(router)
    permissions = Permissions(declared=permissions_of(route for router in routers for route in router.routes))
    api.add_middleware(Gate, host=host, permissions=permissions, not_found=partial(not_found, host))
    page_routes(api, host, permissions)
    event_routes(api, host)
    station_routes(api, living, host)
    _people_routes(api, living, host)
    return api


def _people_routes(api: FastAPI, living: Living, host: Host) -> None:
    """What drivers and the owner ask for."""
    account_routes(api, living)
    token_routes(api, living, host)
    transaction_routes(api, living)
    document_routes(api, living, host)


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
