"""A route refuses query parameters that it does not have; the model of its response is built when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute
from typing_extensions import TypedDict

from simulator.routes import ROUTES
from station.interfaces.api.routing import DeferredResponseRoute, api_router
from station.interfaces.application import build_application
from station.interfaces.json_object import Json
from station.interfaces.page.navigation import NavigationPlace
from station.interfaces.parts import StationParts


class Reading(TypedDict):
    """A response model."""

    energy_wh: int


def application(answer: object) -> tuple[FastAPI, list[DeferredResponseRoute]]:
    """An application and its routes: the model in the annotation, the model declared, and a `Response` of its own."""
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


class SimulatorRoutes:
    """The routes of simulated hardware."""

    def routers(self) -> Sequence[APIRouter]:
        """All routers of the simulator."""
        return ROUTES.routers

    def middleware(self) -> tuple[()]:
        """None."""
        return ()

    def places(self) -> Sequence[NavigationPlace]:
        """No further pages."""
        return ()

    def add_parts(self, parts: StationParts) -> None:
        """Add no parts."""


def operations() -> list[tuple[str, DeferredResponseRoute, Json]]:
    """Each operation in the OpenAPI document of a station on simulated hardware, with its route."""
    api = build_application([SimulatorRoutes()])
    paths = cast("dict[str, dict[str, Json]]", api.openapi()["paths"])
    routes = {
        (route.path_format, method): route
        for route in api.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    found: list[tuple[str, DeferredResponseRoute, Json]] = []
    for path, methods in paths.items():
        for method, operation in methods.items():
            route = routes[path, method.upper()]
            assert isinstance(route, DeferredResponseRoute), f"{path} is not made by api_router"
            found.append((method.upper(), route, operation))
    return found


async def test_every_operation_refuses_a_query_parameter_that_it_does_not_have_and_names_it() -> None:
    """The station's and the simulator's; a mistyped `mnth` would answer for another month than asked for."""
    for method, route, operation in operations():
        parameters = cast("list[dict[str, str]]", operation.get("parameters", []))
        documented = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        path = route.path_format.replace("{", "").replace("}", "")
        app = FastAPI(routes=[route])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
            answer = await client.request(method, path, params={"mnth": "2026-01", **dict.fromkeys(documented, "1")})
        assert answer.status_code == 400, (method, path)
        if method == "HEAD":
            continue
        (unknown,) = answer.json()["detail"]
        assert (unknown["type"], unknown["loc"]) == ("extra_forbidden", ["query", "mnth"])
        assert all(name in unknown["msg"] for name in documented), (method, path)


async def test_a_change_may_be_asked_to_wait_for_its_effects_although_it_has_none_later() -> None:
    router = api_router("metering")

    @router.post("/change")
    async def change() -> Reading:
        return {"energy_wh": 5}

    app = FastAPI(routes=list(router.routes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
        assert (await client.post("/change?wait=settled")).status_code == 200
        assert (await client.post("/change?wait=settled&x=1")).status_code == 400
