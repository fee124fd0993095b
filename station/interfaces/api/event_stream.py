"""Server-sent events: what happens, as far as whoever listens may know, for as long as they may."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from station.interfaces.access.visitor import Visitor, visitor_of
from station.interfaces.access.visitor_view import happening_for, may_see
from station.interfaces.http.open_connections import is_loopback, network_of
from station.security.access.accounts import Role
from station.storage.database import StorageError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from station.interfaces.host import Host

_MOST_LISTENERS: Final = 32
_MOST_STRANGERS: Final = 8
"""of these so many may be listeners who are not signed in: they leave room for the others"""
_MOST_STRANGERS_PER_SOURCE: Final = 4
"""of one other machine, or of its IPv6 network; this machine may be a proxy, behind which all visitors are"""
_SIGN_OF_LIFE_S: Final = 15.0
"""real seconds; a proxy or a phone gives a silent connection up"""


class _ListenerPlaces:
    """Counts the listeners of /api/events, and those of them who are not signed in."""

    def __init__(self) -> None:
        self._listeners = self._strangers = 0
        self._strangers_from: Counter[str] = Counter()

    def take(self, visitor: Visitor) -> str | None:
        """Take a place; returns the reason if none is free, else None."""
        if (refusal := self._full(visitor)) is not None:
            return refusal
        self._count(visitor, 1)
        return None

    def release(self, visitor: Visitor) -> None:
        """Return a place."""
        self._count(visitor, -1)

    def _full(self, visitor: Visitor) -> str | None:
        if visitor.role is Role.VISITOR:
            of_source = self._strangers_from[_source(visitor)]
            if of_source >= _MOST_STRANGERS_PER_SOURCE and not is_loopback(visitor.address):
                return f"{_MOST_STRANGERS_PER_SOURCE} of your network who are not signed in listen already"
            if self._strangers >= _MOST_STRANGERS:
                return f"{_MOST_STRANGERS} who are not signed in listen already"
        return f"{_MOST_LISTENERS} listen already" if self._listeners >= _MOST_LISTENERS else None

    def _count(self, visitor: Visitor, number: int) -> None:
        self._listeners += number
        if visitor.role is Role.VISITOR:
            self._strangers += number
            self._strangers_from[_source(visitor)] += number
            self._strangers_from = +self._strangers_from  # without those that have none


def _source(visitor: Visitor) -> str:
    return network_of(visitor.address) if visitor.address else ""


class _EventStream(StreamingResponse):
    """The response to a listener: it holds a place from before its first byte to its end, however it ends."""

    def __init__(self, events: AsyncGenerator[str], places: _ListenerPlaces, visitor: Visitor) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._places = places
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the listener goes or may not listen any more; 503 if there is no place."""
        if (refusal := self._places.take(self._visitor)) is not None:
            await JSONResponse({"detail": refusal}, 503)(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.release(self._visitor)


def event_routes(api: FastAPI, host: Host) -> None:
    """`/api/events`."""
    places = _ListenerPlaces()

    @api.get("/api/events")
    async def events(request: Request) -> StreamingResponse:  # the decorator registers it
        visitor = visitor_of(request)
        return _EventStream(_events(visitor, host), places, visitor)


async def _events(visitor: Visitor, host: Host) -> AsyncGenerator[str]:
    """Yield happenings as server-sent events until the visitor may not listen any more."""
    with host.feed.listening(lambda kind: may_see(visitor.role, kind)) as queue:
        yield ": listening\n\n"
        while True:
            try:
                happening = await asyncio.wait_for(queue.get(), _SIGN_OF_LIFE_S)
            except TimeoutError:
                happening = None
            if not await _still_may(visitor, host):
                return
            if happening is None:
                yield ": still here\n\n"
            elif (data := happening_for(visitor.role, happening)) is not None:
                yield f"event: {happening.kind}\ndata: {json.dumps(data)}\n\n"


async def _still_may(visitor: Visitor, host: Host) -> bool:
    """Whether what the listener came in with is still good: a session ends, an access token expires or is revoked."""
    if visitor.session is not None:
        return visitor.session.lives(host.clock.monotonic())
    if visitor.token is None or host.life is None:
        return True
    access = host.life.access
    try:
        await access.ready()  # a new life has its own, from the disk
    except StorageError:
        return False
    return access.tokens.holds(visitor.token)
