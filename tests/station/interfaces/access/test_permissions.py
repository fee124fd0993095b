"""Who may use a route: the role that the first matching route declares, and service for all others."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from station.interfaces.access.permissions import DEFAULT_PERMISSION, Permission, Permissions
from station.interfaces.access.roles import StaticFilesWithRole, permissions_of, require_role
from station.interfaces.application import build_application
from station.interfaces.page.navigation import NavigationPlace
from station.interfaces.parts import StationParts
from station.security.access.accounts import Role

_router = APIRouter()


@_router.get("/api/extra/{number}/state", dependencies=[require_role(Role.VISITOR, logs_changes=False)])
async def _get_state() -> None:
    pass


@_router.post("/api/extra/{rest:path}", dependencies=[require_role(Role.OWNER, logs_changes=False)])
@_router.put("/api/extra/{rest:path}", dependencies=[require_role(Role.OWNER, logs_changes=False)])
async def _change_extra() -> None:
    pass


@_router.post("/api/firmware", dependencies=[require_role(Role.VISITOR)])
async def _open_firmware_to_visitors() -> None:
    pass


@_router.get("/api/undeclared")
async def _get_without_role() -> None:
    pass


FURTHER: Final = Permissions(permissions_of(FastAPI(routes=_router.routes).routes))


class _FurtherRoutes:
    """Additional routes, as an extension of a station has them."""

    def add_parts(self, parts: StationParts) -> None:
        pass

    def routers(self) -> list[APIRouter]:
        return [_router]

    def middleware(self) -> tuple[()]:
        return ()

    def places(self) -> tuple[NavigationPlace, ...]:
        return ()


def test_further_routes_have_the_first_of_their_permissions_that_fits() -> None:
    state = Permission("GET", "/api/extra/*/state", Role.VISITOR, logs_changes=False)
    assert FURTHER.of("GET", "/api/extra/1/state") == state
    assert FURTHER.of("HEAD", "/api/extra/1/state") == state
    assert FURTHER.of("POST", "/api/extra/1/state").required_role is Role.OWNER
    assert FURTHER.of("PUT", "/api/extra/1/2/3").required_role is Role.OWNER


def test_further_routes_cannot_loosen_a_permission_of_the_station() -> None:
    permissions = Permissions(permissions_of(build_application([_FurtherRoutes()]).routes))
    assert permissions.of("POST", "/api/firmware").required_role is Role.SERVICE
    assert permissions.of("GET", "/api/extra/1/state").required_role is Role.VISITOR


def test_a_path_that_no_row_names_is_for_service_only() -> None:
    own_routes = Permissions(permissions_of(build_application([]).routes))
    assert FURTHER.of("GET", "/api/nowhere") is DEFAULT_PERMISSION
    assert FURTHER.of("DELETE", "/api/extra/1/state") is DEFAULT_PERMISSION
    assert own_routes.of("GET", "/api/extra/1/state") is DEFAULT_PERMISSION
    assert own_routes.of("GET", "/api/sim/evses/1/circuit") is DEFAULT_PERMISSION
    assert DEFAULT_PERMISSION.required_role is Role.SERVICE


def test_a_route_that_declares_no_role_is_for_service_only() -> None:
    assert FURTHER.of("GET", "/api/undeclared") is DEFAULT_PERMISSION


def test_mounted_files_have_the_role_that_is_declared_beside_the_mount() -> None:
    permissions = Permissions(permissions_of([StaticFilesWithRole(Role.VISITOR, "/files", Starlette())]))
    assert permissions.of("GET", "/files/a/b.css").required_role is Role.VISITOR
    assert permissions.of("POST", "/files/a/b.css") is DEFAULT_PERMISSION
    assert permissions.of("GET", "/files") is DEFAULT_PERMISSION
