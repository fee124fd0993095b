"""The model of a response is built when it is needed, and is then what FastAPI would have built."""

from __future__ import annotations

from typing import cast

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.exceptions import ResponseValidationError
from typing_extensions import TypedDict

from station.interfaces.api.routing import DeferredResponseRoute, api_router


class Reading(TypedDict):
    """A response."""

    energy_wh: int


def application(answer: object) -> tuple[FastAPI, list[DeferredResponseRoute]]:
    """An application with a route that returns this, one that declares its model, and one with its own response."""
    router = api_router("metering")

    @router.get("/annotated")
    async def annotated() -> Reading:
        return cast("Reading", answer)

    @router.get("/declared", response_model=Reading)
    async def declared() -> object:
        return answer

    @router.get("/own")
    async def own() -> Response:
        return Response("text")

    routes = [route for route in router.routes if isinstance(route, DeferredResponseRoute)]
    return FastAPI(routes=list(router.routes)), routes


@pytest.mark.parametrize("path", ["/annotated", "/declared"])
async def test_the_first_request_builds_the_model_of_its_route_only(path: str) -> None:
    app, routes = application({"energy_wh": 5})
    assert [route.response_field for route in routes] == [None, None, None]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
        for _ in range(2):
            assert (await client.get(path)).json() == {"energy_wh": 5}
    assert [route.path for route in routes if route.response_field is not None] == [path]


async def test_a_response_of_its_own_needs_no_model() -> None:
    app, routes = application(None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
        assert (await client.get("/own")).text == "text"
    assert [route.response_field for route in routes] == [None, None, None]


@pytest.mark.parametrize("path", ["/annotated", "/declared"])
async def test_a_response_that_does_not_fit_its_model_is_an_error(path: str) -> None:
    app, _ = application({"energy_wh": "much"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
        with pytest.raises(ResponseValidationError):
            await client.get(path)
