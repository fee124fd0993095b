"""Server-sent events: what happens, as far as whoever listens may know, for as long as they may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from station.access.accounts import Role
from station.records.database import StorageError
from station.web.door.visitor import Visitor, visitor_of
from station.web.door.visitor_view import happening_for, may_see

if TYPE_CHECKING:
    from station.web.host import Host

_MOST_LISTENERS: Final = 32
_MOST_STRANGERS: Final = 8
"""of these so many may be listeners who are not signed in: they leave room for the others"""
_SIGN_OF_LIFE_S: Final = 15.0
"""real seconds; a proxy or a phone gives a silent connection up"""


def event_routes(api: FastAPI, host: Host) -> None:
    """`/api/events`."""
    listeners = strangers = 0

    @api.get("/api/events")
    async def events(request: Request) -> StreamingResponse:  # the decorator registers it
        visitor = visitor_of(request)
        strange = visitor.role is Role.VISITOR
        if strange and strangers >= _MOST_STRANGERS:
            raise HTTPException(503, f"{_MOST_STRANGERS} who are not signed in listen already")
        if listeners >= _MOST_LISTENERS:
            raise HTTPException(503, f"{_MOST_LISTENERS} listen already")

        async def stream() -> AsyncGenerator[str]:
            nonlocal listeners, strangers
            listeners += 1
            strangers += strange
            try:
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
            finally:
                listeners -= 1
                strangers -= strange

        return StreamingResponse(stream(), media_type="text/event-stream")


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
