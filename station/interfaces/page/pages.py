"""The pages: templates in the visitor's language, their scripts and styles, and the texts that the scripts show."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from station.core.version import package_version
from station.interfaces.access.access_control import ASK_AGAIN_S
from station.interfaces.access.permissions import OWN_ROUTES, Permissions
from station.interfaces.access.visitor import Visitor, is_https, root_path, routed_path, visitor_of
from station.interfaces.languages import COOKIE, LANGUAGES, catalogue, language_of
from station.interfaces.wall_clock import wall_clock
from station.security.access.accounts import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from station.interfaces.host import Host

_HERE: Final = Path(__file__).parent
_YEAR_S: Final = 365 * 86_400
_PAGES: Final = {"/": "charge", "/owner": "owner", "/commissioning": "commissioning", "/installer": "installer"}
"""the places of the navigation, by path; the word names template, script and text"""


def _for_commissioning(host: Host) -> dict[str, object]:
    """How many EVSEs there are, and the meters on Modbus that are known, by what their makers call them."""
    from metering.drivers.models import MODELS

    models = sorted(((model, known.name) for model, known in MODELS.items()), key=lambda pair: pair[1].casefold())
    return {"evses": len(host.configuration.evse), "models": models}


_MORE: Final = {"commissioning": _for_commissioning}
"""what a page is told besides, by its name"""


def page_routes(api: FastAPI, host: Host, permissions: Permissions) -> None:
    """Everything that a person reads."""
    api.mount("/static", StaticFiles(directory=_HERE / "static"))
    page = partial(_page, host)
    for path, name in _PAGES.items():

        async def place(request: Request, name: str = name) -> HTMLResponse:
            return page(request, name, **_MORE[name](host) if name in _MORE else {})

        api.add_api_route(path, place, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)

    @api.get("/api/docs", include_in_schema=False)
    async def documentation(request: Request) -> HTMLResponse:
        return page(request, "docs", operations=_operations(api, permissions))

    _entrance_routes(api, host, page)
    _language_routes(api)


def not_found(host: Host, request: Request, detail: str = "Not Found") -> Response:
    """The response for a person whose browser asks for something that does not exist: a page; JSON below /api/."""
    if routed_path(request).startswith("/api/"):
        return JSONResponse({"detail": detail}, 404)
    page = _page(host, request, "not-found")
    page.status_code = 404
    return page


def _page(host: Host, request: Request, name: str, **more: object) -> HTMLResponse:
    """A page in the words of whoever asks, with the places where they may go."""
    visitor, language = visitor_of(request), language_of(request)
    texts = catalogue(language)

    def text(key: str, **values: object) -> str:
        return texts[key].format(**values) if values else texts[key]

    html = (
        _templates()
        .get_template(f"{name}.html")
        .render(
            t=text,
            language=language,
            languages=LANGUAGES,
            page=name,
            root=root_path(request),
            path=routed_path(request),
            places=[(path, word) for path, word in _PAGES.items() if _may(visitor, path)],
            role=visitor.role.word,
            signed_in=visitor.session is not None,
            identity=host.configuration.station.identity,
            version=package_version(),
            clock=wall_clock(host.life.station.settings if host.life is not None else None, host.clock.now()),
            **more,
        )
    )
    return HTMLResponse(html, headers={"Content-Language": language, "Vary": "Accept-Language, Cookie"})


def _entrance_routes(api: FastAPI, host: Host, page: Callable[..., HTMLResponse]) -> None:
    @api.get("/sign-in", include_in_schema=False)
    async def sign_in(request: Request, role: str = "", to: str = "/") -> Response:
        if host.life is None:
            return RedirectResponse(f"{root_path(request)}/starting?to={quote(routed_path(request))}", status_code=303)
        accounts = host.life.access.accounts
        able = [one.word for one in ACCOUNTS if accounts.has_password(one)]
        awaiting = [one.word for one in ACCOUNTS if accounts.awaits_code(one)]
        wanted = role if role in able else (able[-1] if role in awaiting and able else "")
        return page(request, "sign-in", able=able, awaiting=awaiting, wanted=wanted, to=_own_path(to))

    @api.get("/first-password", include_in_schema=False)
    async def first_password(request: Request, role: str = "installer", to: str = "/") -> HTMLResponse:
        roles = [one.word for one in ACCOUNTS]
        return page(
            request, "first-password", able=roles, wanted=role if role in roles else "installer", to=_own_path(to)
        )

    @api.get("/starting", include_in_schema=False)
    async def starting(request: Request, to: str = "/") -> Response:
        if host.life is not None:
            return RedirectResponse(root_path(request) + _own_path(to), status_code=303)
        answer = page(request, "starting")
        answer.status_code = 503
        answer.headers.update({"Retry-After": str(ASK_AGAIN_S), "Refresh": str(ASK_AGAIN_S)})
        return answer


def _language_routes(api: FastAPI) -> None:
    @api.get("/language/{language}", include_in_schema=False)
    async def choose_language(request: Request, language: str, to: Annotated[str, Query()] = "/") -> Response:
        if language not in LANGUAGES:
            raise HTTPException(404, "there is no such language")
        answer = RedirectResponse(root_path(request) + _own_path(to), status_code=303)
        secure = is_https(request)
        path = root_path(request) or "/"
        answer.set_cookie(COOKIE, language, max_age=_YEAR_S, path=path, secure=secure, httponly=True, samesite="strict")
        return answer

    @api.get("/words/{language}.json", include_in_schema=False)
    async def words(language: str) -> JSONResponse:
        if language not in LANGUAGES:
            raise HTTPException(404, "there is no such language")
        return JSONResponse(dict(catalogue(language)))


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _may(visitor: Visitor, path: str) -> bool:
    return visitor.role >= OWN_ROUTES.of("GET", path).least


def _own_path(to: str) -> str:
    """A path of this station: nobody is sent elsewhere."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"


def _operations(api: FastAPI, permissions: Permissions) -> list[tuple[str, str, str, str]]:
    """Method, path, least role and name of everything that the API does."""
    told: list[tuple[str, str, str, str]] = []
    for path, methods in api.openapi()["paths"].items():
        for method, operation in methods.items():
            least = permissions.of(method.upper(), path).least
            told.append((method.upper(), str(path), least.word, str(operation.get("summary", ""))))
    return sorted(told, key=lambda row: row[1])
