"""The application of a page that programs of the bench serve to browsers on their own machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from simulator.loopback_page import HOST
from station.interfaces.http.security_headers import SECURITY_HEADERS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_LONGEST_BODY: Final = 1 << 20


def page_application(routes: Sequence[Route]) -> Starlette:
    """An application that answers to names of this machine only, with the security headers of a station's page."""
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=routes, middleware=[Middleware(_SecurityHeaders), hosts])


async def bounded_body(request: Request) -> bytes | None:
    """The body of a request; None: it is longer than 1 MiB."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            return None
    return bytes(body)


class _SecurityHeaders:
    """ASGI middleware that adds the security headers to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS | {"Cache-Control": "no-store"})
            await send(message)

        await self._app(scope, receive, send_with_headers)
