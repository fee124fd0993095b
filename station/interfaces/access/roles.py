"""Declares the least role that a route needs.

    @router.get("/api/history", dependencies=[require_role(Role.DRIVER)])

Access control reads the role from the route and refuses a request before its body is read; a route without a role needs
the role service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from fastapi import Depends, HTTPException, params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Mount

from station.interfaces.access.permissions import Permission
from station.interfaces.access.visitor import visitor_of
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

_PARAMETER: Final = re.compile(r"\{\w+(:path)?\}")


class RequiredRole:
    """The least role of a route, as its FastAPI dependency; access control reads it before the route runs."""

    def __init__(self, role: Role, *, logs_changes: bool) -> None:
        self.role = role
        self.logs_changes = logs_changes
        """whether a successful change is written to the security log, if the role is at least owner"""

    async def __call__(self, request: Request) -> None:
        """Refuse a visitor with a lower role with 403, in case access control did not."""
        if visitor_of(request).role < self.role:
            raise HTTPException(403, f"this requires the role {self.role.label} or higher")


def require_role(role: Role, *, logs_changes: bool = True) -> params.Depends:
    """Create the dependency that declares the least role of a route; `logs_changes`: as in `Permission`."""
    return Depends(RequiredRole(role, logs_changes=logs_changes))


class StaticFilesWithRole(Mount):
    """A mount of static files below `path`, which visitors with this role or a higher one may read."""

    def __init__(self, role: Role, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.role = role


def least_role_of(route: APIRoute) -> RequiredRole | None:
    """The declaration of `require_role` among the dependencies of a route; None if it declares no role."""
    dependencies = (dependency.dependency for dependency in route.dependencies)
    return next((dependency for dependency in dependencies if isinstance(dependency, RequiredRole)), None)


def permissions_of(routes: Iterable[BaseRoute]) -> Iterator[Permission]:
    """Yield the permission of each route that declares its role, in the order in which routes are matched.

    `routes` are those of routers: an application does not always show the routes of a router that it includes.
    """
    for route in routes:
        if isinstance(route, StaticFilesWithRole):
            yield Permission("GET", f"{route.path}/**", route.role)
        elif isinstance(route, APIRoute) and (declared := least_role_of(route)) is not None:
            path = _PARAMETER.sub(lambda match: "**" if match[1] else "*", route.path)
            for method in sorted(route.methods or ()):
                yield Permission(method, path, declared.role, declared.logs_changes)
