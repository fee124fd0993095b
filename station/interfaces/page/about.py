"""The page "About": the version of the software, and the licences of everything that it contains."""

from __future__ import annotations

import asyncio
from functools import cache

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from station.core.version import package_build
from station.interfaces.access.roles import require_role
from station.interfaces.page.pages import station_page
from station.maintenance.software_components import SoftwareComponent, program_component, software_components
from station.security.access.accounts import Role

router = APIRouter(include_in_schema=False)


@router.get("/about", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def about_page(request: Request) -> HTMLResponse:
    """The page with the version, and the components of others with version and licence."""
    components = await asyncio.to_thread(_components)
    return station_page(request, "about", components=components, build=package_build())


@router.get("/about/licences/{name}", dependencies=[require_role(Role.VISITOR)], response_class=PlainTextResponse)
async def licence_text(name: str) -> PlainTextResponse:
    """The text of the licence of a component, or of this program; 404 if it has none."""
    text = await asyncio.to_thread(_licence_text, name)
    if not text:
        raise HTTPException(404, "no such component, or it comes without a text of its licence")
    return PlainTextResponse(text)


@cache
def _components() -> list[SoftwareComponent]:
    return software_components()


def _licence_text(name: str) -> str:
    found = (component for component in (program_component(), *_components()) if component.name == name)
    component = next(found, None)
    return component.licence_text() if component is not None else ""
