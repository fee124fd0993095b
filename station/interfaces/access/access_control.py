"""Access control of the local API and page: checks each request, and adds security headers to each response."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from station.configuration.installation_file import Configuration
from station.interfaces.access.permissions import DEFAULT_PERMISSION, Permission, Permissions
from station.interfaces.access.visitor import (
    CSRF_HEADER,
    Visitor,
    host_name,
    identify_visitor,
    root_path,
    routed_path,
)
from station.interfaces.http.connection_limits import LARGEST_BODY
from station.interfaces.http.host_header import is_own_name
from station.interfaces.http.security_headers import SECURITY_HEADERS
from station.interfaces.parts import parts_of
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService
from station.security.file_transfer.location import USER_AGENT
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_LARGEST_VISITOR_BODY: Final = 8 * 1024
"""bytes of a body from a visitor who is not signed in: many larger ones would fill the memory"""
_CHECKS_SIZE_ITSELF: Final = ("PUT", "/api/firmware/image")
"""the request that reads a large body in chunks and checks its size itself"""
RETRY_AFTER_S: Final = 2
"""Retry-After while the station starts"""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_RAW_HEADERS: Final = tuple(
    (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in SECURITY_HEADERS.items()
)
_NOT_STORED: Final = (b"cache-control", b"no-store")


class AccessControl:
    """The ASGI middleware in front of all routes: identifies the visitor, refuses or passes on, logs changes."""

    def __init__(self, app: ASGIApp, permissions: Permissions, not_found: Callable[[Request], Response]) -> None:
        self._app = app
        self._permissions = permissions
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it; either response gets the security headers."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        parts = parts_of(request)
        http, sign_in = parts.get(Configuration).http, parts.find(SignInService)
        access = sign_in if sign_in is not None and await _accounts_loaded(sign_in) else None
        visitor = identify_visitor(request, access, trusts_loopback=http.trust_loopback)
        path = routed_path(request)  # read now: a mounted application changes the scope
        rule = self._permissions.of(request.method, path)
        refusal = _reject_malformed(request, path, visitor, http.names) or _reject_cross_site(request, visitor)
        if refusal is None and visitor.role < rule.required_role:
            if access is None:
                refusal = _not_ready(request)
            elif rule is DEFAULT_PERMISSION and is_page_request(request):  # no route: no sign-in for a missing page
                refusal = self._not_found(request)
            else:
                refusal = _access_denied(request, visitor, rule, access)
        is_change = request.method not in _SAFE_METHODS

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_security_headers(message, path)
                if is_change and access is not None and message["status"] < 400 and _is_logged(rule):
                    action, repeats = _action(request, rule), _repeats(request, path)
                    await access.log_change(visitor.log_name, action, visitor.address, repeats=repeats)
            await send(message)

        await (refusal or self._app)(scope, receive, send_response)


def _reject_malformed(request: Request, path: str, visitor: Visitor, names: tuple[str, ...]) -> Response | None:
    """The refusal of a request for another host, with a malformed length or with a too large body; else None."""
    has_encoding = "transfer-encoding" in request.headers
    if has_encoding and "content-length" in request.headers:
        # RFC 9112 6.1: may be an attempt at request smuggling
        return _refuse(400, "the request has both Content-Length and Transfer-Encoding", {"Connection": "close"})
    if not is_own_name(host_name(request), names):
        return _refuse(
            421, "the Host header is not a name of this station; add it to http.names in the installation file"
        )
    if request.headers.get("user-agent", "").startswith(USER_AGENT):
        return _refuse(
            403, "the station does not accept its own file transfers"
        )  # a file transfer of the CSMS with this station as its target
    if has_encoding:
        return _refuse(411, "the header Content-Length is required")
    length = request.headers.get("content-length", "0")
    measured = (request.method, path) == _CHECKS_SIZE_ITSELF
    most = LARGEST_BODY if visitor.role > Role.VISITOR else _LARGEST_VISITOR_BODY
    if not length.isdecimal() or (int(length) > most and not measured):
        return _refuse(413, f"the body is larger than {most} bytes, or Content-Length is invalid")
    return None


async def _accounts_loaded(access: SignInService) -> bool:
    """Load the accounts; False if storage fails: then only the station's own machine has access."""
    try:
        await access.ensure_loaded()
    except StorageError:
        return False
    return True


def _reject_cross_site(request: Request, visitor: Visitor) -> Response | None:
    """The refusal of a change that a foreign page makes a browser send (CSRF); else None."""
    if request.method in _SAFE_METHODS:
        return None
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return _refuse(403, "changes requested by pages of other sites are rejected")
    origin = request.headers.get("origin")
    if origin is not None and _authority(origin) != request.headers.get("host", "").lower():
        return _refuse(403, "changes requested by pages of other sites are rejected")
    if visitor.by_cookie and visitor.session is not None:
        token = request.headers.get(CSRF_HEADER, "")
        if not _secrets_match(token, visitor.session.csrf):
            return _refuse(403, f"the header {CSRF_HEADER} is missing or wrong; GET /api/session returns its value")
    return None


def _authority(origin: str) -> str | None:
    """The host and port of an Origin header, in the form of a Host header; None if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _access_denied(request: Request, visitor: Visitor, rule: Permission, access: SignInService) -> Response:
    """The response when the user's role is insufficient."""
    if is_page_request(request):
        return RedirectResponse(root_path(request) + _sign_in_url(request, rule.required_role, access), status_code=303)
    if not access.accounts.has_any_password:
        return _refuse(403, "until the first password is set, changes are accepted only from the station's own machine")
    if visitor.role is Role.VISITOR:
        answer = _refuse(401, f"sign in as {rule.required_role.label} or a higher role")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return _refuse(403, f"this requires the role {rule.required_role.label} or higher")


def _not_ready(request: Request) -> Response:
    """The response while the accounts are not loaded: the station is off, starts, or cannot read its disk."""
    if is_page_request(request):
        return RedirectResponse(f"{root_path(request)}/starting?to={_path_with_query(request)}", status_code=303)
    answer = JSONResponse({"detail": "the station is starting; try again", "starting": True}, status_code=503)
    answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def is_page_request(request: Request) -> bool:
    """Return whether a browser opens a page: a GET, HEAD or OPTIONS that accepts HTML; else it is an API request."""
    return request.method in _SAFE_METHODS and "text/html" in request.headers.get("accept", "")


def _path_with_query(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return quote(routed_path(request) + (f"?{query.decode('latin-1')}" if query else ""), safe="/")


def _sign_in_url(request: Request, role: Role, access: SignInService) -> str:
    """The URL of the page to sign in with, or to set the first password with the label code; `to` leads back."""
    sets_first_password = access.accounts.accepts_code(role) and not access.accounts.has_password(role)
    page = "first-password" if sets_first_password else "sign-in"
    return f"/{page}?role={role.label}&to={_path_with_query(request)}"


def _is_logged(rule: Permission) -> bool:
    """Return whether a change is written to the security log.

    Charging and simulated events are not: they are so frequent that they would displace other entries of the rolling
    log. Signing in is logged by the sign-in service.
    """
    return rule.required_role >= Role.OWNER and rule.logs_changes


def _action(request: Request, rule: Permission) -> str:
    """Method and route of a request for the log, without its path parameters: one may be a card number."""
    route: object = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', rule.path)}"


def _repeats(request: Request, path: str) -> str | None:
    """The key under which repeated changes are logged once: limits that a home automation sets every few seconds."""
    repeated = path.startswith("/api/load-management/limits/")
    return f"{request.method} {path}" if repeated else None


def _add_security_headers(message: Message, path: str) -> None:
    """Add the security headers that the response does not have yet."""
    headers = message["headers"]
    names = {name.lower() for name, _ in headers}
    required = _RAW_HEADERS if path.startswith("/static/") else (*_RAW_HEADERS, _NOT_STORED)
    message["headers"] = [*headers, *(header for header in required if header[0] not in names)]


def _secrets_match(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refuse(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": reason}, status_code=status, headers=headers)
