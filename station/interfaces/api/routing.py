"""Routers of the API whose routes build the models of their responses late."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.utils import get_typed_return_annotation
from fastapi.routing import APIRoute

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


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
        self._create_complete = partial(APIRoute, path, endpoint, response_model=self.response_model, **options)

    def get_route_handler(self) -> _Handler:
        """Return the handler of requests; FastAPI's own is created at the first one."""

        async def handle(request: Request) -> Response:
            return await self._handler(request)

        return handle

    def build_response_model(self) -> None:
        """Build the model of the response: `response_field`, None if the route has none."""
        self.response_field = self._complete.response_field

    @cached_property
    def _handler(self) -> _Handler:
        self.build_response_model()
        return self._complete.get_route_handler()

    @cached_property
    def _complete(self) -> APIRoute:
        """The same route as FastAPI builds it, with the model of its response."""
        return self._create_complete()


def _returned_model(endpoint: Callable[..., object]) -> object:
    """The annotated return type of an endpoint; None if it returns a response of its own, or nothing."""
    annotation = cast("object", get_typed_return_annotation(endpoint))
    if isinstance(annotation, type) and issubclass(cast("type[object]", annotation), Response):
        return None
    return annotation
