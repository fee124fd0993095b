"""Routers of the API whose routes build the models of their responses late."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.utils import get_typed_return_annotation
from fastapi.routing import APIRoute
from fastapi.utils import create_model_field

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
        self._handler: _Handler | None = None
        super().__init__(path, endpoint, response_model=None, **options)
        declared = isinstance(response_model, DefaultPlaceholder)
        self.response_model = _returned_model(endpoint) if declared else response_model

    def get_route_handler(self) -> _Handler:
        """Return the handler of requests; FastAPI's own is created at the first one."""
        create = super().get_route_handler

        async def handle(request: Request) -> Response:
            if self._handler is None:
                self.build_response_model()
                self._handler = create()
            return await self._handler(request)

        return handle

    def build_response_model(self) -> None:
        """Build the model of the response (`response_field`), unless it exists or the route has none."""
        if self.response_field is None and self.response_model is not None:
            name = f"Response_{self.unique_id}"
            self.response_field = create_model_field(name=name, type_=self.response_model, mode="serialization")


def _returned_model(endpoint: Callable[..., object]) -> object:
    """The annotated return type of an endpoint; None if it returns a response of its own, or nothing."""
    annotation = cast("object", get_typed_return_annotation(endpoint))
    if isinstance(annotation, type) and issubclass(cast("type[object]", annotation), Response):
        return None
    return annotation
