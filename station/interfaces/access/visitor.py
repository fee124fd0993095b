"""Identifies the sender of a request: this machine, a signed-in user, a script with a token, or anonymous."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import HTTPConnection

from foundation.frozen import Frozen
from station.interfaces.http.host_header import name_of_host
from station.interfaces.http.open_connections import is_loopback, normalized
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from station.security.access.sessions import AccessToken, BrowserSession
    from station.security.access.sign_in_service import SignInService

SESSION_COOKIE = "borne_session"
SECURE_COOKIE = "__Host-borne_session"
CSRF_HEADER = "x-borne-csrf"
_KEY = "borne.visitor"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})


class Visitor(Frozen):
    """The sender of a request: its role, and by what it was identified."""

    role: Role
    address: str
    """IP address; empty if unknown"""
    local: bool = False
    """whether the request comes from the station's own machine, without sign-in; the role is then service"""
    session: BrowserSession | None = None
    """the session of a user who signed in; None: not signed in, or by access token"""
    by_cookie: bool = False
    """whether a cookie carried the session, so that changes need the CSRF header; else a bearer token did"""
    token: AccessToken | None = None
    """the access token that a script sent"""

    @property
    def log_name(self) -> str:
        """The name of the visitor in the security log: its role, or `this machine`."""
        return "this machine" if self.local else self.role.label


def visitor_of(request: HTTPConnection) -> Visitor:
    """The visitor that `identify_visitor` stored with the request; one of the role visitor if none is stored."""
    visitor: object = request.scope.get(_KEY)
    return visitor if isinstance(visitor, Visitor) else Visitor(Role.VISITOR, "")


def identify_visitor(request: HTTPConnection, access: SignInService | None, *, trusts_loopback: bool = True) -> Visitor:
    """Identify the visitor by bearer token, session cookie or loopback address, and store it with the request.

    `access` is None while accounts are not loaded: then only the station's own machine has a role, if
    `trusts_loopback`, with which it need not sign in.
    """
    visitor = _identify_visitor(request, access, trusts_loopback=trusts_loopback)
    request.scope[_KEY] = visitor
    return visitor


def routed_path(request: HTTPConnection) -> str:
    """The path by which Starlette routes: `scope["path"]`, relative to where this application is mounted.

    Never `request.url.path`: Starlette parses that from a URL that contains the Host header, so the client could
    choose where the path begins.
    """
    path: str = request.scope["path"]
    mounted_at: str = request.scope.get("root_path", "")
    below = path.removeprefix(mounted_at)
    return below if below == "" or below.startswith("/") else path


def root_path(request: HTTPConnection) -> str:
    """The URL path below which this station is served, such as `/stations/BORNE-1`; empty for a single station."""
    mounted_at: str = request.scope.get("root_path", "")
    return quote(mounted_at)


def session_cookie(request: HTTPConnection) -> str:
    """The name of the session cookie; each of several stations has its own name and path."""
    root = root_path(request)
    if not root:
        return SECURE_COOKIE if is_https(request) else SESSION_COOKIE
    # Browsers accept the prefix __Host- only for the path /.
    return f"{'__Secure-' if is_https(request) else ''}{SESSION_COOKIE}{root.replace('/', '.')}"


def is_https(request: HTTPConnection) -> bool:
    """Return whether the request came over TLS to the station itself; a proxy in front does not count."""
    return request.scope["scheme"] == "https"


def host_name(request: HTTPConnection) -> str:
    """The name or IP address in the Host header, in lower case and without its port."""
    return name_of_host(request.headers.get("host", ""))


def _identify_visitor(request: HTTPConnection, access: SignInService | None, *, trusts_loopback: bool) -> Visitor:
    address = normalized(request.client.host) if request.client is not None else ""
    if access is not None:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and secret:
            if (session := access.sessions.find(secret.strip())) is not None:
                return Visitor(session.role, address, session=session)
            if (token := access.tokens.find(secret.strip())) is not None:
                return Visitor(token.role, address, token=token)
            return Visitor(Role.VISITOR, address)  # a wrong key never falls back to the cookie or to loopback
        cookie = request.cookies.get(session_cookie(request))
        if cookie is not None and (session := access.sessions.find(cookie)) is not None:
            return Visitor(session.role, address, session=session, by_cookie=True)
    if trusts_loopback and _is_local(request, address):
        return Visitor(Role.SERVICE, address, local=True)
    return Visitor(Role.VISITOR, address)


def _is_local(request: HTTPConnection, address: str) -> bool:
    """Return whether a request comes from this machine itself, and not through a proxy on it."""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return is_loopback(address) and not forwarded and host_name(request) in _LOOPBACK_NAMES
