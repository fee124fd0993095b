"""Routes of the pages: templates in the visitor's language, scripts, styles, and the texts for the scripts."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_args
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from energy.sources.grid_source_config import GridSourceConfig
from metering.drivers.models import MODELS
from station.configuration.installation_file import Configuration
from station.core.clock_settings import ClockSettings
from station.core.languages import LANGUAGES
from station.core.version import package_version
from station.display.display_screens import DisplayScreens
from station.interfaces.access.access_control import RETRY_AFTER_S
from station.interfaces.access.roles import StaticFilesWithRole, require_role
from station.interfaces.access.visitor import is_https, root_path, routed_path, visitor_of
from station.interfaces.api.dependencies import part, part_if_running
from station.interfaces.languages import LANGUAGE_COOKIE, catalogue, language_of
from station.interfaces.page.navigation import NavigationPlace
from station.interfaces.page.source_forms import source_forms
from station.interfaces.part_keys import CLOCK
from station.interfaces.parts import parts_of
from station.interfaces.wall_clock import wall_clock
from station.maintenance.commissioning.report import read_report
from station.security.access.accounts import ACCOUNTS, Role
from station.security.access.sign_in_service import SignInService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    # late: visitors of the API alone need no templates
    from jinja2 import Environment

router = APIRouter(include_in_schema=False)

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = _HERE / "templates"
_YEAR_S: Final = 365 * 86_400
STATIC_FILES: Final = StaticFilesWithRole(Role.VISITOR, "/static", StaticFiles(directory=_HERE / "static"))


_CHARGE: Final = NavigationPlace("/", "charge", Role.VISITOR)
_OWNER: Final = NavigationPlace("/owner", "owner", Role.OWNER)
_COMMISSIONING: Final = NavigationPlace("/commissioning", "commissioning", Role.INSTALLER)
_INSTALLER: Final = NavigationPlace("/installer", "installer", Role.INSTALLER)
_PLACES: Final = (_CHARGE, _OWNER, _COMMISSIONING, _INSTALLER)


@router.get(_CHARGE.path, dependencies=[require_role(_CHARGE.role)], response_class=HTMLResponse)
async def charge_page(request: Request) -> HTMLResponse:
    """The start page, for drivers: the charge at each EVSE."""
    return station_page(request, _CHARGE.name)


@router.get(_OWNER.path, dependencies=[require_role(_OWNER.role)], response_class=HTMLResponse)
async def owner_page(request: Request, configuration: Annotated[Configuration, part(Configuration)]) -> HTMLResponse:
    """The page of the owner: activation, history, cards, charging plan, limits, prices and commissioning report."""
    report = await asyncio.to_thread(read_report, configuration)
    return station_page(request, _OWNER.name, has_report=report is not None)


@router.get(_COMMISSIONING.path, dependencies=[require_role(_COMMISSIONING.role)], response_class=HTMLResponse)
async def commissioning_page(
    request: Request, configuration: Annotated[Configuration, part(Configuration)]
) -> HTMLResponse:
    """The installer's page for commissioning, with the kinds of grid meters and the models of Modbus meters."""
    models = sorted(
        ((model, meter_model.name) for model, meter_model in MODELS.items()), key=lambda pair: pair[1].casefold()
    )
    sources = source_forms(get_args(GridSourceConfig))
    return station_page(request, _COMMISSIONING.name, evses=len(configuration.evse), models=models, sources=sources)


@router.get(_INSTALLER.path, dependencies=[require_role(_INSTALLER.role)], response_class=HTMLResponse)
async def installer_page(request: Request) -> HTMLResponse:
    """The installer's page for diagnosis, after commissioning."""
    return station_page(request, _INSTALLER.name)


@router.get("/display", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def display_page(request: Request, screens: Annotated[DisplayScreens, part(DisplayScreens)]) -> HTMLResponse:
    """The display of the station, full screen, for a kiosk browser."""
    return _display_page(request, None, screens)


@router.get("/display/{evse_id}", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def evse_display_page(
    request: Request, evse_id: int, screens: Annotated[DisplayScreens, part(DisplayScreens)]
) -> HTMLResponse:
    """The display of one EVSE, full screen; 404 if it has none of its own (`[display] evses`)."""
    return _display_page(request, evse_id, screens)


@router.get("/docs", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
@router.get("/api/docs", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def documentation_page(request: Request) -> HTMLResponse:
    """The page on which the API is read and tried out; FastAPI's own would load scripts from another host."""
    return station_page(request, "docs")


@router.api_route("/openapi.json", methods=["GET", "HEAD"], dependencies=[require_role(Role.VISITOR)])
@router.api_route("/api/openapi.json", methods=["GET", "HEAD"], dependencies=[require_role(Role.VISITOR)])
async def openapi_document(request: Request) -> Response:
    """Returns the OpenAPI document of the API as JSON, with the path of this station as its server."""
    api: FastAPI = request.app
    server = root_path(request) or "/"
    # In a thread: to build the document takes a second on a small machine, and meanwhile vehicles charge.
    text = await asyncio.to_thread(lambda: json.dumps({**api.openapi(), "servers": [{"url": server}]}))
    return Response(text, media_type="application/json")


@router.get("/sign-in", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def sign_in_page(
    request: Request,
    access: Annotated[SignInService | None, part_if_running(SignInService)],
    role: str = "",
    to: str = "/",
) -> Response:
    """The page to sign in with the password of a role; afterwards it leads to the path `to`."""
    if access is None:
        return RedirectResponse(f"{root_path(request)}/starting?to={quote(routed_path(request))}", status_code=303)
    with_password = [account.label for account in ACCOUNTS if access.accounts.has_password(account)]
    with_code = [account.label for account in ACCOUNTS if access.accounts.accepts_code(account)]
    selected = role if role in with_password else (with_password[-1] if role in with_code and with_password else "")
    required = _required_role(request, role)
    return station_page(
        request, "sign-in", able=with_password, awaiting=with_code, wanted=selected, lacking=required, to=_own_path(to)
    )


@router.get("/first-password", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def first_password_page(request: Request, role: str = "installer", to: str = "/") -> HTMLResponse:
    """The page to set the first password of a role with a code; afterwards it leads to the path `to`."""
    roles = [account.label for account in ACCOUNTS]
    selected = role if role in roles else "installer"
    required = _required_role(request, role)
    return station_page(request, "first-password", able=roles, wanted=selected, lacking=required, to=_own_path(to))


@router.get("/starting", dependencies=[require_role(Role.VISITOR)], response_class=HTMLResponse)
async def starting_page(request: Request, to: str = "/") -> Response:
    """The page shown while the station starts, with status 503; once the station runs it leads to the path `to`."""
    if parts_of(request).running:
        return RedirectResponse(root_path(request) + _own_path(to), status_code=303)
    answer = station_page(request, "starting")
    answer.status_code = 503
    answer.headers.update({"Retry-After": str(RETRY_AFTER_S), "Refresh": str(RETRY_AFTER_S)})
    return answer


@router.get("/favicon.ico", dependencies=[require_role(Role.VISITOR)])
async def favicon() -> Response:
    """Respond 404: browsers request it although the pages name another icon."""
    raise HTTPException(404, "Not Found")


@router.get("/language/{language}", dependencies=[require_role(Role.VISITOR)])
async def choose_language(request: Request, language: str, to: Annotated[str, Query()] = "/") -> Response:
    """Store the language of the page in a cookie, and redirect to the path `to`."""
    if language not in LANGUAGES:
        raise HTTPException(404, "the page does not support this language")
    answer = RedirectResponse(root_path(request) + _own_path(to), status_code=303)
    secure = is_https(request)
    path = root_path(request) or "/"
    answer.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR_S, path=path, secure=secure, httponly=True, samesite="strict"
    )
    return answer


@router.get("/words/{language}.json", dependencies=[require_role(Role.VISITOR)])
async def words(language: str) -> JSONResponse:
    """Returns the texts of the page in one language as JSON, by key; its scripts load them."""
    if language not in LANGUAGES:
        raise HTTPException(404, "the page does not support this language")
    return JSONResponse(dict(catalogue(language)))


def not_found(request: Request, detail: str = "Not Found") -> Response:
    """Create the response 404: a page, or JSON below /api/ with `detail`."""
    if routed_path(request).startswith("/api/"):
        return JSONResponse({"detail": detail}, 404)
    page = station_page(request, "not-found")
    page.status_code = 404
    return page


def _display_page(request: Request, evse_id: int | None, screens: DisplayScreens) -> HTMLResponse:
    if all(display.address.evse_id != evse_id for display in screens.displays):
        raise HTTPException(404, f"EVSE {evse_id} has no display of its own")
    return station_page(request, "display", evse_id=evse_id)


def station_page(request: Request, name: str, **more: object) -> HTMLResponse:
    """Render a page of the station, as `render_page` does; `name` is that of its template, without its ending."""
    return render_page(request, name, _TEMPLATES, **more)


def render_page(request: Request, name: str, folder: Path, **more: object) -> HTMLResponse:
    """Render a page in the visitor's language, with the navigation of their role.

    `folder`: the folder of its template, which may extend those of the station; `more`: values for the template.
    """
    visitor, language, parts = visitor_of(request), language_of(request), parts_of(request)
    texts = catalogue(language)
    further: Sequence[NavigationPlace] = request.app.state.places

    def text(key: str, **values: object) -> str:
        return texts[key].format(**values) if values else texts[key]

    html = (
        _templates(folder)
        .get_template(f"{name}.html")
        .render(
            t=text,
            language=language,
            languages=LANGUAGES,
            page=name,
            root=root_path(request),
            path=routed_path(request),
            places=[(place.path, place.name) for place in (*_PLACES, *further) if visitor.role >= place.role],
            role=visitor.role.label,
            signed_in=visitor.session is not None,
            identity=parts.get(Configuration).station.identity,
            version=package_version(),
            clock=wall_clock(parts.find(ClockSettings), parts.get(CLOCK).now()),
            **more,
        )
    )
    return HTMLResponse(html, headers={"Content-Language": language, "Vary": "Accept-Language, Cookie"})


@cache
def _templates(folder: Path) -> Environment:
    # late: visitors of the API alone need no templates
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _required_role(request: Request, label: str) -> str | None:
    """The role that the opened page requires, if the user is signed in with a lower one; else None."""
    visitor = visitor_of(request)
    required_account = next((account for account in ACCOUNTS if account.label == label), None)
    if visitor.session is None or required_account is None or visitor.role >= required_account:
        return None
    return required_account.label


def _own_path(to: str) -> str:
    """The path if it belongs to this station, else `/`: prevents redirects to other hosts."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
