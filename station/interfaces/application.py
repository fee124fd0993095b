"""The ASGI application of a station: all routes of the local API and page, behind access control."""

from __future__ import annotations

import json
from collections.abc import Sequence
from threading import Lock
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from foundation.clock import Clock
from metering.journal import JournalError
from station.billing.documents.process import DocumentDrawing
from station.charging.tokens.rate_limit import RateLimiter
from station.configuration.installation_file import Configuration
from station.core.version import package_version
from station.interfaces.access.access_control import AccessControl, is_page_request
from station.interfaces.access.permissions import Permissions
from station.interfaces.access.roles import permissions_of
from station.interfaces.additional_routes import AdditionalRoutes
from station.interfaces.api import (
    account,
    activation,
    card,
    certificate,
    charge,
    commissioning,
    diagnosis,
    display,
    display_message,
    document,
    event_stream,
    factory_reset,
    firmware,
    frames,
    grid_order,
    load,
    metering,
    monitoring,
    price,
    reservation,
    residual,
    safe_start,
    settings,
    station,
    time_zone,
    token,
    transaction,
)
from station.interfaces.api.listener_places import ListenerPlaces
from station.interfaces.api.openapi_document import DESCRIPTION, complete_document
from station.interfaces.api.routing import DeferredResponseRoute
from station.interfaces.api.status import OffStatusSource
from station.interfaces.http.security_headers import SECURITY_HEADERS
from station.interfaces.json_object import Json
from station.interfaces.page import about, pages
from station.interfaces.part_keys import STATION_STATUS, TOKEN_RATE
from station.interfaces.parts import StationParts
from station.storage.database import StorageError

ROUTERS: Final = (
    pages.router,
    about.router,
    event_stream.router,
    station.router,
    charge.router,
    account.router,
    card.router,
    reservation.router,
    token.router,
    transaction.router,
    document.router,
    price.router,
    display.router,
    display_message.router,
    load.router,
    time_zone.router,
    activation.router,
    commissioning.router,
    settings.router,
    diagnosis.router,
    monitoring.router,
    certificate.router,
    grid_order.router,
    metering.router,
    residual.router,
    firmware.router,
    frames.router,
    factory_reset.router,
    safe_start.router,
)
"""the routes of the station, in the order in which requests are matched"""


def add_shared_parts(parts: StationParts, clock: Clock) -> None:
    """Add the parts that all requests share: the status while off, token rate, event listeners, document drawing."""
    parts.add(STATION_STATUS, OffStatusSource(lambda: parts.get(Configuration), clock))
    parts.add(TOKEN_RATE, RateLimiter(clock))
    parts.add(ListenerPlaces, ListenerPlaces())
    parts.add(DocumentDrawing, DocumentDrawing())


class _Api(FastAPI):
    """The API; its OpenAPI document also describes error responses, roles, fields and examples."""

    _building: Final = Lock()
    """held while a document is built"""

    def openapi(self) -> Json:
        """Return the OpenAPI document, which is built and completed at the first call; threads may call it."""
        with self._building:
            if self.openapi_schema is None:
                self.openapi_schema = self._complete_document()
            return self.openapi_schema

    def _complete_document(self) -> Json:
        for route in self.routes:
            if isinstance(route, DeferredResponseRoute):
                route.build_response_model()
        document = get_openapi(title=self.title, version=self.version, description=DESCRIPTION, routes=self.routes)
        complete_document(document, self.routes)
        return document


def build_application(further: Sequence[AdditionalRoutes]) -> FastAPI:
    """Build the ASGI application of API and page, with `further` routes, behind access control.

    It is of no station: wrap it in `WithParts` to bind it to one. Importing this module imports the web framework.
    """
    routers = [*ROUTERS, *(router for routes in further for router in routes.routers())]
    api = _Api(
        title="borne",
        version=package_version(),
        # Not by `include_router`, which would match each request against every router again.
        routes=[pages.STATIC_FILES, *(route for router in routers for route in router.routes)],
        openapi_url=None,  # pages.py serves the document and its page, with a role as for all routes
        docs_url=None,
        redoc_url=None,
    )
    api.state.places = tuple(place for routes in further for place in routes.places())
    api.add_exception_handler(HTTPException, _refused)
    api.add_exception_handler(RequestValidationError, _validation_failed)
    api.add_exception_handler(StorageError, _storage_failed)
    api.add_exception_handler(JournalError, _storage_failed)
    api.add_exception_handler(Exception, _failed)
    for wrap in [wrap for routes in further for wrap in reversed(routes.middleware())]:
        api.add_middleware(wrap)
    api.add_middleware(AccessControl, permissions=Permissions(permissions_of(api.routes)), not_found=pages.not_found)
    return api


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    if refusal.status_code == 404 and is_page_request(request):
        return pages.not_found(request, str(refusal.detail))
    return await http_exception_handler(request, refusal)


async def _validation_failed(_: Request, error: Exception) -> Response:
    """The response to an invalid request; without the given value, which may be a password or not valid JSON."""
    errors = [
        {key: details[key] for key in ("type", "loc", "msg")}
        for details in cast("RequestValidationError", error).errors()
    ]
    return Response(json.dumps({"detail": errors}), 422, media_type="application/json")


async def _storage_failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the storage failed: {error}"}, status_code=503)


async def _failed(*_: object) -> JSONResponse:
    """The response to an unexpected exception; it bypasses access control, so the security headers are added here."""
    return JSONResponse(
        {"detail": "internal error: the station could not handle this request; its log has details"},
        500,
        SECURITY_HEADERS | {"Cache-Control": "no-store"},
    )
