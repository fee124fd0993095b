"""Routers of the API whose routes refuse unknown query parameters, and build the models of their responses late."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from inspect import isclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response, params
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.utils import get_flat_params, get_typed_return_annotation
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_CHANGE_PARAMETERS: Final = frozenset({"wait"})
"""a script may add `?wait=settled` to each change: an operation without it has acted before it responds"""
_Handler = Callable[[Request], Coroutine[object, object, Response]]


def api_router(tag: str) -> APIRouter:
    """Create a router whose operations have this tag in the OpenAPI document."""
    return APIRouter(tags=[tag], route_class=DeferredResponseRoute)


class DeferredResponseRoute(APIRoute):
    """A route that builds the model of its response at its first request, or for the OpenAPI document.

    FastAPI builds the models of all routes when they are declared, which delays the first response of the API by 45 ms.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., object],
        *,
        response_model: object = None,
        **options: Any,  # those of APIRoute
    ) -> None:
        super().__init__(path, endpoint, response_model=None, **options)
        declared = isinstance(response_model, DefaultPlaceholder)
        self.response_model = _returned_model(endpoint) if declared else response_model
        self._create_full_route = partial(APIRoute, path, endpoint, response_model=self.response_model, **options)

    def get_route_handler(self) -> _Handler:
        """Return the handler of requests; FastAPI's own is created at the first one."""

        async def handle(request: Request) -> Response:
            if (refusal := self._reject_unknown_parameters(request)) is not None:
                return refusal
            return await self._handler(request)

        return handle

    def _reject_unknown_parameters(self, request: Request) -> Response | None:
        """The refusal of a query with a parameter that the operation does not have, such as a mistyped one; else None.

        Ignoring it would answer another question: all transactions in place of those of a month.
        """
        unknown = sorted(request.query_params.keys() - self._parameters)
        if not unknown:
            return None
        known_names = (
            f"known are: {', '.join(sorted(self._parameters))}" if self._parameters else "this operation has none"
        )
        details = [
            {"type": "extra_forbidden", "loc": ["query", name], "msg": f"unknown; {known_names}"} for name in unknown
        ]
        return JSONResponse({"detail": details}, 400)

    @cached_property
    def _parameters(self) -> frozenset[str]:
        """The names of the query parameters of the operation; `wait` of each one that may change something."""
        dependency_fields = get_flat_params(self.dependant)
        names = frozenset(field.alias for field in dependency_fields if isinstance(field.field_info, params.Query))
        return names | _CHANGE_PARAMETERS if (self.methods or set()) - _SAFE_METHODS else names

    def build_response_model(self) -> None:
        """Build the model of the response: `response_field`, None if the route has none."""
        self.response_field = self._full_route.response_field

    @cached_property
    def _handler(self) -> _Handler:
        self.build_response_model()
        return self._full_route.get_route_handler()

    @cached_property
    def _full_route(self) -> APIRoute:
        """The same route as FastAPI builds it, with the model of its response."""
        return self._create_full_route()


def _returned_model(endpoint: Callable[..., object]) -> object:
    """The annotated return type of an endpoint; None if it returns a response of its own, or nothing."""
    annotation: object = get_typed_return_annotation(endpoint)
    if isclass(annotation) and issubclass(annotation, Response):
        return None
    return annotation
